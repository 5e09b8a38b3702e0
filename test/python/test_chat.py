# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Chat forms: C++ and Python renderings against jinja2's."""

import copy
import datetime
import json
import random

import pytest
import text_driver
from chat_templates import FAMILIES, UNFIT
from smollm2 import smollm2_files
from text_corpus import Corpus

from fdpp.chat import (
    CONVERSATIONS,
    Refused,
    derive_chat_form,
    find_difference,
    render_jinja,
)

NOW = datetime.datetime(2025, 11, 3, 9, 7, 5)


def _jinja(template, messages, generate, config):
    try:
        return render_jinja(template, messages, generate, config, NOW)
    except Refused:
        return None


def _random_conversations(count):
    """Turns in every order, contents of every kind."""
    draw = random.Random(7)
    texts = iter(Corpus(8, ["<|im_end|>", "[/INST]", "</s>"]).strings(10 * count))
    conversations = []
    for _ in range(count):
        length = draw.randint(1, 8)
        roles = ["user", "assistant"] * 4
        if draw.random() < 0.5:
            roles.insert(0, "system")
        if draw.random() < 0.3:
            draw.shuffle(roles)
        conversations.append([{"role": role, "content": next(texts)} for role in roles[:length]])
    return conversations


def _check(tmp_path, template, config):
    form, reason = derive_chat_form(template, config)
    assert form is not None, reason
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(form), encoding="utf-8")
    conversations = CONVERSATIONS + _random_conversations(200)
    taken = 0
    for generate in (False, True):
        wanted = [_jinja(template, messages, generate, config) for messages in conversations]
        made = text_driver.chat(path, conversations, generate, int(NOW.timestamp()))
        assert made == wanted
        taken += sum(text is not None for text in wanted)
    assert taken > 100


@pytest.mark.parametrize("family", FAMILIES)
def test_runtime_renders_what_jinja_renders(tmp_path, family):
    _check(tmp_path, *FAMILIES[family])


def test_smollm2_own_template(tmp_path):
    config = json.loads(smollm2_files()["tokenizer_config.json"])
    template = config["chat_template"]
    _check(tmp_path, template, config)
    ours, our_config = FAMILIES["smollm2"]
    for messages in CONVERSATIONS:
        assert _jinja(template, messages, True, config) == _jinja(ours, messages, True, our_config)


def test_forms_of_the_families_differ():
    forms = [derive_chat_form(*family)[0] for family in FAMILIES.values()]
    assert len({json.dumps(form, sort_keys=True) for form in forms}) == len(FAMILIES)


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_template_gives_a_reason(name):
    template, part = UNFIT[name]
    form, reason = derive_chat_form(template, {})
    assert form is None
    assert part in reason


@pytest.mark.parametrize("family", FAMILIES)
def test_conversations_catch_a_wrong_form(family):
    """Each field matters: no wrong value of one passes all conversations."""
    template, config = FAMILIES[family]
    form, _ = derive_chat_form(template, config)
    wrong = [{**form, "start": "x"}, {**form, "generation_prompt": "x"},
             {**form, "alternate": not form["alternate"]}]  # fmt: skip
    for part in ("system", "later_system", "user", "assistant"):
        if form[part] is None:
            continue
        wrong.append({**form, part: None} if "system" in part else form | {"start": "y"})
        for key in ("prefix", "suffix"):
            wrong.append({**form, part: {**form[part], key: "x"}})
        for trim in {"none", "left", "right", "both"} - {form[part]["trim"]}:
            wrong.append({**form, part: {**form[part], "trim": trim}})
    for number, candidate in enumerate(copy.deepcopy(wrong)):
        assert find_difference(candidate, template, config), (number, candidate)
