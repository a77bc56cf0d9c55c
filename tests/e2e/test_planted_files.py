"""Commands in a directory full of files named as what a Python imports, here and on boards: none of them is run."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest
from adb_world import ADBD
from conftest import PROGRAM, planted
from loopback import Sshd, serve
from planted import PYTHONS, Planted, python_of, ran

from edgewright.boards.connect import connect
from edgewright.boards.flash import flash, rollback, status, uninstall
from edgewright.boards.remote import Remote
from edgewright.contracts.board_commands import Checks
from edgewright.devices import adb
from edgewright.system.interpreter import line, there

ROWS = "sentence\tlabel\n" + "a cold sea\t0\na bright sea\t1\n" * 8
QUICK = ("--tokens", "16", "--processes", "1", "--runs", "2", "--least-ms", "1")
OPTIONS = {"bench": (*QUICK, "-q"), "profile": ("--tokens", "16", "--runs", "2"), "run": ("a sea",)}


def typed(*words, cwd, **env):
    """What the program prints, in a directory."""
    given = {**os.environ, "HF_HUB_OFFLINE": "1", **env}
    argv = [str(PROGRAM), *map(str, words)]
    done = subprocess.run(argv, cwd=cwd, env=given, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def model(_source, tmp_path_factory):
    """A model's directory, which holds more than a model."""
    folder = tmp_path_factory.mktemp("planted") / "model"
    shutil.copytree(_source, folder)
    (folder / "rows.tsv").write_text(ROWS)
    return Planted(folder)


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory):
    """What is built in that directory."""
    out = tmp_path_factory.mktemp("built") / "bundle"
    typed("build", ".", "--out", out, "--format", "onnx", "--precision", "fp32", "-q", cwd=model.folder)
    return out


@pytest.fixture
def desk(tmp_path):
    """Where somebody works."""
    found = Planted(tmp_path / "desk")
    (found.folder / "rows.tsv").write_text(ROWS)
    return found


@pytest.mark.usefixtures("bundle")
def test_a_model_is_built_in_its_directory(model):
    assert model.ran() == []


@pytest.mark.parametrize(("name", "library"), [("tflite", "litert_torch"), ("executorch", "executorch")])
def test_another_format_is_built_in_such_a_directory(name, library, request):
    pytest.importorskip(library)
    desk = planted(request.getfixturevalue(f"{name}_bundle"))
    assert (desk / "torch.py").is_file()
    assert ran(desk) == []


@pytest.mark.heavy
def test_a_model_is_trained_there(model, tmp_path):
    rows = ("--data", "rows.tsv", "--eval", "rows.tsv", "--epochs", "1", "--evaluations", "1", "--threads", "1")
    typed("train", ".", *rows, "--out", tmp_path / "tuned", "-q", cwd=model.folder)
    assert model.ran() == []


@pytest.mark.parametrize("command", ["run", "verify", "eval", "bench", "profile"])
def test_a_command_here(command, bundle, desk):
    words = OPTIONS.get(command, ()) if command != "eval" else ("--data", "rows.tsv")
    assert typed(command, bundle, *words, "--json", cwd=desk.folder)
    assert desk.ran() == []


@pytest.mark.heavy
def test_this_machine_as_a_board(bundle, desk, tmp_path):
    root = ("--root", tmp_path / "root")
    assert "000001-" in typed("flash", bundle, "local", *root, "-q", cwd=desk.folder)
    assert typed("verify", "-", "--device", "local", *root, "-q", cwd=desk.folder)
    assert "active" in typed("status", "local", *root, cwd=desk.folder)
    typed("flash", _second(bundle, tmp_path / "2"), "local", *root, "-q", cwd=desk.folder)
    assert "000001-" in typed("rollback", "local", *root, "-q", cwd=desk.folder)
    assert "2 releases removed" in typed("uninstall", "local", *root, cwd=desk.folder)
    assert desk.ran() == []


def _second(bundle, out):
    """The same model as version 2."""
    shutil.copytree(bundle, out)
    tree = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({**tree, "version": 2}))
    return out


def test_a_server_here(bundle, desk, tmp_path):
    path = str(tmp_path / "s")
    argv = [str(PROGRAM), "serve", str(bundle), "--socket", path]
    with subprocess.Popen(argv, cwd=desk.folder, stderr=subprocess.DEVNULL) as server:
        until = time.monotonic() + 60
        while not _listens(path):
            assert server.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        assert json.loads(typed("ask", path, "--health", cwd=desk.folder))["status"] == "ok"
        server.terminate()
    assert desk.ran() == []


def _listens(path):
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as way:
        way.connect(path)
        return True
    return False


# boards


class Home(Sshd):
    """A server whose account has a home directory full of such files."""

    def __init__(self, home):
        super().__init__(home)
        self.lines.append(f'ForceCommand cd {home}/login && eval "$SSH_ORIGINAL_COMMAND"')


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    server = serve(Home, tmp_path_factory.mktemp("account"))
    server.planted = Planted(server.home / "login")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def installed(account, bundle, tmp_path_factory):
    """The options that lead to a release on that account's board."""
    root = ("--root", tmp_path_factory.mktemp("board") / "root", "--python", sys.executable)
    typed("flash", bundle, account.url, *root, "-q", cwd="/", PATH=account.path)
    return root


@pytest.mark.heavy
def test_a_flash_over_ssh(installed, account, bundle, tmp_path):
    ours = {"cwd": "/", "PATH": account.path}
    typed("flash", _second(bundle, tmp_path / "2"), account.url, *installed, "-q", **ours)
    assert "000001-" in typed("rollback", account.url, *installed, "-q", **ours)
    assert "active" in typed("status", account.url, *installed, **ours)
    assert account.planted.ran() == []


@pytest.mark.heavy
@pytest.mark.parametrize("command", ["run", "verify", "bench", "profile", "devices"])
def test_a_command_over_ssh(command, installed, account):
    words = (command, "-", *OPTIONS.get(command, ()), "--device", account.url)
    words = ("devices", "probe", account.url) if command == "devices" else words
    assert typed(*words, *installed, "--json", cwd="/", PATH=account.path)
    assert account.planted.ran() == []


@pytest.mark.parametrize("version", PYTHONS)
def test_a_python_of_a_board(version, account, bundle, tmp_path, monkeypatch):
    """The board's part and what it starts, by versions that edgewright itself does not run on."""
    monkeypatch.setenv("PATH", account.path)
    python, board = python_of(version), {"root": str(tmp_path / "root")}
    shadowed = line(python, "import json, queue, random, statistics, typing")
    checks = Checks.programs(tuple(shadowed), tuple(there(python, "json.tool", "--help")), tuple(shadowed))
    way = connect(account.url)
    try:
        release = flash(bundle, way, python=python, checks=checks, **board).release
        assert status(way, python=python, **board).active == release
        found = Remote(account.url, board["root"], python).visit("-", ["--help"], module="json.tool")
        assert b"usage" in found[""]
        assert uninstall(way, python=python, **board) == (release,)
    finally:
        way.close()
    assert account.planted.ran() == []


@pytest.mark.heavy
@pytest.mark.usefixtures("adb_world")
def test_a_flash_over_adb(bundle, desk, tmp_path, monkeypatch):
    monkeypatch.setattr(adb, "_ENTER", f"cd {desk.folder}; ")
    way, board = connect(f"adb://127.0.0.1:{ADBD}"), {"root": str(tmp_path / "root"), "python": sys.executable}
    assert way.run(["pwd"], timeout_s=60).stdout.decode().strip() == str(desk.folder)
    first = flash(bundle, way, **board)
    assert flash(_second(bundle, tmp_path / "2"), way, **board).release != first.release
    assert rollback(way, **board).active == first.release == status(way, **board).active
    remote = Remote(f"adb://127.0.0.1:{ADBD}", *board.values())
    assert remote.ask("-", ["verify", "{bundle}", "--json"]).tree["rows"]
    assert len(uninstall(way, **board)) == 2
    assert desk.ran() == []
