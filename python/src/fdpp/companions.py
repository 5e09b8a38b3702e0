# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The files beside a model: tokenizer, chat template, licence."""

import fnmatch
from pathlib import Path

from .errors import UserError

CHAT_FILE = "chat.json"

# Files that travel with a model under their own names.
_PATTERNS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
    "config.json",
    "LICENSE*",
    "NOTICE*",
)


def read_folder(folder: Path) -> dict[str, bytes]:
    """The companions that a Hugging Face folder has."""
    files = {}
    for pattern in _PATTERNS:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                try:
                    files[path.name] = path.read_bytes()
                except OSError as error:
                    raise UserError(f"cannot read {path}: {error.strerror}") from None
    return files


def is_companion(name: str) -> bool:
    """Whether exports write files of this name."""
    patterns = (*_PATTERNS, CHAT_FILE)
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
