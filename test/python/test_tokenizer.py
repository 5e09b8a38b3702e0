# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""runtime/text against Hugging Face `tokenizers`, string by string.

SmolLM2's own tokenizer and small vocabularies of each family; encoding,
decoding and decoding one token at a time must be identical.
"""

import json
import random
import re
from pathlib import Path

import needs
import pytest
import text_driver
from smollm2 import smollm2_files
from text_corpus import Corpus

tokenizers = needs.module("tokenizers")

from tokenizer_families import FAMILIES, with_added_tokens  # noqa: E402

STRINGS = 10_000
TRANSFORMERS = Path(__file__).parent / "smollm2_tokenizer.json"


def _first_difference(wanted, made, inputs):
    for source, want, got in zip(inputs, wanted, made, strict=True):
        if want != got:
            return f"{source!r}: wanted {want!r}, got {got!r}"
    return None


def _check_decoding(path, reference, sequences, skip_special):
    wanted = reference.decode_batch(sequences, skip_special_tokens=skip_special)
    made = text_driver.decode(path, sequences, skip_special)
    assert _first_difference(wanted, made, sequences) is None
    parts = text_driver.stream(path, sequences, skip_special)
    assert all(len(part) == len(ids) + 1 for part, ids in zip(parts, sequences, strict=True))
    joined = ["".join(part) for part in parts]
    assert _first_difference(wanted, joined, sequences) is None


def _random_sequences(reference, count):
    """Ids in no order that text gives, unknown ones among them."""
    draw = random.Random(5)
    limit = reference.get_vocab_size() + 3
    return [[draw.randrange(limit) for _ in range(draw.randint(0, 12))] for _ in range(count)]


def _check(path, count=STRINGS):
    reference = tokenizers.Tokenizer.from_file(str(path))
    added = [token.content for token in reference.get_added_tokens_decoder().values()]
    strings = Corpus(2024, added).strings(count)
    encoded = []
    for add_special in (False, True):
        batch = reference.encode_batch(strings, add_special_tokens=add_special)
        encoded = [encoding.ids for encoding in batch]
        made = text_driver.encode(path, strings, add_special)
        assert _first_difference(encoded, made, strings) is None
    for skip_special in (False, True):
        _check_decoding(path, reference, encoded, skip_special)
        _check_decoding(path, reference, _random_sequences(reference, count // 5), skip_special)


@pytest.fixture(scope="session")
def smollm2_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("smollm2") / "tokenizer.json"
    path.write_bytes(smollm2_files()["tokenizer.json"])
    return path


def test_smollm2(smollm2_path):
    _check(smollm2_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_family(tmp_path, family):
    path = tmp_path / "tokenizer.json"
    FAMILIES[family]().save(str(path))
    _check(path)


@pytest.mark.parametrize("family", ["smollm", "qwen2", "llama2_legacy", "llama2_metaspace"])
def test_family_with_added_tokens(tmp_path, family):
    path = tmp_path / "tokenizer.json"
    with_added_tokens(FAMILIES[family]()).save(str(path))
    _check(path, STRINGS // 2)


def test_long_texts(tmp_path, smollm2_path):
    """Texts that would take minutes if any step were quadratic."""
    llama2 = tmp_path / "llama2.json"
    FAMILIES["llama2_legacy"]().save(str(llama2))
    texts = ["a" * 300_000, " " * 300_000, "\n " * 100_000, "word " * 60_000, "语" * 100_000,
             "é" * 100_000, "<|im_end|>" * 20_000, "1" * 200_000]  # fmt: skip
    for path in (smollm2_path, llama2):
        reference = tokenizers.Tokenizer.from_file(str(path))
        wanted = [reference.encode(text, add_special_tokens=False).ids for text in texts]
        made = text_driver.encode(path, texts, False)
        assert [len(ids) for ids in made] == [len(ids) for ids in wanted]
        assert made == wanted


def test_invalid_utf8_counts_as_replacement_characters(smollm2_path):
    broken = [b"a\xffb", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\x80", b"\xed\xa0\x80x", b"ok\x80\x80"]
    replaced = [data.decode("utf-8", "replace") for data in broken]
    records = [text_driver._words(0, len(data)) + data for data in broken]
    reader = text_driver._run("encode", smollm2_path, records)
    assert [reader.ids() for _ in broken] == text_driver.encode(smollm2_path, replaced, False)


def test_legacy_merges_are_read_alike(tmp_path, smollm2_path):
    """Files written before 2024 hold merges as "left right"."""
    tree = json.loads(smollm2_path.read_text(encoding="utf-8"))
    tree["model"]["merges"] = [" ".join(pair) for pair in tree["model"]["merges"]]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    strings = Corpus(3).strings(500)
    assert text_driver.encode(path, strings, True) == text_driver.encode(smollm2_path, strings, True)


def _plain(text: str) -> bool:
    """transformers leaves out the Digits step that pre 'smollm' stands for. The
    merges hold no ASCII digit, so that only shows behind runs of white space and
    between other numbers."""
    other_numbers = any(c.isnumeric() and not c.isascii() for c in text)
    return not other_numbers and not re.search(r"\s\s[0-9]", text)


def test_gguf_conversion_equals_transformers(smollm2_path):
    """Against what transformers makes of the same file, recorded: it needs torch
    for that (make_tokenizer_reference.py)."""
    recorded = json.loads(TRANSFORMERS.read_text())
    ours = tokenizers.Tokenizer.from_file(str(smollm2_path))
    strings, wanted = recorded["strings"], recorded["ids"]
    made = [ours.encode(text).ids for text in strings]
    plain = [row for row in zip(wanted, made, strings, strict=True) if _plain(row[2])]
    assert len(plain) > len(strings) * 0.6
    assert _first_difference(*zip(*plain, strict=True)) is None

    tree = json.loads(smollm2_path.read_text(encoding="utf-8"))
    tree["pre_tokenizer"] = recorded["pre_tokenizer"]
    theirs = tokenizers.Tokenizer.from_str(json.dumps(tree))
    made = [theirs.encode(text).ids for text in strings]
    assert _first_difference(wanted, made, strings) is None
