# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tokenizers rebuilt from small GGUF files written here."""

import json
import random

import gguf
import needs
import pytest

from fdpp.errors import UserError
from fdpp.gguf_tokenizer import TokenType, build_tokenizer, merges_from_scores

tokenizers = needs.module("tokenizers")

_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_SPECIAL = ["<unk>", "<s>", "</s>"]


def _build(tmp_path, fill) -> dict[str, bytes]:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return build_tokenizer(gguf.GGUFReader(path))


def _scored_pieces(count: int) -> dict[str, float]:
    """Random pieces of few letters, some scores equal, and the letters."""
    draw = random.Random(11)
    pieces = {"".join(draw.choices("▁abc", k=draw.randint(2, 6))): -float(draw.randint(1, 80))
              for _ in range(count)}  # fmt: skip
    return pieces | {letter: -100.0 for letter in "▁abc"}


def _fill_llama(writer: gguf.GGUFWriter, pieces: dict[str, float], **flags: bool) -> None:
    tokens = [*_SPECIAL, *_BYTES, *pieces, "<tool>"]
    types = ([TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
             + [TokenType.BYTE] * 256 + [TokenType.NORMAL] * len(pieces)
             + [TokenType.USER_DEFINED])  # fmt: skip
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + list(pieces.values()) + [0.0])
    writer.add_token_types([int(kind) for kind in types])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for key, value in flags.items():
        writer.add_bool(f"tokenizer.ggml.{key}", value)


def _sentencepiece(text: str, pieces: dict[str, float]) -> list[str]:
    """SentencePiece's own rule: join the best scored neighbours, leftmost
    first, until none can be joined."""
    symbols = list(text)
    while True:
        joined = [(-pieces[a + b], at) for at, (a, b) in enumerate(zip(symbols, symbols[1:]))
                  if a + b in pieces]  # fmt: skip
        if not joined:
            return symbols
        at = min(joined)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


def _distinct(pieces: dict[str, float]) -> dict[str, float]:
    return {piece: -float(index) for index, piece in enumerate(pieces)}


def test_sentencepiece_merges_reach_the_best_pieces(tmp_path):
    pieces = _distinct(_scored_pieces(150))
    files = _build(tmp_path, lambda writer: _fill_llama(writer, pieces))
    tokenizer = tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())
    draw = random.Random(12)
    for _ in range(500):
        text = "".join(draw.choices(" abc", k=draw.randint(1, 30)))
        wanted = ["<s>", *_sentencepiece("▁" + text.replace(" ", "▁"), pieces)]
        assert tokenizer.encode(text).tokens == wanted, text


def test_merges_follow_transformers_rule():
    base = needs.module("transformers.tokenization_utils_base")
    pieces = _scored_pieces(400)  # with equal scores
    tokens = list(pieces)
    wanted = base.generate_merges({token: i for i, token in enumerate(tokens)}, dict(pieces))
    assert merges_from_scores(tokens, list(pieces.values())) == [list(pair) for pair in wanted]


def test_sentencepiece_file(tmp_path):
    pieces = _scored_pieces(50)
    files = _build(tmp_path, lambda writer: _fill_llama(writer, pieces, add_eos_token=True))
    tree = json.loads(files["tokenizer.json"])
    assert {(t["content"], t["special"]) for t in tree["added_tokens"]} == {
        ("<unk>", True), ("<s>", True), ("</s>", True), ("<tool>", False)}  # fmt: skip
    tokenizer = tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())
    ids = tokenizer.encode(" a<tool>€").ids
    assert ids[0] == 1 and ids[-1] == 2
    assert tokenizer.decode(ids) == " a<tool> €"
    config = json.loads(files["tokenizer_config.json"])
    assert (config["bos_token"], config["eos_token"], config["unk_token"]) == ("<s>", "</s>", "<unk>")
    assert config["add_bos_token"] and config["add_eos_token"]


def test_sentencepiece_without_prefix_and_bos(tmp_path):
    pieces = _scored_pieces(50)
    flags = {"add_space_prefix": False, "add_bos_token": False}
    files = _build(tmp_path, lambda writer: _fill_llama(writer, pieces, **flags))
    tokenizer = tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())
    for text in ("a", " a", "b  c "):
        ids = tokenizer.encode(text).ids
        assert 1 not in ids
        assert tokenizer.decode(ids) == text


def _fill_gpt2(writer: gguf.GGUFWriter, pre: str, merges=("a b", "ab c")) -> None:
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, "ab", "abc", "abca", "<bos>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([int(TokenType.NORMAL)] * 259 + [int(TokenType.CONTROL)])
    writer.add_token_merges(list(merges))
    writer.add_bos_token_id(259)


@pytest.mark.parametrize(
    ("pre", "text", "tokens"),
    [
        ("default", "12 abca", ["1", "2", "Ġ", "abc", "a"]),
        ("smollm", "12 abca", ["1", "2", "Ġ", "abc", "a"]),
        ("llama-bpe", "12abca", ["<bos>", "1", "2", "abca"]),
        ("qwen2", "abca", ["abc", "a"]),
        ("qwen2", "e\u0301", ["Ã", "©"]),
        ("default", "e\u0301", ["e", "Ì", "ģ"]),
        ("tekken", "abca", ["<bos>", "abca"]),
    ],
)
def test_byte_level_families(tmp_path, pre, text, tokens):
    files = _build(tmp_path, lambda writer: _fill_gpt2(writer, pre))
    tokenizer = tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())
    assert tokenizer.encode(text).tokens == tokens


def test_no_tokenizer_gives_no_files(tmp_path):
    assert _build(tmp_path, lambda writer: None) == {}


def test_chat_template_is_kept(tmp_path):
    def fill(writer):
        _fill_gpt2(writer, "default")
        writer.add_chat_template("{{ messages }}")

    files = _build(tmp_path, fill)
    assert json.loads(files["tokenizer_config.json"])["chat_template"] == "{{ messages }}"


def _fill_wordpiece(writer):
    writer.add_tokenizer_model("bert")
    writer.add_token_list(["a"])


def _fill_without_scores(writer):
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["a"])


def _fill_twice(writer):
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["a", "a"])


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda w: _fill_gpt2(w, "falcon"), "pre-tokenizer 'falcon' is not supported"),
        (lambda w: _fill_gpt2(w, "default", ["abc"]), "an entry that is no pair"),
        (_fill_wordpiece, "tokenizer model 'bert' is not supported"),
        (_fill_without_scores, "has no scores"),
        (_fill_twice, "two ids to one token"),
    ],
)
def test_refusals(tmp_path, fill, message):
    with pytest.raises(UserError, match=message):
        _build(tmp_path, fill)
