# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The files beside a model: tokenizer, chat template, licence."""

import fnmatch
import json
from pathlib import Path

from .chat import derive_chat_form
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


def with_chat(files: dict[str, bytes]) -> tuple[dict[str, bytes], list[str]]:
    """The files with chat.json, the runtime's form of their chat template, or
    a warning that says why the template has no such form."""
    config = _tokenizer_config(files)
    template = _chat_template(files, config)
    if template is None:
        return files, []
    form, reason = derive_chat_form(template, config)
    if form is None:
        return files, [f"no {CHAT_FILE}: {reason}; engines will not take --chat"]
    text = json.dumps(form, ensure_ascii=False, indent=2) + "\n"
    return {**files, CHAT_FILE: text.encode()}, []


def _tokenizer_config(files: dict[str, bytes]) -> dict:
    try:
        config = json.loads(files.get("tokenizer_config.json", b"{}"))
    except ValueError as error:
        raise UserError(f"tokenizer_config.json is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise UserError("tokenizer_config.json must hold a JSON object")
    return config


def _chat_template(files: dict[str, bytes], config: dict) -> str | None:
    """The template's own file wins over tokenizer_config.json, where it may
    be a text or a list of named texts."""
    if "chat_template.jinja" in files:
        try:
            return files["chat_template.jinja"].decode()
        except UnicodeDecodeError:
            raise UserError("chat_template.jinja is not UTF-8") from None
    template = config.get("chat_template")
    if isinstance(template, list):
        named = [entry for entry in template if isinstance(entry, dict)]
        default = [entry for entry in named if entry.get("name") == "default"]
        template = default[0].get("template") if default else None
    if template is not None and not isinstance(template, str):
        raise UserError("tokenizer_config.json: 'chat_template' is no text")
    return template


def is_companion(name: str) -> bool:
    """Whether exports write files of this name."""
    patterns = (*_PATTERNS, CHAT_FILE)
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
