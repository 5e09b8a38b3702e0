# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes what transformers makes of SmolLM2's GGUF tokenizer, for test_tokenizer.py.

    python test/python/make_tokenizer_reference.py

Needs transformers and torch; FDPP itself needs neither.
"""

import json

import test_tokenizer as test
import transformers
from smollm2 import smollm2_gguf
from text_corpus import Corpus

COUNT = 400


def main() -> None:
    gguf = smollm2_gguf()
    theirs = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    added = [token.content for token in theirs.backend_tokenizer.get_added_tokens_decoder().values()]
    strings = Corpus(4, added).strings(COUNT)
    recorded = {
        "transformers": transformers.__version__,
        "pre_tokenizer": json.loads(theirs.backend_tokenizer.to_str())["pre_tokenizer"],
        "strings": strings,
        "ids": theirs(strings, add_special_tokens=True)["input_ids"],
    }
    test.TRANSFORMERS.write_text(json.dumps(recorded) + "\n")


if __name__ == "__main__":
    main()
