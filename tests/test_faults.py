"""The table of faults: none of the 68 is missing, and every test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "docs/faults.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.*?) \| (.*) \|$", TABLE, re.MULTILINE)
CASES = 68
"""Those that edgewright says it survives."""


def test_every_case_is_there_once():
    assert [int(number) for number, _, _ in ROWS] == list(range(1, CASES + 1))


def test_every_test_that_is_named_exists():
    known = {}
    for _, what, tests in ROWS:
        named = re.findall(r"`([^`]+)::([^`]+)`", tests)
        assert named, what
        for path, name in named:
            tree = known.setdefault(path, ast.parse((ROOT / "tests" / path).read_text()))
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"


def test_what_is_missing_is_said_and_nothing_else_is():
    parts = {number for number, what, _ in ROWS if what.startswith("part: ")}
    assert parts == set(re.findall(r"^- \*\*(\d+)\*\*:", TABLE, re.MULTILINE))
