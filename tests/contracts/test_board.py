"""The seam of a board: typed throughout, each request with its operation there and its answer."""

import importlib
import inspect
import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from edgewright.contracts import board, board_answers, board_commands
from edgewright.contracts.board import Request
from edgewright.contracts.board_commands import Command, Engines, Health, Kind, Program, Server, Verify
from edgewright.devices._onboard.agent import OPERATIONS
from edgewright.devices._onboard.commands import Place, argv
from edgewright.system.interpreter import line, there

REQUESTS = Request.__subclasses__()
MODULES = (board, board_answers, board_commands)
CROSSING = list(dict.fromkeys(kind for module in MODULES for kind in vars(module).values() if is_dataclass(kind)))


def inside(hint):
    """A type and those that it is made of."""
    return [hint, *(part for inner in getattr(hint, "__args__", ()) for part in inside(inner))]


def test_nothing_that_crosses_is_of_any_type():
    """But for the request of a call, which is one of the requests."""
    hints = {(kind, field.name): get_type_hints(kind)[field.name] for kind in CROSSING for field in fields(kind)}
    assert [where for where, hint in hints.items() if Any in inside(hint)] == [(board.Call, "request")]
    for module in MODULES:
        assert "dict[str, Any]" not in Path(module.__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda kind: kind.op)
def test_each_request_has_its_operation_and_its_answer(request_):
    operation = inspect.signature(OPERATIONS[request_])
    assert operation.parameters["request"].annotation == request_.__name__
    assert operation.return_annotation == request_.answer().__name__
    assert request_.answer() in CROSSING


def test_there_is_no_other_operation_and_no_name_twice():
    assert set(OPERATIONS) == set(REQUESTS)
    for family in (REQUESTS, Command.__subclasses__()):
        assert len({kind.op for kind in family}) == len(family)
    assert {kind for kind in CROSSING if issubclass(kind, Kind)} == {*REQUESTS, *Command.__subclasses__()}


def test_what_only_looks_may_be_asked_again():
    assert {kind.op for kind in REQUESTS if kind.repeatable} == {"list", "status", "facts", "survey"}


def test_the_operations_of_the_board_take_no_tree():
    for name in {module.__module__ for module in OPERATIONS.values()}:
        text = Path(importlib.import_module(name).__file__).read_text(encoding="utf-8")
        assert "request[" not in text


PLACE = Place("py", "/b", "/s")


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (Verify(), there("py", "edgewright", "verify", "/b", "--json", "--quiet")),
        (Verify(quick=True, python="own"), there("own", "edgewright", "verify", "/b", "--json", "--quiet", "--quick")),
        (Health(), there("py", "edgewright", "ask", "/s", "--health", "--json")),
        (Server("own"), there("own", "edgewright", "serve", "/b", "--socket", "/s")),
        (
            Engines(("onnx", "tflite")),
            line("py", "from edgewright.doctor import require_engine; require_engine(sys.argv[1:])", "onnx", "tflite"),
        ),
        (Program(("{python}", "-x", "{bundle}", "y{bundle}")), ["py", "-x", "/b", "y{bundle}"]),
    ],
    ids=str,
)
def test_a_python_board_is_asked_by_names_that_every_version_has(command, wanted):
    assert argv(command, PLACE) == wanted


def test_an_edgewright_of_another_version_is_told():
    words = argv(Engines(("onnx",), version="1.2"), PLACE)
    assert words[-2:] == ["1.2", "onnx"]
    assert "sys.exit(found != sys.argv[1]" in words[2]


def test_what_an_engine_must_open_is_told_apart_from_formats():
    given = Engines(("onnx", "ort"), stamps=(b"one", b"two"), operators=("MatMul", "com.microsoft:X"), kernels=(b"k",))
    *formats, asked = argv(given, PLACE)[-3:]
    assert formats == ["onnx", "ort"]
    assert json.loads(asked) == {
        "stamps": ["b25l", "dHdv"],
        "kernels": ["aw=="],
        "operators": ["MatMul", "com.microsoft:X"],
    }


def test_every_command_has_an_argument_vector():
    for kind in Command.__subclasses__():
        assert argv(kind(("x",)) if kind in (Engines, Program) else kind(), PLACE)
    with pytest.raises(TypeError, match="a board cannot run"):
        argv(Command(), PLACE)
