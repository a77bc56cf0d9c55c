"""What tools/proofs says: each heavier proof with what came of it, and none that has not been passed."""

import ast
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "proofs.md"
HEAVY = re.compile(r"mark\.heavy\b|\b(?:first|some)\(")
"""How a test is marked, or some values of its parameters by `lighter`."""


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.syspath_prepend(TESTS.parent / "tools")
    sys.modules.pop("proofs", None)
    import proofs

    return proofs.Kept()


def test_each_proof_has_its_line(kept):
    for name, outcomes in {
        "tests/e2e/test_matrix.py::test_a_cell[onnx]": ("passed", "passed", "passed"),
        "tests/e2e/test_boards.py::test_a_bare_board": ("passed", "failed", "passed"),
        "tests/e2e/test_boards.py::test_another": ("skipped",),
    }.items():
        for outcome in outcomes:
            kept.pytest_runtest_logreport(SimpleNamespace(nodeid=name, outcome=outcome, duration=4.1))
    said = [line.rpartition(" | ")[0] for line in kept.page().splitlines()[-3:]]
    assert said == [
        "| a bare board | `tests/e2e/test_boards.py` | failed | 12",
        "| another | `tests/e2e/test_boards.py` | skipped | 4",
        "| a cell[onnx] | `tests/e2e/test_matrix.py` | passed | 12",
    ]


def test_a_part_that_runs_again_has_new_lines_and_leaves_the_others(kept):
    before = "| a | `tests/a.py` | failed | 1 | then |\n| b[x y] | `tests/b.py` | passed | 2 | then |\n"
    kept.pytest_runtest_logreport(SimpleNamespace(nodeid="tests/a.py::test_a", outcome="passed", duration=3.0))
    first, second = kept.page(before).splitlines()[-2:]
    assert first.startswith("| a | `tests/a.py` | passed | 3 | ")
    assert second == "| b[x y] | `tests/b.py` | passed | 2 | then |"


def test_the_published_page_has_every_heavy_test_and_all_passed():
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    assert {result for _, _, result, *_ in rows} == {"passed"}
    assert {(where.strip("`"), what.partition("[")[0]) for what, where, *_ in rows} == set(_marked())


def _marked():
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text()
        if HEAVY.search(text) and path != Path(__file__):
            functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
            heavy = {
                one.name for one in functions if any(HEAVY.search(ast.unparse(mark)) for mark in one.decorator_list)
            }
            while more := {one.name for one in functions if heavy & _asked(one)} - heavy:
                heavy |= more  # whoever asks for a fixture with such parameters
            for name in heavy:
                if name.startswith("test_"):
                    yield path.relative_to(TESTS.parent).as_posix(), name.removeprefix("test_").replace("_", " ")


def _asked(function):
    """The fixtures that it takes with whatever parameters they have."""
    marks = " ".join(ast.unparse(mark) for mark in function.decorator_list)
    return set() if "indirect=" in marks else {one.arg for one in function.args.args}
