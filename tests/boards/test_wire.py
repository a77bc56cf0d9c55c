"""What crosses to a board: every request and answer, there and back as it was, and nothing that is not one."""

import json
from dataclasses import fields, is_dataclass
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.boards.wire import plain, read
from edgewright.contracts import board, board_answers, board_commands
from edgewright.contracts.board import Asker, Call, End, Request
from edgewright.contracts.board_answers import Equipped, Facts, Prepared, Survey, Visited
from edgewright.contracts.board_commands import Command

TYPES = [
    found
    for module in (board, board_answers, board_commands)
    for found in vars(module).values()
    if isinstance(found, type) and is_dataclass(found) and found.__module__ == module.__name__
]
CLOSED = {Command: Command.__subclasses__(), Request: Request.__subclasses__()}


def values(kind):
    """Any value of a dataclass, or of one of the kinds of a thing."""
    if kind in CLOSED:
        return st.one_of([values(one) for one in CLOSED[kind]])
    return st.builds(kind, **{name: strategy(hint) for name, hint in hints(kind).items()})


def hints(kind):
    found = get_type_hints(kind)
    return {field.name: found[field.name] for field in fields(kind)}


def strategy(hint):
    origin, inner = getattr(hint, "__origin__", None), getattr(hint, "__args__", ())
    if origin is tuple:
        return st.lists(strategy(inner[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=4), strategy(inner[1]), max_size=2)
    if inner and origin is not Request:
        return st.one_of([strategy(part) for part in inner])
    if (origin or hint) in CLOSED or is_dataclass(hint):
        return values(origin or hint)
    return st.floats(allow_nan=False) if hint is float else st.from_type(hint)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(st.data())
def test_what_crosses_comes_out_as_it_went_in(kind, data):
    value = data.draw(values(kind))
    found = read(kind, json.loads(json.dumps(plain(value))))
    assert found == value
    assert [type(getattr(found, field.name)) for field in fields(kind)] == [
        type(getattr(value, field.name)) for field in fields(kind)
    ]


ASKER = {"who": "me", "host": "here", "pid": 1}


@pytest.mark.parametrize(
    ("kind", "tree", "words"),
    [
        (Equipped, [], r"expected dict, got list - at `\$`"),
        (Equipped, {}, r"missing field 'python' - at `\$`"),
        (Equipped, {"python": "", "more": 1}, r"unknown field 'more' - at `\$`"),
        (Equipped, {"python": 3}, r"expected str, got int - at `\$\.python`"),
        (Asker, {**ASKER, "pid": True}, r"expected int, got bool - at `\$\.pid`"),
        (Asker, {**ASKER, "pid": 1.0}, r"expected int, got float - at `\$\.pid`"),
        (Prepared, {**plain(Prepared()), "missing": [{}]}, r"missing field 'path' - at `\$\.missing\[0\]`"),
        (Prepared, {**plain(Prepared()), "busy": "me"}, r"expected dict, got str - at `\$\.busy`"),
        (Survey, {**plain(Survey(*"abcde")), "engines": "onnx"}, r"expected list, got str - at `\$\.engines`"),
        (Visited, {"exit_code": 0, "files": {"": "#"}, "words": ""}, r"expected base64: .* - at `\$\.files\.`"),
        (
            Call,
            {"root": "", "asker": ASKER, "request": {}},
            r"expected one of prepare, .*, got None - at `\$\.request\.op`",
        ),
        (End, {"op": "install", "token": ""}, r"expected end - at `\$\.op`"),
        (End, {"op": ["end"], "token": ""}, r"expected end - at `\$\.op`"),
    ],
)
def test_what_is_none_is_refused_and_the_place_named(kind, tree, words):
    with pytest.raises(ValueError, match=words):
        read(kind, tree)


def test_a_number_may_be_whole_where_it_need_not_and_is_bounded():
    tree = {**dict.fromkeys(field.name for field in fields(Facts)), "cores": [], "instructions": [], "packages": []}
    tree |= dict.fromkeys(("model", "product", "architecture", "os", "kernel", "python", "executable", "problem"), "")
    assert type(read(Facts, {**tree, "ram_mib": 1, "load": 2}).load) is float
    with pytest.raises(ValueError, match=r"too many digits - at `\$\.load`"):
        read(Facts, {**tree, "ram_mib": 1, "load": 10**400})
