# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Chat templates: from Jinja to the small form that the runtime renders.

A model's chat template is a Jinja program; the runtime has no Jinja. Most
templates only put fixed text around each message, and that is what the form
records. `derive_chat_form` fits the form to what the template prints, then
renders CONVERSATIONS with both: a form that is not byte-equal on all of them,
or that takes a conversation the template refuses, is not returned.

The form, as chat.json holds it (a literal is a string, or an array of strings
and {"strftime": format}):

    format              1
    start               literal, printed first unless a system message leads
    system              null, or the leading system message:
                        mode "turn" (a turn of its own, in place of start) or
                        "in_user" (a part of the first user message, which is
                        trimmed as a whole), and prefix, suffix, trim
    later_system        null, or prefix, suffix, trim of the others
    user, assistant     prefix, suffix (literals) and trim of a message:
                        none, left, right or both, as str.strip() does
    alternate           true: only user, assistant, user, ... behind the system
    generation_prompt   literal that opens the assistant's turn
"""

import datetime
import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox

FORMAT = 1

Messages = list[dict[str, str]]


class Refused(Exception):
    """A conversation that the template, or the form, does not take."""


class _Unfit(Exception):
    """Why a template has no form."""


# --- Jinja, in the environment that transformers gives to templates ----------

# Around a strftime format, so that dates can be told from fixed text.
_DATE_OPEN, _DATE_CLOSE = "\ue0d0", "\ue0d1"
_DATE = re.compile(f"{_DATE_OPEN}(.*?){_DATE_CLOSE}", re.DOTALL)


class _GenerationBlock(jinja2.ext.Extension):
    """{% generation %}...{% endgeneration %} only marks text for training."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> None:
    raise jinja2.exceptions.TemplateError(message)


def _tojson(value: Any, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)


@functools.lru_cache(maxsize=8)
def _compiled(template: str) -> jinja2.Template:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_GenerationBlock, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    return environment.from_string(template)


def special_tokens(tokenizer_config: Mapping[str, Any]) -> dict[str, str]:
    """The *_token entries of a tokenizer_config.json, as templates see them."""
    found = {}
    for key, value in tokenizer_config.items():
        if key.endswith("_token") and not key.startswith("add_"):
            text = value.get("content") if isinstance(value, Mapping) else value
            if isinstance(text, str):
                found[key] = text
    return found


def render_jinja(
    template: str,
    messages: Messages,
    add_generation_prompt: bool,
    tokenizer_config: Mapping[str, Any],
    now: datetime.datetime | None = None,
) -> str:
    """What the template prints; raises Refused for what it does not take."""
    return _render(template, messages, add_generation_prompt, tokenizer_config,
                   (now or datetime.datetime.now()).strftime)


def _render(
    template: str,
    messages: Messages,
    generate: bool,
    config: Mapping[str, Any],
    strftime: Callable[[str], str],
) -> str:
    try:
        return _compiled(template).render(
            messages=[dict(message) for message in messages],
            add_generation_prompt=generate,
            tools=None,
            documents=None,
            strftime_now=strftime,
            **special_tokens(config),
        )
    except Exception as error:  # templates run arbitrary expressions
        raise Refused(str(error).splitlines()[0] if str(error) else type(error).__name__) from None


# --- The form ----------------------------------------------------------------


def _literal(text: str) -> str | list:
    parts = _DATE.split(text)
    if len(parts) == 1:
        return text
    marked = [{"strftime": part} if index % 2 else part for index, part in enumerate(parts)]
    return [part for part in marked if part != ""]


def _print(literal: str | list, now: datetime.datetime) -> str:
    if isinstance(literal, str):
        return literal
    return "".join(
        part if isinstance(part, str) else now.strftime(part["strftime"]) for part in literal
    )


def _trimmed(text: str, trim: str) -> str:
    return {"none": str, "left": str.lstrip, "right": str.rstrip, "both": str.strip}[trim](text)


def render_form(
    form: Mapping[str, Any],
    messages: Messages,
    add_generation_prompt: bool,
    now: datetime.datetime | None = None,
) -> str:
    """What runtime/text/ChatTemplate.cpp prints; raises Refused as it fails."""
    moment = now or datetime.datetime.now()

    def turn(shape: Mapping[str, Any], content: str) -> str:
        return (_print(shape["prefix"], moment) + _trimmed(content, shape["trim"])
                + _print(shape["suffix"], moment))

    if not messages:
        raise Refused("no message")
    out, in_user = _print(form["start"], moment), ""
    system, rest = form["system"], messages
    if messages[0]["role"] == "system":
        rest = messages[1:]
        if system is None:
            raise Refused("a system message")
        content = turn(system, messages[0]["content"])
        if system["mode"] == "turn":
            out = content
        elif not rest or rest[0]["role"] != "user":
            raise Refused("no user message behind the system message")
        else:
            in_user = content
    for index, message in enumerate(rest):
        role = message["role"]
        if form["alternate"] and role != ("user", "assistant")[index % 2]:
            raise Refused("roles that do not alternate")
        shape = form.get({"system": "later_system"}.get(role, role))
        if role not in ("system", "user", "assistant") or shape is None:
            raise Refused(f"role {role}")
        if role == "user":
            out, in_user = out + turn(shape, in_user + message["content"]), ""
        else:
            out += turn(shape, message["content"])
    return out + (_print(form["generation_prompt"], moment) if add_generation_prompt else "")


# --- Fitting -----------------------------------------------------------------


def _conversation(*contents: str) -> Messages:
    """Roles from the first letter: s, u or a."""
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": roles[content[0]], "content": content[1:]} for content in contents]


class _Fit:
    """Finds the literals by looking at what stands around known contents."""

    _PAD = " \n\t"

    def __init__(self, template: str, config: Mapping[str, Any]):
        self._template = template
        self._config = config

    def _text(self, *contents: str, generate: bool = False) -> str:
        def marked(pattern: str) -> str:
            return _DATE_OPEN + pattern + _DATE_CLOSE

        return _render(self._template, _conversation(*contents), generate, self._config, marked)

    def _gaps(self, *contents: str) -> list[str]:
        """The text before, between and behind the contents."""
        rest, gaps = self._text(*contents), []
        for content in contents:
            before, found, rest = rest.partition(content[1:])
            if not found:
                raise _Unfit("the template leaves out or rewrites a message")
            gaps.append(before)
        return [*gaps, rest]

    def _without(self, text: str, known: str, at_end: bool, what: str) -> str:
        if at_end and text.endswith(known):
            return text[: len(text) - len(known)]
        if not at_end and text.startswith(known):
            return text[len(known) :]
        raise _Unfit(f"the template writes {what} in more than one way")

    def _trim(self, contents: tuple[str, ...], which: int) -> str:
        padded = list(contents)
        core = padded[which][1:]
        padded[which] = contents[which][0] + self._PAD + core + self._PAD
        before, found, behind = self._text(*padded).partition(core)
        if not found:
            raise _Unfit("the template rewrites a message with space at its ends")
        left, right = not before.endswith(self._PAD), not behind.startswith(self._PAD)
        return {(0, 0): "none", (1, 0): "left", (0, 1): "right", (1, 1): "both"}[left, right]

    def _turn(self, prefix: str, suffix: str, trim: str) -> dict:
        return {"prefix": _literal(prefix), "suffix": _literal(suffix), "trim": trim}

    def form(self) -> dict:
        user_1, answer_1, user_2 = "uQaskFirstQ", "aQanswerFirstQ", "uQaskSecondQ"
        head, user_suffix = self._gaps(user_1)
        alone = self._text(user_1)
        generation = self._without(self._text(user_1, generate=True), alone, False,
                                   "what stands before the generation prompt")
        _, middle, answer_suffix = self._gaps(user_1, answer_1)
        answer_prefix = self._without(middle, user_suffix, False, "the end of a user message")
        _, _, middle, _ = self._gaps(user_1, answer_1, user_2)
        user_prefix = self._without(middle, answer_suffix, False, "the end of an answer")
        start = self._without(head, user_prefix, True, "the start of a user message")
        return {
            "format": FORMAT,
            "start": _literal(start),
            "system": self._system(start, user_prefix),
            "later_system": self._later_system(answer_suffix, user_prefix),
            "user": self._turn(user_prefix, user_suffix, self._trim((user_1,), 0)),
            "assistant": self._turn(answer_prefix, answer_suffix,
                                    self._trim((user_1, answer_1), 1)),
            "alternate": not self._takes(user_1, user_2),
            "generation_prompt": _literal(generation),
        }

    def _takes(self, *contents: str) -> bool:
        try:
            self._text(*contents)
        except Refused:
            return False
        return True

    def _system(self, start: str, user_prefix: str) -> dict | None:
        contents = ("sQsystemQ", "uQaskQ")
        if not self._takes(*contents):
            return None
        before, between, _ = self._gaps(*contents)
        trim = self._trim(contents, 0)
        if between.endswith(user_prefix):
            suffix = between[: len(between) - len(user_prefix)]
            return {"mode": "turn", **self._turn(before, suffix, trim)}
        opening = self._without(before, start + user_prefix, False, "the first user message")
        return {"mode": "in_user", **self._turn(opening, between, trim)}

    def _later_system(self, answer_suffix: str, user_prefix: str) -> dict | None:
        contents = ("uQaskQ", "aQanswerQ", "sQlaterQ", "uQagainQ")
        if not self._takes(*contents):
            return None
        _, _, before, between, _ = self._gaps(*contents)
        prefix = self._without(before, answer_suffix, False, "the end of an answer")
        suffix = self._without(between, user_prefix, True, "the start of a user message")
        return self._turn(prefix, suffix, self._trim(contents, 2))


CONVERSATIONS: list[Messages] = [
    _conversation("uWhat is the capital of France?"),
    _conversation("sYou are terse.", "uHi"),
    _conversation("uHi", "aHello! How can I help?", "uTell me a joke."),
    _conversation("sSpeak like a pirate.", "uHi", "aArr!", "uMore", "aArr, arr!", "uStop"),
    _conversation("uOne", "aTwo", "uThree", "aFour", "uFive", "aSix", "uSeven"),
    _conversation("s", "uEmpty system message"),
    _conversation("u"),
    _conversation("sNot empty", "u", "a", "u"),
    _conversation("u  leading", "atrailing  ", "u\n\tboth \r\n "),
    _conversation("s \n padded system \n\n", "u  padded user\t", "a padded answer\n", "u\u3000wide\u00a0"),
    _conversation("s\u200b zero width \u2028", "u \x1c \x85 ", "a\ufeffmark\u2003"),
    _conversation("u   ", "a \n ", "u\t"),
    _conversation("sSei höflich — 请用中文回答。", "uПривет, 世界! 👩‍👩‍👧‍👦", "aनमस्ते 🇫🇷", "uمرحبا"),
    _conversation("u{{ messages }} {% raw %} <b>&amp;</b> \"quotes\" 'single' \\n \\", "a`code`\n```\nx\n```"),
    _conversation("s<|im_end|> <<SYS>> </s>", "u[INST] <|eot_id|> [/INST] <s>", "a<|user|>\n<|end|>", "u<|im_start|>"),
    _conversation("uAsk", "aThe answer stands last."),
    _conversation("sRules", "uAsk", "aAnswer", "s\n New rules  ", "uAsk again"),
    _conversation("uFirst", "uSecond without an answer", "aAnswer"),
    _conversation("aAn answer first", "uWhat?"),
    _conversation("sOnly a system message"),
]  # fmt: skip


def _outcome(render: Callable[..., str], *arguments: Any) -> str | None:
    try:
        return render(*arguments)
    except Refused:
        return None


def derive_chat_form(
    template: str, tokenizer_config: Mapping[str, Any]
) -> tuple[dict | None, str]:
    """(form, "") or (None, why there is none)."""
    try:
        _compiled(template)
    except jinja2.TemplateError as error:
        return None, f"the chat template is no Jinja: {error}"
    try:
        form = _Fit(template, tokenizer_config).form()
    except Refused as error:
        return None, f"the chat template refuses a plain conversation: {error}"
    except _Unfit as error:
        return None, str(error)
    difference = find_difference(form, template, tokenizer_config)
    return (None, difference) if difference else (form, "")


def find_difference(
    form: Mapping[str, Any], template: str, tokenizer_config: Mapping[str, Any]
) -> str:
    """Where form and template differ on CONVERSATIONS; empty if nowhere."""
    now = datetime.datetime(2024, 2, 29, 13, 5, 9)
    for number, messages in enumerate(CONVERSATIONS, 1):
        for generate in (False, True):
            wanted = _outcome(render_jinja, template, messages, generate, tokenizer_config, now)
            made = _outcome(render_form, form, messages, generate, now)
            if wanted != made:
                return f"the form differs from the template on test conversation {number}"
    return ""
