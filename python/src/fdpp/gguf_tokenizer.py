# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A GGUF file's tokenizer as the files Hugging Face models carry.

GGUF keeps the vocabulary, merges and special ids as metadata, and names the
rest (normalizer, pre-tokenizer, decoder) only by `tokenizer.ggml.model` and
`tokenizer.ggml.pre`. The shapes below are those of the tokenizer.json files of
the model families with these names.
"""

import enum
import json
from typing import Any

import gguf

from .errors import UserError
from .gguf_fields import Fields


class TokenType(enum.IntEnum):
    """Values of tokenizer.ggml.token_type."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS_AND_SPACE = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3_SPLIT = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _WORDS_AND_SPACE
_QWEN2_SPLIT = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _WORDS_AND_SPACE
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_TEKKEN_SPLIT = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+"
    rf"|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _byte_level(use_regex: bool) -> dict:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
            "use_regex": use_regex}


def _sequence(*parts: dict) -> dict:
    return {"type": "Sequence", "pretokenizers": list(parts)}


def _split(pattern: str) -> dict:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
             "invert": False}
    return _sequence(split, _byte_level(use_regex=False))


_DIGITS = _sequence({"type": "Digits", "individual_digits": True}, _byte_level(True))
_LLAMA3 = {"pre_tokenizer": _split(_LLAMA3_SPLIT), "ignore_merges": True, "add_bos": True}
_QWEN2 = {"pre_tokenizer": _split(_QWEN2_SPLIT), "normalizer": {"type": "NFC"}}

# tokenizer.ggml.pre -> what it stands for, beyond the defaults of
# _byte_level_shape. Names that end in the same shape are the families whose
# models this project's graphs cover.
_PRE_TOKENIZERS = {
    "default": {"pre_tokenizer": _byte_level(True)},
    "gpt-2": {"pre_tokenizer": _byte_level(True)},
    "smollm": {"pre_tokenizer": _DIGITS},
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "tekken": {"pre_tokenizer": _split(_TEKKEN_SPLIT), "ignore_merges": True, "add_bos": True},
}


# SentencePiece vocabularies stay far below; the merges of a token take time
# and memory that grow with its square.
_LONGEST_TOKEN = 4096


def build_tokenizer(reader: gguf.GGUFReader) -> dict[str, bytes]:
    """tokenizer.json and tokenizer_config.json; empty if the file has no tokenizer.

    Raises UserError for a kind of tokenizer that cannot be rebuilt.
    """
    fields = Fields(reader)
    model = fields.text("tokenizer.ggml.model")
    tokens = fields.strings("tokenizer.ggml.tokens")
    if model is None or tokens is None or model in ("none", "no_vocab"):
        return {}
    if len(set(tokens)) != len(tokens):
        raise UserError("GGUF tokenizer gives two ids to one token")
    if model == "gpt2":
        shape = _byte_level_shape(fields, tokens)
    elif model == "llama":
        shape = _sentencepiece_shape(fields, tokens)
    else:
        raise UserError(f"GGUF tokenizer model '{model}' is not supported (gpt2 and llama are)")
    config = _config(fields, tokens, shape.pop("add_bos"))
    types = fields.numbers("tokenizer.ggml.token_type", len(tokens)) or []
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(tokens, types),
        "normalizer": shape["normalizer"],
        "pre_tokenizer": shape["pre_tokenizer"],
        "post_processor": _post_processor(config, tokens, shape["post_processor"]),
        "decoder": shape["decoder"],
        "model": shape["model"],
    }
    return {
        "tokenizer.json": _json(tokenizer, indent=None),
        "tokenizer_config.json": _json(config, indent=2),
    }


def _json(value: dict, indent: int | None) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=indent) + "\n").encode()


def _bpe(tokens: list[str], merges: list[list[str]], **options: Any) -> dict:
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
    }
    vocab = {token: index for index, token in enumerate(tokens)}
    return {**model, **options, "vocab": vocab, "merges": merges}


def _byte_level_shape(fields: Fields, tokens: list[str]) -> dict:
    name = fields.text("tokenizer.ggml.pre", "default")
    if name not in _PRE_TOKENIZERS:
        raise UserError(f"GGUF pre-tokenizer '{name}' is not supported"
                        f" ({', '.join(_PRE_TOKENIZERS)} are)")
    family = _PRE_TOKENIZERS[name]
    lines = fields.strings("tokenizer.ggml.merges")
    if lines is None:
        raise UserError("GGUF tokenizer of model 'gpt2' has no merges")
    merges = [line.split(" ") for line in lines]
    if any(len(pair) != 2 for pair in merges):
        raise UserError("GGUF field tokenizer.ggml.merges has an entry that is no pair")
    return {
        "normalizer": family.get("normalizer"),
        "pre_tokenizer": family["pre_tokenizer"],
        "post_processor": _byte_level(use_regex=True),
        "decoder": {**_byte_level(use_regex=True), "add_prefix_space": True},
        "model": _bpe(tokens, merges, ignore_merges=family.get("ignore_merges", False)),
        "add_bos": family.get("add_bos", False),
    }


def _sentencepiece_shape(fields: Fields, tokens: list[str]) -> dict:
    """Llama-2's shape; a space before each stretch of text unless the file
    says otherwise."""
    scores = fields.numbers("tokenizer.ggml.scores", len(tokens))
    if scores is None:
        raise UserError("GGUF tokenizer of model 'llama' has no scores")
    unknown = fields.integer("tokenizer.ggml.unknown_token_id", 0)
    prefix = fields.flag("tokenizer.ggml.add_space_prefix", True)
    to_mark = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    normalizers = [{"type": "Prepend", "prepend": "\u2581"}] if prefix else []
    decoders: list[dict] = [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*normalizers, to_mark]},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _bpe(tokens, merges_from_scores(tokens, scores), fuse_unk=True,
                      byte_fallback=True, unk_token=_token(tokens, unknown)),
        "add_bos": True,
    }


def merges_from_scores(tokens: list[str], scores: list[float]) -> list[list[str]]:
    """The merges that a scored SentencePiece vocabulary stands for.

    Every way to cut a token into two tokens is a merge. Better scores come
    first, then longer left parts, then longer right parts; what is still equal
    keeps the order of the tokens, and of one token's cuts the ids' order
    (the rule of transformers' `generate_merges`).
    """
    longest = max(map(len, tokens), default=0)
    if longest > _LONGEST_TOKEN:
        raise UserError(f"GGUF tokenizer has a token of {longest} characters,"
                        f" {_LONGEST_TOKEN} are supported")
    ids = {token: index for index, token in enumerate(tokens)}
    merges = []
    for token, score in zip(tokens, scores):
        cuts = ((token[:at], token[at:]) for at in range(1, len(token)))
        found = [cut for cut in cuts if cut[0] in ids and cut[1] in ids]
        found.sort(key=lambda cut: (ids[cut[0]], ids[cut[1]]))
        merges.extend((-score, -len(left), -len(right), left, right) for left, right in found)
    merges.sort(key=lambda merge: merge[:3])
    return [[left, right] for *_, left, right in merges]


def _added_tokens(tokens: list[str], types: list[int]) -> list[dict]:
    special = (TokenType.CONTROL, TokenType.UNKNOWN)
    return [
        {
            "id": index,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind in special,
        }
        for index, (token, kind) in enumerate(zip(tokens, types))
        if token and (kind in special or kind == TokenType.USER_DEFINED)
    ]


def _token(tokens: list[str], index: int | None) -> str | None:
    if index is None:
        return None
    if not 0 <= index < len(tokens):
        raise UserError(f"GGUF tokenizer names the special token {index} of {len(tokens)}")
    return tokens[index]


def _config(fields: Fields, tokens: list[str], add_bos: bool) -> dict:
    config = {
        "add_bos_token": fields.flag("tokenizer.ggml.add_bos_token", add_bos),
        "add_eos_token": fields.flag("tokenizer.ggml.add_eos_token", False),
        "clean_up_tokenization_spaces": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    for name, key in (("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"),
                      ("pad_token", "padding")):
        token = _token(tokens, fields.integer(f"tokenizer.ggml.{key}_token_id"))
        if token is not None:
            config[name] = token
    template = fields.text("tokenizer.chat_template")
    if template is not None:
        config["chat_template"] = template
    return config


def _post_processor(config: dict, tokens: list[str], byte_level: dict | None) -> dict | None:
    """BOS and EOS around a text, as the file's flags say."""
    bos = config.get("bos_token") if config["add_bos_token"] else None
    eos = config.get("eos_token") if config["add_eos_token"] else None
    if bos is None and eos is None:
        return byte_level

    def special(token: str | None, type_id: int) -> list[dict]:
        return [] if token is None else [{"SpecialToken": {"id": token, "type_id": type_id}}]

    def text(name: str, type_id: int) -> list[dict]:
        sequence = {"Sequence": {"id": name, "type_id": type_id}}
        return [*special(bos, type_id), sequence, *special(eos, type_id)]

    template = {
        "type": "TemplateProcessing",
        "single": text("A", 0),
        "pair": text("A", 0) + text("B", 1),
        "special_tokens": {
            token: {"id": token, "ids": [tokens.index(token)], "tokens": [token]}
            for token in (bos, eos)
            if token is not None
        },
    }
    if byte_level is None:
        return template
    return {"type": "Sequence", "processors": [byte_level, template]}
