"""The board's part: sent as one program, for Python 3.9, and its answer found among whatever else is printed."""

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.boards.agent import MODULES, PythonBoard, pack, source_of
from edgewright.boards.wire import frame, unframe
from edgewright.contracts.board import Asker, Call, End, Inspect
from edgewright.contracts.board_commands import Kind
from edgewright.contracts.transport import Completed
from edgewright.devices.local import Local
from edgewright.errors import DeviceError, UsageError

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
trees = st.dictionaries(st.text(max_size=6), values, max_size=4)


def test_a_program_ends_in_its_call_alone():
    first, second = (pack(Call("/x", Asker("me", "here", 1), End(token))) for token in ("one", "two"))
    assert first.splitlines()[:-2] == second.splitlines()[:-2]
    assert first != second


@given(trees, st.binary(max_size=40))
def test_an_answer_is_found_behind_a_banner(tree, banner):
    assert unframe(banner + frame(tree)) == tree


def test_the_last_answer_counts_and_none_is_none():
    assert unframe(frame({"a": 1}) + frame({"a": 2}) + b"bye\n") == {"a": 2}
    assert unframe(b"Welcome!\nedgewright-answer\n") is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"edgewright-answer: {", "is not JSON: .*; the connection broke; try again"),
        (b"edgewright-answer: [" + b"[" * 99_999, "is not JSON"),
        (b"edgewright-answer: []", "is no JSON object"),
        (b"edgewright-answer: " + b" " * 2**22 + b"{}", "has 4194325 bytes, at most 4194304 are read"),
    ],
    ids=["torn", "deep", "list", "long"],
)
def test_an_answer_that_cannot_be_is_an_error_of_the_board(line, words):
    with pytest.raises(DeviceError, match=words):
        unframe(line)


@pytest.mark.parametrize("name", MODULES)
def test_the_boards_part_is_the_standard_library_and_itself(name):
    tree = ast.parse(source_of(name), feature_version=(3, 9))
    names = {
        module
        for node in ast.walk(tree)
        for module in (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None)]
        )
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    ours = {module for module in names if module.startswith("edgewright")}
    assert {module.split(".")[0] for module in names - ours} <= sys.stdlib_module_names
    before = MODULES[: MODULES.index(name)]
    assert ours <= {f"edgewright.{other}" for other in MODULES}
    run = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module in ours]
    assert {node.module for node in run} <= {f"edgewright.{other}" for other in before}


@pytest.mark.parametrize("name", MODULES)
def test_no_part_calls_what_python_3_9_has_not(name):
    calls = [node for node in ast.walk(ast.parse(source_of(name))) if isinstance(node, ast.Call)]
    for call_ in calls:
        assert not {word.arg for word in call_.keywords} & {"slots", "kw_only"}
        function = getattr(call_.func, "id", "")
        assert not (function == "zip" and call_.keywords)
        assert not (function == "isinstance" and isinstance(call_.args[1], ast.BinOp))


@pytest.fixture
def bare(tmp_path):
    """A Python without edgewright, in a directory that holds a trap."""
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the login directory was imported')")

    class Bare(Local):
        def _run(self, argv, *, timeout_s, stdin):
            argv = [argv[0], "-S", *argv[1:]]
            done = subprocess.run(
                argv,
                input=stdin,
                capture_output=True,
                timeout=timeout_s,
                check=False,
                cwd=tmp_path,
                env={"HOME": "/root"},
            )
            return Completed(done.returncode, done.stdout, done.stderr)

    return Bare()


def ask(transport, root="", python=sys.executable, request=None):
    return PythonBoard(transport, root, python).answer(request or Inspect(), within_s=30)


def test_a_bare_python_answers(bare, tmp_path):
    root = tmp_path / "board"
    found = ask(bare, str(root))
    assert (found.root, found.active, found.releases) == (str(root), "", ())
    assert not root.exists()


def test_the_root_is_found_from_home(bare):
    assert ask(bare).root.endswith("/.local/share/edgewright")
    assert ask(bare, "~/models").root.endswith("/models")


@pytest.mark.parametrize("root", ["models", "../x", "/a\nb", "/a\x1b[2J"])
def test_a_root_that_cannot_be_meant_is_refused(bare, root):
    with pytest.raises(UsageError, match="is no absolute path; begin it with / or ~"):
        ask(bare, root)


@dataclass(frozen=True)
class Explode(Kind):
    """No request, so that no end takes it for one."""

    op: ClassVar[str] = "explode"
    repeatable: ClassVar[bool] = False


def test_an_op_that_it_does_not_know_is_named(bare):
    with pytest.raises(UsageError, match=r"expected one of prepare, install, .*, got 'explode' - at `\$\.request\.op`"):
        ask(bare, request=Explode())


def test_no_python_there_is_said(bare):
    class Bash(Local):
        def _run(self, argv, *, timeout_s, stdin):
            return super()._run(["bash", "-c", f"exec {argv[0]}"], timeout_s=timeout_s, stdin=stdin)

    with pytest.raises(
        DeviceError, match=r"no-python on the board ended with exit code 127 and no answer: .*not found"
    ):
        ask(Bash(), python="no-python")
    with pytest.raises(DeviceError, match="could not run no-python: FileNotFoundError"):
        ask(Local(), python="no-python")
    del bare


def test_an_old_python_says_so():
    program = pack(Call("", Asker("me", "here", 1), Inspect())).decode().replace("< (3, 9)", "< (9, 9)")
    done = subprocess.run([sys.executable, "-"], input=program, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr.strip().endswith("is too old")) == (1, True)


@pytest.mark.parametrize("answer", [{}, {"error": 3}, {"error": {"message": 3}}])
def test_an_answer_that_is_neither_result_nor_error(answer):
    class Odd(Local):
        def _run(self, argv, *, timeout_s, stdin):
            return Completed(0, frame(answer), json.dumps([argv, timeout_s, len(stdin)]).encode())

    with pytest.raises(Exception, match="the board's answer is unknown"):
        ask(Odd())
