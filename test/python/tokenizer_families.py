# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small tokenizers with each family's exact normalizer, pre-tokenizer,
post-processor and decoder, trained on the corpus."""

import json

from text_corpus import Corpus
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from fdpp.gguf_tokenizer import _LLAMA3_SPLIT, _QWEN2_SPLIT, _TEKKEN_SPLIT

_VOCABULARY = 1500


def _texts() -> list[str]:
    return Corpus(99).strings(4000)


def _byte_level(pre_tokenizer, special, normalizer=None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _texts(),
        trainers.BpeTrainer(
            vocab_size=_VOCABULARY,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def _split(pattern: str):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def smollm() -> Tokenizer:
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = _byte_level(
        pre_tokenizers.Sequence([digits, words]),
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"],
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def _ignoring_merges(tokenizer: Tokenizer) -> Tokenizer:
    tree = json.loads(tokenizer.to_str())
    tree["model"]["ignore_merges"] = True
    # Only ignore_merges reaches a token whose merges are gone.
    tree["model"]["merges"] = tree["model"]["merges"][::-1][100:][::-1]
    return Tokenizer.from_str(json.dumps(tree))


def llama3() -> Tokenizer:
    tokenizer = _byte_level(_split(_LLAMA3_SPLIT), ["<|begin_of_text|>", "<|eot_id|>"])
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", 0)],
            ),
        ]
    )
    return _ignoring_merges(tokenizer)


def qwen2() -> Tokenizer:
    tokenizer = _byte_level(_split(_QWEN2_SPLIT), ["<|endoftext|>", "<|im_end|>"], normalizers.NFC())
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def tekken() -> Tokenizer:
    return _byte_level(_split(_TEKKEN_SPLIT), ["<unk>", "<s>", "</s>"])


def _sentencepiece(normalizer, pre_tokenizer, decoder, byte_fallback=True) -> Tokenizer:
    """Trains, then puts <0x00>.. behind the special tokens as Llama-2 does."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    # Training needs words; the family itself has none.
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, special_tokens=special, limit_alphabet=300, show_progress=False
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    order = sorted(model["vocab"], key=model["vocab"].get)
    spelled = [f"<0x{byte:02X}>" for byte in range(256)] if byte_fallback else []
    words = [token for token in order if token not in special and token not in spelled]
    vocab = {token: index for index, token in enumerate([*special, *spelled, *words])}
    trained = Tokenizer(
        models.BPE(
            vocab,
            [tuple(pair) for pair in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=byte_fallback,
        )
    )
    if normalizer is not None:
        trained.normalizer = normalizer
    if pre_tokenizer is not None:
        trained.pre_tokenizer = pre_tokenizer
    trained.decoder = decoder
    trained.add_special_tokens(special)
    trained.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return trained


def _llama2_decoder():
    return decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )


def llama2_legacy() -> Tokenizer:
    to_mark = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    return _sentencepiece(normalizers.Sequence(to_mark), None, _llama2_decoder())


def llama2_metaspace() -> Tokenizer:
    marks = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    return _sentencepiece(None, marks, _llama2_decoder())


def metaspace_words() -> Tokenizer:
    """Split at the marks, Metaspace's own decoder, unk instead of bytes."""
    marks = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return _sentencepiece(normalizers.NFKC(), marks, decoder, byte_fallback=False)


FAMILIES = {
    maker.__name__: maker
    for maker in (smollm, llama3, qwen2, tekken, llama2_legacy, llama2_metaspace, metaspace_words)
}

# Every flag of an added token, alone and with others.
_EXTRA = [
    AddedToken("<pad>", special=True, normalized=False),
    AddedToken("<left>", lstrip=True, normalized=False),
    AddedToken("<right>", rstrip=True, normalized=False),
    AddedToken("<both>", lstrip=True, rstrip=True, special=True, normalized=False),
    AddedToken("<word>", single_word=True, normalized=False),
    AddedToken("xyzzy", single_word=True, normalized=True),
    AddedToken("<|im", normalized=False),
    AddedToken("<norm é>", normalized=True),
    AddedToken("<both kinds>", special=True, normalized=True),
    AddedToken("   ", normalized=False),
    AddedToken("\n\n", normalized=False, rstrip=True),
]


def with_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_tokens(_EXTRA)
    return tokenizer
