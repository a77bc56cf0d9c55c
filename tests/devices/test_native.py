"""A device without Python: its runner's disk beside the real one, a shell as Android's, the way cut at operations."""

import errno
import os
import random
import shutil
import struct
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from debian import need
from native import CORE, SANITIZED, SOURCE, compiled
from onboard import tiny
from onnx_wire import outside

from edgewright.boards.flash import flash, rollback, status, uninstall
from edgewright.boards.native.release import NativeBundle
from edgewright.bundle import bundle as bundle_module
from edgewright.bundle.bundle import Bundle
from edgewright.contracts.board import Visit
from edgewright.contracts.board_commands import Checks, Engines, Verify
from edgewright.contracts.transport import Completed, Transport
from edgewright.devices._native.board import NativeBoard
from edgewright.devices._native.disk import NativeDisk
from edgewright.devices._native.placing import look
from edgewright.devices._native.talk import Talk
from edgewright.devices._onboard import checks as onboard_checks
from edgewright.devices._onboard.disk import RealDisk
from edgewright.devices.local import Local
from edgewright.errors import BundleError, ConnectionLost, DeviceError, EngineError, GateFailed, UsageError
from edgewright.inference.doctor import android as android_lines

pytestmark = pytest.mark.slow
NONE = Checks.programs((), ("true",), ("true",))


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The runner, which ends itself at the first access that C forbids."""
    return compiled(tmp_path_factory.mktemp("sanitized") / "edgewright-run", flags=SANITIZED)


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("runner") / "edgewright-run")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Bytes that stand for an engine: these stories load none."""
    path = tmp_path_factory.mktemp("engine") / "libLiteRt.so"
    path.write_bytes(b"not an engine")
    return path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    root = tmp_path_factory.mktemp("versions")
    return {n: Bundle.open(tiny(root / str(n), n)) for n in (1, 2, 3)}


def serving(runner, probe=None):
    talk = Talk(lambda err: Local().talk([str(runner), "serve"], stderr=err), timeout_s=30)
    return NativeDisk(talk, str(probe or runner))


# the disk


def outcome(step):
    """What a step gives, or the number of its error."""
    try:
        found = step()
    except OSError as error:
        return error.errno
    return found[:4] + found[5:] if isinstance(found, tuple) and len(found) == 6 else found


def steps(disk, folder, seed):
    """Operations on a few names, most of which make sense, and what each gave."""
    chance, found = random.Random(seed), []
    names = [f"{folder}/{name}" for name in ("a", "b", "d", "d/e", "d/f", "Grüße", "it's a name\n")]
    for _ in range(150):
        a, b = chance.choice(names), chance.choice(names)
        at = chance.choice((0, 3, 69990, 2**40))
        word, data = chance.choice(("write", "append", "read")), chance.randbytes(chance.choice((0, 5, 70000)))
        step = chance.choice(
            (
                lambda a=a, word=word, data=data: used(disk, a, word, data),
                lambda a=a, b=b: disk.rename(a, b),
                lambda a=a, b=b: disk.link(a, b),
                lambda a=a, b=b: disk.symlink(b.rpartition("/")[2], a),
                lambda a=a: disk.readlink(a),
                lambda a=a: disk.unlink(a),
                lambda a=a: disk.mkdir(a, 0o750),
                lambda a=a: disk.rmdir(a),
                lambda a=a: disk.chmod(a, 0o640),
                lambda a=a: disk.list(a),
                lambda a=a: disk.stat(a),
                lambda a=a: disk.sync_dir(a),
                lambda a=a: disk.sha256(a, sync=True),
                lambda a=a, at=at: looked(disk, a, at),
                lambda a=a: disk.sync_all(a) if a.endswith("\n") else disk.stat(a),
            )
        )
        found.append(outcome(step))
    return found


def used(disk, path, how, data):
    handle = disk.open(path, how)
    try:
        if how == "read":
            return disk.read(handle, 1 << 20)
        written = disk.write(handle, data)
        disk.sync(handle)
        return written
    finally:
        disk.close(handle)


def looked(disk, path, at):
    handle = disk.open(path, "read")
    try:
        return disk.read_at(handle, at, 4), disk.read(handle, 3), disk.read_at(handle, at, 0)
    finally:
        disk.close(handle)


@pytest.mark.parametrize("seed", range(8))
def test_the_runner_s_disk_does_what_the_real_one_does(sanitized, tmp_path, seed):
    far = serving(sanitized)
    for name in ("here", "there"):
        (tmp_path / name / "d").mkdir(parents=True)
    real = steps(RealDisk(), str(tmp_path / "here"), seed)
    assert steps(far, str(tmp_path / "there"), seed) == real
    assert {errno.ENOENT, None} <= {one for one in real if one is None or isinstance(one, int)}
    assert abs(far.now_s() - RealDisk().now_s()) < 60
    assert far.free(str(tmp_path)).free_bytes > 0


def test_a_lock_goes_with_whoever_held_it(sanitized, tmp_path):
    first, second = serving(sanitized), serving(sanitized)
    first.lock(f"{tmp_path}/lock")
    with pytest.raises(BlockingIOError):
        second.lock(f"{tmp_path}/lock")
    first._talk._child.kill()
    first._talk._child.wait()
    second.close(second.lock(f"{tmp_path}/lock"))


def test_where_a_second_name_is_forbidden_a_copy_is_made(tmp_path):
    """As another user, who may not link a file of root's: Linux answers as Android's policy does."""
    if os.geteuid() != 0 or Path("/proc/sys/fs/protected_hardlinks").read_text().strip() != "1":
        pytest.skip("another user is needed, and fs.protected_hardlinks")
    need("setpriv", "util-linux")
    shutil.chown(tmp_path, "nobody")
    ours = [folder for folder in (tmp_path, *tmp_path.parents) if Path(tempfile.gettempdir()) in folder.parents]
    for folder in ours:
        folder.chmod(folder.stat().st_mode | 0o011)
    runner = compiled(tmp_path / "run")
    runner.chmod(0o755)
    argv = ["setpriv", "--reuid=nobody", "--clear-groups", str(runner), "serve"]
    disk = NativeDisk(Talk(lambda err: Local().talk(argv, stderr=err), timeout_s=30), str(runner))
    assert not disk.shares
    disk.link(str(runner), f"{tmp_path}/copy")
    assert (tmp_path / "copy").read_bytes() == runner.read_bytes()
    assert disk.stat(f"{tmp_path}/copy").links == 1
    assert outcome(lambda: disk.link(str(runner), f"{tmp_path}/copy")) == errno.EEXIST


BROKEN = """
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
struct dirent *readdir(DIR *folder) { (void)folder; errno = EIO; return NULL; }
"""


def test_a_listing_that_breaks_off_is_none(runner, tmp_path):
    """A directory on a bad block: what its list lacks would be taken for what is not there."""
    (tmp_path / "broken.c").write_text(BROKEN)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "broken.so", tmp_path / "broken.c"], check=True)
    argv = ["env", f"LD_PRELOAD={tmp_path}/broken.so", str(runner), "serve"]
    disk = NativeDisk(Talk(lambda err: Local().talk(argv, stderr=err), timeout_s=30), str(runner))
    assert outcome(lambda: disk.list(str(tmp_path))) == errno.EIO
    assert serving(runner).list(str(tmp_path)) == ["broken.c", "broken.so"]


# what no host sends


def test_no_bytes_make_the_runner_do_what_c_forbids(sanitized, tmp_path):
    chance = random.Random(5)
    letters = b"orpwfcdnlykumxhasvtLHCRBT\0\xff"
    for _ in range(20):
        frames = b""
        for _ in range(chance.randrange(1, 9)):
            fields = b"".join(
                struct.pack("<I", chance.choice((len(data), len(data), len(data), 2**32 - 1, 7))) + data
                for data in (chance.randbytes(chance.choice((0, 2, 8, 8, 40))) for _ in range(chance.randrange(4)))
            )
            body = bytes([chance.choice(letters)]) + fields
            frames += struct.pack("<I", chance.choice((len(body), len(body), len(body), 0, 2**31, 3))) + body
        argv = [str(sanitized), "serve"]
        done = subprocess.run(argv, input=frames, capture_output=True, cwd=tmp_path, timeout=30, check=False)
        assert done.returncode in (0, 1, 2), done.stderr
        assert b"Sanitizer" not in done.stderr
        assert b"runtime error" not in done.stderr


def test_what_is_no_answer_is_refused(tmp_path):
    script = tmp_path / "runner"
    for said, words in (
        (r"\5\0\0\0\0\0\0\0\1", "torn"),
        (r"\1\0\0\0\0", "has 1 bytes"),
        (r"\377\377\377\377", "4294967295 bytes"),
        ("", "connection to the runner broke"),
    ):
        script.write_text(
            f"#!/bin/sh\nprintf 'Welcome\\n\\nedgewright-run 1\\n'\ndd bs=1 count=5 2>/dev/null >&2\nprintf '{said}'\n"
        )
        script.chmod(0o755)
        talk = Talk(lambda err: Local().talk([str(script)], stderr=err), timeout_s=30)
        with pytest.raises((DeviceError, ConnectionLost), match=words):
            talk.ask(b"t")


def test_a_runner_that_is_silent_is_ended(tmp_path):
    with pytest.raises(DeviceError, match=r"the runner took longer than 0.5 s and was ended"):
        Talk(lambda err: Local().talk(["sleep", "60"], stderr=err), timeout_s=0.5)
    with pytest.raises(EngineError, match="died of SIGILL"):
        Talk(lambda err: Local().talk(["sh", "-c", "kill -ILL $$"], stderr=err), timeout_s=30)
    with pytest.raises(DeviceError, match=r"the device cannot run the runner: .*Permission denied"):
        Talk(lambda err: Local().talk(["sh", "-c", str(tmp_path)], stderr=err), timeout_s=30)


# the shell


class Android(Local):
    """This machine with nothing in reach of a shell but the programs that Android's toybox has, or busybox's."""

    may_lack_python = True

    def __init__(self, folder, shell):
        self.folder, self.shell = folder, shell

    def _line(self, argv):
        program = [self.shell] if argv[0] == "sh" else [argv[0] if "/" in argv[0] else f"{self.folder}/{argv[0]}"]
        return [*program, *argv[1:]], {"PATH": str(self.folder), "HOME": str(self.folder.parent)}

    def _run(self, argv, *, timeout_s, stdin):
        line, env = self._line(argv)
        done = subprocess.run(line, input=stdin, capture_output=True, timeout=timeout_s, env=env, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def talk(self, argv, *, stderr):
        line, env = self._line(argv)
        return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env)


@pytest.fixture(params=["mksh and toybox", "busybox"])
def android(request, tmp_path):
    box = need_box(request.param)
    (tmp_path / "bin").mkdir()
    for name in ("cat", "chmod", "grep", "ls", "mkdir", "mv", "rm", "sha256sum", "true", "uname", "wc"):
        (tmp_path / "bin" / name).symlink_to(box)
    shell = shutil.which("mksh") if "mksh" in request.param else tmp_path / "bin" / "sh"
    if "mksh" not in request.param:
        shell.symlink_to(box)
    return Android(tmp_path / "bin", str(shell))


def need_box(name):
    for program in name.split(" and "):
        need(program, program)
    return shutil.which(name.split()[-1])


def test_a_shell_like_android_s_is_enough(android, sanitized, engine, bundles, tmp_path):
    root = str(tmp_path / ".local/share/edgewright")
    with pytest.raises(
        DeviceError, match=r"no Python, and no runner is on it; give --runner and --engine .* by --python"
    ):
        NativeBoard.over(android)
    device = NativeBoard.over(android, runner=str(sanitized), engine=str(engine))
    assert device.root == root
    assert flash(bundles[1], device, checks=NONE).changed
    device.close()
    again = NativeBoard.over(android, root="~/.local/share/edgewright/")
    done = flash(bundles[2], again, checks=NONE)
    assert done.sent == ("onnx/model.onnx",)
    assert rollback(again, checks=NONE).active.startswith("000001-")
    assert [row.problem for row in status(again).releases] == ["", ""]
    assert (Path(root) / "native").stat().st_mode & 0o777 == 0o700
    again.close()
    (Path(root) / "native" / device.programs.runner).write_bytes(b"rotten")
    with pytest.raises(DeviceError, match=r"the runner in .*/native is not what was placed there; flash again"):
        NativeBoard.over(android)
    healed = NativeBoard.over(android, runner=str(sanitized), engine=str(engine))
    assert uninstall(healed) != ()
    assert not Path(root).exists()


def test_a_release_that_leads_outside_is_refused_whatever_the_host_let_through(
    android, sanitized, engine, bundles, tmp_path, monkeypatch
):
    device = NativeBoard.over(android, runner=str(sanitized), engine=str(engine))
    flash(bundles[1], device, checks=NONE)
    monkeypatch.setattr(bundle_module, "check_file", lambda *_, **__: None)
    monkeypatch.setattr(bundle_module, "_CONTAINED", set())
    leading = tiny(tmp_path / "leading", 2, outside(b"/etc/passwd"))
    with pytest.raises(BundleError, match=r"its tensor 'w' is in the file '/etc/passwd'"):
        flash(leading, device, checks=NONE)
    place = Path(device.active("", 0))
    assert place.name.startswith("000001-")
    monkeypatch.setattr(onboard_checks, "check_content", lambda *_, **__: None)  # as an edgewright of before
    flash(leading, device, checks=NONE)
    monkeypatch.undo()
    with pytest.raises(BundleError, match=r"its tensor 'w' is in the file '/etc/passwd'"):
        device.active("", 0)
    assert rollback(device, checks=NONE).active.startswith("000001-")


def test_a_runner_that_is_too_old_to_look_into_files_is_told(tmp_path):
    shutil.copytree(
        SOURCE.parent, tmp_path / "source", ignore=shutil.ignore_patterns("*.py", "profiles", "__pycache__")
    )
    disk_h = tmp_path / "source" / "run_disk.h"
    disk_h.write_text(disk_h.read_text().replace("letter == 'p'", "letter == 'Q'"))
    (tmp_path / "file").write_bytes(b"1234")
    disk = serving(compiled(tmp_path / "old", source=tmp_path / "source" / "run.c"))
    handle = disk.open(str(tmp_path / "file"), "read")
    with pytest.raises(DeviceError, match=r"too old to look into a model's file; flash again, with --runner"):
        disk.read_at(handle, 1, 2)


def test_a_directory_of_another_purpose_is_left_alone(android, sanitized, engine, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(DeviceError, match=r"photos holds something else, it is no store of releases"):
        NativeBoard.over(android, root=str(tmp_path / "photos"), runner=str(sanitized), engine=str(engine))
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    with pytest.raises(UsageError, match="no absolute path"):
        look(android, "photos")


class Mute(Transport):
    """A way by which no program can be talked to."""

    def _run(self, argv, *, timeout_s, stdin):
        raise AssertionError(argv, timeout_s, stdin)

    _push = _pull = _run


def test_what_contradicts_itself_is_refused(android, sanitized):
    with pytest.raises(UsageError, match="two roads"):
        NativeBoard.over(android, python="/usr/bin/python3", runner=str(sanitized))
    with pytest.raises(UsageError, match=r"--runner is given, and the device needs --engine too"):
        NativeBoard.over(android, runner=str(sanitized))
    with pytest.raises(UsageError, match=r"/nonesuch is no file here"):
        NativeBoard.over(android, runner="/nonesuch", engine=str(sanitized))
    assert NativeBoard.over(android, python="/usr/bin/python3") is None
    with pytest.raises(UsageError, match="a mute device takes no runner"):
        NativeBoard.over(Mute(), runner=str(sanitized), engine=str(sanitized))
    assert NativeBoard.over(Mute()) is None


class Watched(Local):
    """This machine, and the argument vectors of what was run on it."""

    def __init__(self):
        self.ran = []

    def _run(self, argv, *, timeout_s, stdin):
        self.ran.append(list(argv))
        return super()._run(argv, timeout_s=timeout_s, stdin=stdin)


def test_what_needs_a_python_elsewhere_is_done_by_the_runner(runner, engine, bundles, tmp_path):
    way = Watched()
    device = NativeBoard.over(way, root=str(tmp_path / "board"), runner=str(runner), engine=str(engine))
    with pytest.raises(DeviceError, match="a runner opens tflite, the bundle has onnx; build the bundle with --format"):
        flash(bundles[1], device)
    with pytest.raises(DeviceError, match="the engine does not load on the device"):
        flash(bundles[1], device, checks=replace(NONE, probe=Engines(("tflite",))))
    with pytest.raises(GateFailed, match="the self-test failed: edgewright: tokenizer-error: "):
        flash(bundles[1], device, checks=replace(NONE, self_test=Verify()))
    with pytest.raises(UsageError, match="a device without Python runs no edgewright"):
        device.answer(Visit("", 0, "edgewright", (), "", {}, (), 60.0), within_s=60)
    assert {run[0] for run in way.ran} == {"sh", device.path(device.programs.runner)}
    device.close()


def test_a_translator_is_refused(make_manifest, tmp_path):
    translator = NativeBundle(Bundle(tmp_path, make_manifest(task="translation")), start=None)
    with pytest.raises(BundleError, match="a device without Python does not translate; take one with a Python"):
        translator.artifacts()


def test_doctor_s_line_names_the_source_that_is_there():
    (line,) = [line for line in android_lines() if line.startswith("--runner")]
    *_, core, _, _, source, _ = line.split()
    assert Path(source).resolve() == SOURCE.resolve()
    assert Path(core.removeprefix("-I")).resolve() == CORE.resolve()


# cut off


class Cut(Local):
    """This machine, behind a way that breaks when `left` more operations of the disk were asked for."""

    def __init__(self):
        self.left, self.asked = None, 0


@pytest.fixture
def natives(runner, engine):
    return {"runner": str(runner), "engine": str(engine)}


@pytest.fixture
def cut(monkeypatch):
    way, ask = Cut(), Talk.ask

    def asked(talk, letter, *fields, timeout_s=60.0):
        way.asked += 1
        if way.left is not None and way.asked > way.left:
            way.left = None
            talk._child.kill()
            talk._child.wait()
        return ask(talk, letter, *fields, timeout_s=timeout_s)

    monkeypatch.setattr(Talk, "ask", asked)
    return way


STRIDE = 13
"""Of the operations, so many are left out between two that are cut; each story begins at another one."""


@pytest.mark.parametrize(
    ("act", "shares", "at"),
    [("first", True, 0), ("upgrade", True, 3), ("upgrade", False, 7), ("rollback", True, 11)],
    ids=["first install", "upgrade", "upgrade without links", "rollback"],
)
def test_cut_off_at_any_operation_the_old_or_the_new_is_whole(  # noqa: PLR0917 - most are fixtures
    cut, natives, bundles, tmp_path, monkeypatch, capsys, act, shares, at
):
    if not shares:
        monkeypatch.setattr(NativeDisk, "_links", lambda *_: False)
    start, root = tmp_path / "start", tmp_path / "board"
    device = NativeBoard.over(cut, root=str(start), **natives)
    for version in () if act == "first" else (1, 2):
        flash(bundles[version], device, checks=NONE)
    native, wanted, cases = device.programs, {"first": (None, 1), "upgrade": (2, 3), "rollback": (2, 1)}[act], 0

    def does():
        if act == "rollback":
            return rollback(device, checks=NONE)
        return flash(bundles[wanted[1]], device, checks=NONE)

    while True:
        device.close()
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(start, root, symlinks=True, copy_function=os.link)
        device = NativeBoard(cut, str(root), native, None if act == "first" else native)
        cut.asked, cut.left = 0, at
        with suppress(DeviceError, BundleError):
            does()
        assert version_at(root) in wanted, at
        if cut.left is not None:
            break
        assert not any(row.problem for row in status(device).releases if row.role), at  # others are on their way out
        if not (act == "rollback" and version_at(root) == 1):
            does()
        assert version_at(root) == wanted[1], at
        at, cases = at + STRIDE, cases + 1
    with capsys.disabled():
        print(f"\n{act}: {cut.asked} operations there, cut off at {cases} of them", end="")
    assert cases > 5


def version_at(root):
    current = root / "current"
    return Bundle.open(current).manifest.version if current.exists() else None


def test_an_upgrade_without_links_sends_only_what_changed(runner, engine, bundles, tmp_path, monkeypatch):
    monkeypatch.setattr(NativeDisk, "_links", lambda *_: False)
    device = NativeBoard.over(Local(), root=str(tmp_path / "board"), runner=str(runner), engine=str(engine))
    for version, sent in ((1, 2), (2, 1), (3, 1)):
        assert len(flash(bundles[version], device, checks=NONE).sent) == sent
    blobs = list((tmp_path / "board" / "blobs").iterdir())
    assert len(blobs) == 3  # two versions of one file, and the file that they share
    assert (tmp_path / "board" / "current" / "config.json").stat().st_nlink == 1
    device.close()


def test_a_full_disk_is_said_and_what_was_active_stays(runner, engine, bundles, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root alone")
    board = tmp_path / "small"
    board.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(board)], check=True)
    try:
        device = NativeBoard.over(Local(), root=str(board / "store"), runner=str(runner), engine=str(engine))
        flash(bundles[1], device, checks=NONE)
        free = os.statvfs(board)
        (board / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - 2**19))
        with pytest.raises(DeviceError, match=r"needs 1.1 MB of disk, 0.5 MB are free; free some space"):
            flash(bundles[2], device, checks=NONE)
        assert version_at(board / "store") == 1
        (board / "filler").unlink()
        assert flash(bundles[2], device, checks=NONE).changed
        device.close()
    finally:
        subprocess.run(["umount", str(board)], check=True)
