"""A Python that is started in a directory full of traps, of every version that a board may have."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planted import PYTHONS, Planted, python_of

from edgewright.boards.agent import PythonBoard
from edgewright.boards.wheels import pip
from edgewright.contracts.board import Describe, Module
from edgewright.contracts.transport import Completed
from edgewright.devices._ways.copy import push
from edgewright.devices.local import Local
from edgewright.system.interpreter import environment, here, line, started, there

SDK = Path(__file__).parents[2] / "sdk"
TELL = "import json, queue, random, statistics, typing, sys; print(json.dumps([sys.argv, sys.path]))"


@pytest.fixture
def traps(tmp_path):
    return Planted(tmp_path / "there")


def run(argv, cwd, **env):
    given = {**(environment(argv) or os.environ), **env}
    return subprocess.run(argv, cwd=cwd, env=given, capture_output=True, text=True, check=False, stdin=None)


@pytest.fixture
def module(tmp_path):
    """A module that says what it sees, and the variable that leads to it."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "teller.py").write_text(f"{TELL}\nif sys.argv[1:] == ['fail']:\n    1 / 0\n")
    return {"PYTHONPATH": str(tmp_path / "modules")}


@pytest.mark.parametrize("version", PYTHONS)
def test_no_file_of_the_working_directory_is_run(version, traps, module):
    python = python_of(version)
    for argv in (there(python, "teller", "a b", "$c"), line(python, TELL, "a b", "$c")):
        done = run(argv, traps.folder, **module)
        assert traps.ran() == [], argv
        assert done.returncode == 0, done.stderr
        words, path = json.loads(done.stdout)
        assert words[1:] == ["a b", "$c"]
        assert not {"", str(traps.folder)} & set(path)


@pytest.mark.parametrize("version", PYTHONS)
def test_the_boards_part_runs_none_either(version, traps):
    class Way(Local):
        def _run(self, argv, *, timeout_s, stdin):
            done = subprocess.run(
                argv, input=stdin, capture_output=True, timeout=timeout_s, check=False, cwd=traps.folder
            )
            return Completed(done.returncode, done.stdout, done.stderr)

    python = python_of(version)
    packages = (Module("queue", "queue"), Module("numpy", "numpy"), Module("no_such_module", "none"))
    board = PythonBoard(Way(), str(traps.folder / "root"), python)
    found = board.answer(Describe(packages, python, 60.0), within_s=60)
    assert traps.ran() == []
    assert found.python.startswith(f"{version}.")
    assert [found.packages[at].state for at in (0, 2)] == ["imports", "missing"]


def test_this_python_runs_none(traps, module):
    done = run(here("teller", "x"), traps.folder, **module)
    assert traps.ran() == []
    assert done.returncode == 0, done.stderr
    words, path = json.loads(done.stdout)
    assert words[1:] == ["x"]
    assert str(traps.folder) not in path


def test_pip_runs_none(traps, monkeypatch):
    monkeypatch.chdir(traps.folder)
    pip(["list"])
    assert traps.ran() == []


@pytest.mark.parametrize("version", PYTHONS)
def test_a_file_is_hashed_by_a_python_that_runs_none(version, traps, tmp_path):
    """Where a device has no sha256sum."""
    (tmp_path / "bin").mkdir()
    for name, path in {"python3": python_of(version), **{name: shutil.which(name) for name in ("cat", "wc")}}.items():
        (tmp_path / "bin" / name).symlink_to(path)

    def far(argv, *, timeout_s, stdin=b""):
        given = {"stdin": stdin} if hasattr(stdin, "fileno") else {"input": stdin}
        argv = [shutil.which(argv[0]), *argv[1:]]
        done = subprocess.run(
            argv,
            **given,
            cwd=traps.folder,
            env={"PATH": str(tmp_path / "bin")},
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    (tmp_path / "file").write_bytes(b"some bytes")
    push(far, tmp_path / "file", str(tmp_path / "copy"))
    assert traps.ran() == []
    assert (tmp_path / "copy").read_bytes() == b"some bytes"


@pytest.mark.parametrize("version", PYTHONS)
def test_a_module_sees_what_it_sees_after_m(version, tmp_path, module):
    """Its own name, its exit code, its traceback; and a directory that the user named stays on the path."""
    python, empty = python_of(version), tmp_path / "empty"
    empty.mkdir()
    ways = ([python, "-m", "teller", "fail"], there(python, "teller", "fail"))
    usual, ours = (run(argv, empty, **module) for argv in ways)
    (words, path), (our_words, our_path) = (json.loads(done.stdout) for done in (usual, ours))
    assert our_words == words
    assert our_path == path[1:]
    assert module["PYTHONPATH"] in our_path
    assert ours.returncode == usual.returncode == 1
    assert ours.stderr.splitlines()[-3:] == usual.stderr.splitlines()[-3:]
    assert "ZeroDivisionError" in ours.stderr.splitlines()[-1]


def test_what_a_user_says_of_the_path_stays(tmp_path):
    """PYTHONSAFEPATH was set already, and the working directory is on the path by the user's own will."""
    (tmp_path / "mine.py").write_text("print('mine')")
    done = run(there(sys.executable, "mine"), tmp_path, PYTHONPATH=str(tmp_path), PYTHONSAFEPATH="1")
    assert (done.stdout, done.stderr) == ("mine\n", "")
    done = run(here("mine"), tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.stderr) == ("mine\n", "")


def test_only_a_python_of_ours_gets_a_variable():
    assert environment(there("python3", "x"))["PYTHONSAFEPATH"] == "1"
    assert environment(line("python3", "x"))["PYTHONSAFEPATH"] == "1"
    assert environment(["python3", "-m", "mine"]) is None
    assert environment(["python3", "-c", "import mine"]) is None
    assert environment(["true"]) is None


def test_a_module_is_found_in_an_argument_vector():
    for argv in (there("p", "m", "a", "-b"), here("m", "a", "-b"), ["p", "-m", "m", "a", "-b"]):
        assert started(argv) == ("m", ["a", "-b"])
    for argv in (line("p", "pass", "a"), ["p", "x.py", "-m"], ["p"]):
        assert started(argv) == ("", [])


# `python -m edgewright`, which a user's own Python begins


@pytest.fixture
def stub(tmp_path):
    """A package that begins as edgewright does, whose command says where it may import from."""
    home = tmp_path / "home" / "edgewright"
    (home / "cli").mkdir(parents=True)
    for name in ("__init__", "__main__", "_version"):
        shutil.copyfile(SDK / f"{name}.py", home / f"{name}.py")
    (home / "cli" / "__init__.py").write_text(
        "def main():\n    import os, sys, json, queue, random, typing\n"
        "    print(json.dumps([sys.path, os.environ.get('PYTHONPATH')]))\n"
    )
    return home.parent


def typed(cwd, python=sys.executable, **env):
    """What `python -m edgewright` prints there."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    argv = [python, "-S", "-m", "edgewright"]
    done = subprocess.run(argv, cwd=cwd, env={**kept, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def finds(python):
    """What Python itself imports to find the module of `-m`, and with it the working directory's."""
    argv = [python, "-S", "-c", "import sys, runpy; print(*sys.modules)"]
    names = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("version", [version for version in PYTHONS if version != "3.9"])
def test_the_package_as_a_command_leaves_the_working_directory_out(version, stub, tmp_path):
    python = python_of(version)
    traps = Planted(tmp_path / "there", without={"edgewright", *finds(python)})
    assert {"queue", "random", "typing", "__future__"} <= set(traps.names)
    path, variable = typed(traps.folder, python, PYTHONPATH=str(stub))
    assert traps.ran() == []
    assert (path[0], variable) == (str(stub), str(stub))
    assert str(traps.folder) not in path


def test_a_package_that_lies_in_the_working_directory_is_found_by_children_too(stub):
    path, variable = typed(stub)
    assert (path[0], variable) == (str(stub), str(stub))
    assert typed(stub, PYTHONPATH="/nowhere")[1] == f"{stub}{os.pathsep}/nowhere"


def test_a_path_that_is_safe_already_loses_nothing(stub, tmp_path):
    (tmp_path / "libraries").mkdir()
    given = f"{tmp_path / 'libraries'}{os.pathsep}{stub}"
    if hasattr(sys.flags, "safe_path"):
        assert typed(tmp_path / "libraries", PYTHONPATH=given, PYTHONSAFEPATH="1")[0][0] == str(tmp_path / "libraries")
    argv = there(sys.executable, "edgewright")
    done = run([argv[0], *argv[1:]], tmp_path / "libraries", PYTHONPATH=given, PYTHONSAFEPATH="")
    assert json.loads(done.stdout)[0][0] == str(tmp_path / "libraries")
