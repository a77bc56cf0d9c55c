"""Answers of a form, by a model that means nothing: whatever it writes has it."""

import itertools
import json
import re

import numpy as np
import pytest
from test_generator import made
from test_text_stream import byte_fallback, byte_level

from edgewright.errors import DataError, UsageError
from edgewright.generation.constraint import Constraints, Form

pytest.importorskip("llguidance", reason="it knows which tokens may come: pip install 'edgewright[constrained]'")

SCHEMA = {
    "type": "object",
    "properties": {
        "room": {"enum": ["kitchen", "b\u00e4th", "\u5c45\u9593"]},
        "degrees": {"type": "integer", "minimum": 10, "maximum": 30},
        "on": {"type": "boolean"},
    },
    "required": ["room", "degrees", "on"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module", params=[byte_level, byte_fallback], ids=["byte level", "byte fallback"])
def words(request, tmp_path_factory):
    """Tokenizers of both kinds, one of whose tokens ends an answer."""
    root, tokenizer = tmp_path_factory.mktemp("words"), request.param()
    tokenizer.add_special_tokens(["<the end>"])
    tokenizer.save(str(root / "tokenizer.json"))
    return root, tokenizer.token_to_id("<the end>")


@pytest.fixture(scope="module")
def writers(words):
    root, end = words
    return [made(root, ends=(end,), context=512, seed=seed) for seed in range(3)]


def answers(writers, **options):
    for writer, temperature in itertools.product(writers, (0.0, 1.0)):
        text = writer("Once", return_full_text=False, temperature=temperature, seed=7, **options)[0]["generated_text"]
        yield text, writer.last.reason


def test_a_choice_is_one_of_them(writers):
    choices = ["yes", "no", "may (be)?", "\u00fcber*"]
    found = {text for text, reason in answers(writers, choices=choices, max_new_tokens=40) if reason == "end"}
    assert found <= set(choices)
    assert len(found) > 1


def test_an_expression_matches_the_whole_answer(writers):
    for text, reason in answers(writers, regex="[0-9]{2}:[0-9]{2} (am|pm)", max_new_tokens=40):
        assert reason == "end"
        assert re.fullmatch("[0-9]{2}:[0-9]{2} (am|pm)", text)


def test_json_is_what_the_schema_allows(writers):
    for text, reason in answers(writers, json_schema=SCHEMA, max_new_tokens=200):
        assert reason == "end"
        found = json.loads(text)
        assert set(found) == {"room", "degrees", "on"}
        assert found["room"] in SCHEMA["properties"]["room"]["enum"]
        assert 10 <= found["degrees"] <= 30
        assert type(found["on"]) is bool


def test_one_that_is_cut_begins_so(writers):
    for text, reason in answers(writers, regex="(ab){40}", max_new_tokens=5):
        assert reason == "length"
        assert ("ab" * 40).startswith(text)


def test_guessing_ahead_keeps_to_the_form(words):
    """A model that writes a and b in turn for ever: all that is guessed is what it would write."""
    root, end = words
    writer = made(root, ends=(end,), context=512)
    a, b = (writer.tokenizer.vocabulary[letter] for letter in "ab")
    writer.session.decoder._table[:] = 0
    writer.session.decoder._table[:, :, a] = writer.session.decoder._table[:, a, b] = 1
    writer.session.decoder._table[:, a, a] = 0
    for lookup in (0, 4):
        answer = writer("abab", return_full_text=False, regex="(ab){9}c", max_new_tokens=60, lookup=lookup)
        assert answer == [{"generated_text": "ab" * 9 + "c"}]
    assert writer("abab", return_full_text=False, max_new_tokens=18, lookup=4) == [{"generated_text": "ab" * 9}]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"regex": "(a|b"}, "unclosed group"),
        ({"json_schema": "{"}, "json_schema"),
        ({"json_schema": {"type": "nope"}}, "nope"),
        ({"json_schema": {"type": "string", "minLength": 5, "maxLength": 2}}, "minLength"),
        ({"json_schema": {"enum": []}}, "empty"),
        ({"json_schema": {"$ref": "http://127.0.0.1:9/x"}}, "does not fetch"),
        ({"json_schema": {"type": "object", "patternProperties": {"[": {}}}}, "json_schema"),
        ({"json_schema": {"$ref": "#"}}, "json_schema"),
        ({"json_schema": '{"items":' * 99999}, "recursion limit"),
        ({"json_schema": {"type": "string", "format": "nope", "x-guidance": {"lenient": True}}}, "Unknown format"),
        ({"regex": "\ud800"}, "surrogates not allowed"),
        ({"regex": 5}, "regex is 5, it must be a text"),
        ({"json_schema": {1: {2}}}, "json_schema is no JSON"),
        ({"choices": []}, "must be texts"),
        ({"choices": "yes"}, "must be texts"),
        ({"choices": ["yes", ""]}, "must be texts"),
        ({"choices": ["yes"], "regex": "a"}, "choices and regex are given"),
        ({"regex": "a" * 2**21}, "at most 1048576"),
    ],
)
def test_a_form_that_no_answer_has_is_refused_before_a_token(writers, options, why):
    writer = writers[0]
    with pytest.raises(UsageError, match=re.escape(why)) as caught:
        writer("Once", **options)
    assert "\n" not in str(caught.value)
    assert writer("Once", max_new_tokens=2)


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    """A tokenizer that was cut down: it has no token for X, and none for the second byte of an \u00e4."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    root, lacks = tmp_path_factory.mktemp("poor"), "X\u00a4"
    kept = [one for one in sorted(pre_tokenizers.ByteLevel.alphabet()) if one not in lacks]
    tokenizer = Tokenizer(models.BPE({one: at for at, one in enumerate(kept)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<the end>"])
    tokenizer.save(str(root / "tokenizer.json"))
    return Constraints(root, len(kept) + 1, [len(kept)])


@pytest.mark.parametrize(
    ("options", "met"),
    [
        ({"choices": ["abXc"]}, False),
        ({"choices": ["abXc", "abd"]}, True),
        ({"regex": "a{2,5}[XY]"}, True),
        ({"regex": "(a|b){2,5}X"}, False),
        ({"regex": "z\u00e4"}, False),
        ({"regex": "z(\u00e4|\u00f6)"}, True),
        ({"json_schema": {"type": "object", "properties": {"X": {}}, "required": ["X"]}}, False),
        ({"json_schema": {"enum": ["one X"]}}, False),
        ({"json_schema": SCHEMA}, True),
        ({"json_schema": {"type": "array", "items": {"type": "string", "minLength": 40}, "minItems": 3}}, True),
    ],
)
def test_a_form_that_this_tokenizer_cannot_write_is_refused(poor, options, met):
    form = Form.of(**options)
    if met:
        assert not poor.begin(form).dead()
        return
    with pytest.raises(UsageError, match="cannot write one, it has no token for 2 bytes, 0x58 0xa4 among") as caught:
        poor.begin(form)
    assert "\n" not in str(caught.value)


def test_a_token_that_is_not_allowed_is_refused(words):
    root, end = words
    constraint = Constraints(root, 400, [end]).begin(Form.of(regex="ab"))
    allowed = constraint.allowed()
    assert allowed.shape == (400,)
    assert not allowed[end]
    assert not allowed[390], "no token has this id"
    with pytest.raises(DataError, match="cannot go on with the form"):
        constraint.take(int(np.flatnonzero(~allowed)[0]))
    with pytest.raises(DataError, match="cannot keep to its form"):
        constraint.held(np.zeros(400, np.float32))
