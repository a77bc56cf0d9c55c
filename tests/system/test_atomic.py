import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.errors import StorageError
from edgewright.system.atomic import staged

MARKER = "manifest.json"


def write(out, text, *, force=False):
    with staged(out, marker=MARKER, force=force) as work:
        (work / MARKER).write_text(text)
        (work / "deep/er").mkdir(parents=True)
        (work / "deep/er/file").write_text(text)


def everything(root):
    return {p.relative_to(root).as_posix(): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture
def out(tmp_path):
    """A place that an old bundle has already."""
    write(tmp_path / "out", "old")
    return tmp_path / "out"


def test_the_directory_appears_whole(tmp_path):
    with staged(tmp_path / "new/place", marker=MARKER, force=False) as work:
        (work / "file").write_text("1")
        assert not (tmp_path / "new/place").exists()
        assert work.parent == tmp_path / "new"
    assert everything(tmp_path) == {"new/place/file": "1"}
    assert (tmp_path / "new/place").stat().st_mode & 0o777 == 0o755


def test_force_replaces_the_old_one_and_leaves_nothing_of_it(out):
    write(out, "new", force=True)
    assert everything(out.parent) == {"out/manifest.json": "new", "out/deep/er/file": "new"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("force", [False, True])
def test_a_crash_in_the_block_leaves_nothing(tmp_path, error, force):
    def crash():
        with staged(tmp_path / "out", marker=MARKER, force=force) as work:
            (work / MARKER).write_text("half")
            raise error

    with pytest.raises(error):
        crash()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_crash_in_the_block_leaves_the_old_one_whole(out, error):
    before = everything(out.parent)

    def crash():
        with staged(out, marker=MARKER, force=True) as work:
            (work / MARKER).write_text("half")
            raise error

    with pytest.raises(error):
        crash()
    assert everything(out.parent) == before


def test_what_exists_is_not_replaced_without_force(out):
    before = everything(out.parent)
    with pytest.raises(StorageError, match=r"out exists; use --force to replace it"):
        write(out, "new")
    assert everything(out.parent) == before


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["directory", "empty directory", "file", "link", "dangling link", "pipe"])
def test_what_is_no_bundle_is_never_replaced(out, kind, force):
    target = out.parent / "mine"
    if kind == "directory":
        target.mkdir()
        (target / "thesis.tex").write_text("years of work")
    elif kind == "empty directory":
        target.mkdir()
    elif kind == "file":
        target.write_text("years of work")
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to(out if kind == "link" else "nowhere")
    before, facts = everything(out.parent), target.lstat()
    with pytest.raises(StorageError, match=r"mine exists and has no manifest\.json; .*not even by --force"):
        write(target, "new", force=force)
    assert everything(out.parent) == before
    assert target.lstat() == facts


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_a_checkout_of_git_is_never_replaced_with_its_history(out, make):
    make(out / ".git")
    with pytest.raises(StorageError, match=r"out has a \.git; --force would remove it"):
        write(out, "new", force=True)
    assert (out / ".git").exists()
    assert (out / MARKER).read_text() == "old"


def test_a_marker_that_is_a_directory_is_no_marker(tmp_path):
    (tmp_path / "out" / MARKER).mkdir(parents=True)
    with pytest.raises(StorageError, match="not even by --force"):
        write(tmp_path / "out", "new", force=True)


def test_a_file_in_the_way_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("1")
    with pytest.raises(StorageError, match=r"cannot write .*file/out"):
        write(tmp_path / "file/out", "new")
    assert everything(tmp_path) == {"file": "1"}


def test_an_error_of_the_system_in_the_block_is_a_storage_error(out):
    before = everything(out.parent)
    with (
        pytest.raises(StorageError, match="Read-only file system; nothing was changed"),
        staged(out, marker=MARKER, force=True),
    ):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    assert everything(out.parent) == before


def test_a_full_disk_is_said_and_the_old_one_is_whole(small_disk):
    write(small_disk / "out", "old")
    before = everything(small_disk)
    with (
        pytest.raises(StorageError, match="No space left on device; free some space and try again"),
        staged(small_disk / "out", marker=MARKER, force=True) as work,
    ):
        (work / MARKER).write_bytes(b"x" * 2**20)
    assert everything(small_disk) == before
    assert [path.name for path in small_disk.iterdir()] == ["out"]
    write(small_disk / "out", "new", force=True)
    assert everything(small_disk)["out/manifest.json"] == "new"


def test_no_room_for_even_a_directory_is_said(small_disk):
    (small_disk / "ballast").write_bytes(b"x" * 256 * 1024)
    with pytest.raises(StorageError, match=r"No space left on device"):
        write(small_disk / "out", "new")
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_two_at_once_with_force_leave_the_later_one_whole(out):
    with staged(out, marker=MARKER, force=True) as slow:
        (slow / MARKER).write_text("slow")
        write(out, "fast", force=True)
        assert everything(out)["manifest.json"] == "fast"
    assert everything(out.parent) == {"out/manifest.json": "slow"}


def test_the_second_of_two_at_once_does_not_replace_the_first_without_force(tmp_path):
    out = tmp_path / "out"

    def slow():
        with staged(out, marker=MARKER, force=False) as work:
            (work / MARKER).write_text("slow")
            write(out, "fast")

    with pytest.raises(StorageError):
        slow()
    assert everything(tmp_path) == {"out/manifest.json": "fast", "out/deep/er/file": "fast"}


@pytest.mark.parametrize("force", [False, True])
def test_a_stranger_that_appears_meanwhile_is_not_deleted(tmp_path, force):
    out = tmp_path / "out"

    def run():
        with staged(out, marker=MARKER, force=force) as work:
            (work / MARKER).write_text("new")
            out.mkdir()
            (out / "thesis.tex").write_text("years of work")

    with pytest.raises(StorageError):
        run()
    assert everything(tmp_path) == {"out/thesis.tex": "years of work"}


def test_a_relative_place_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("out"), "1")
    assert everything(tmp_path)["out/manifest.json"] == "1"


HALF_WAY = """
import sys, time
from pathlib import Path
from edgewright.system.atomic import staged
with staged(Path(sys.argv[1]), marker="manifest.json", force=False) as work:
    (work / "half").write_text("half")
    print(work, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(tmp_path):
    argv = [sys.executable, "-c", HALF_WAY, str(tmp_path / "out")]
    with (
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as dead,
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as alive,
    ):
        try:
            left, used = (Path(process.stdout.readline().strip()) for process in (dead, alive))
            dead.kill()
            dead.wait()
            (tmp_path / ".out.unfinished").mkdir()
            assert (left / "half").is_file()
            write(tmp_path / "out", "new")
            assert not left.exists()
            assert (used / "half").is_file()
            assert (tmp_path / ".out.unfinished").is_dir()
            assert (tmp_path / "out" / MARKER).read_text() == "new"
        finally:
            alive.kill()
            dead.kill()
