"""Outputs: files replaced whole, links kept, devices and pipes written to as they stand, nothing planted followed."""

import io
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path

import pytest
from measured import row, run, samples

from edgewright.bundle.bundle import Bundle
from edgewright.bundle.packing import pack
from edgewright.errors import BundleError, DataError, StorageError
from edgewright.measure import rows
from edgewright.system.files import (
    MAX_LINE_BYTES,
    capped_lines,
    check_free,
    check_place,
    compressed_bytes,
    own_record,
    plain,
    read_capped,
    scratch,
    scratch_beside,
    sha256,
    size_of,
    write_whole,
    writing,
)


def everything(root):
    """Each name below `root`: what it holds, or where it leads."""
    found = sorted(root.rglob("*"))
    return {p.name: str(p.readlink()) if p.is_symlink() else p.read_text() for p in found if not p.is_dir()}


def device(path, number):
    """A character device of the memory driver: 3 swallows all, 7 is full."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, number))
        path.open("wb").close()
    except OSError as error:
        pytest.skip(f"cannot make a device: {error.strerror}")
    return path


@pytest.fixture
def masked():
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("masked")
def test_a_new_file_has_the_mode_of_the_umask(tmp_path):
    write_whole(tmp_path / "new", b"1")
    write_whole(tmp_path / "program", b"1", mode=0o777)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "program")]
    assert modes == [0o640, 0o750]


@pytest.mark.usefixtures("masked")
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o755])
def test_a_file_that_is_there_keeps_its_mode(tmp_path, mode):
    (tmp_path / "old").write_text("old")
    (tmp_path / "old").chmod(mode)
    write_whole(tmp_path / "old", b"new")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == mode
    assert everything(tmp_path) == {"old": "new"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_that_is_there_keeps_its_owner(tmp_path):
    (tmp_path / "old").write_text("old")
    os.chown(tmp_path / "old", 12345, 54321)
    write_whole(tmp_path / "old", b"new")
    found = (tmp_path / "old").stat()
    assert (found.st_uid, found.st_gid) == (12345, 54321)


def test_a_link_stays_and_the_file_at_its_end_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_text("old")
    (tmp_path / "there/second").symlink_to("file")
    (tmp_path / "first").symlink_to("there/second")
    held = (tmp_path / "there/file").open()
    write_whole(tmp_path / "first", b"new")
    assert everything(tmp_path) == {"first": "there/second", "second": "file", "file": "new"}
    assert held.read() == "old", "the file was written over and not replaced"


def test_a_link_to_nothing_makes_what_it_leads_to(tmp_path):
    (tmp_path / "link").symlink_to("made")
    write_whole(tmp_path / "link", b"new")
    assert everything(tmp_path) == {"link": "made", "made": "new"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loop", "Too many levels of symbolic links; give another file"),
        ("folder", "Is a directory"),
        ("to-folder", "Is a directory"),
        ("missing/file", "No such file or directory"),
        ("file/below", "Not a directory"),
        ("socket", "No such device or address"),
    ],
)
def test_what_cannot_be_an_output_is_said_in_a_line_and_stays(tmp_path, name, words):
    (tmp_path / "loop").symlink_to("pool")
    (tmp_path / "pool").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to-folder").symlink_to("folder")
    (tmp_path / "file").write_text("mine")
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    before = {path: path.lstat() for path in tmp_path.rglob("*")}
    with pytest.raises(StorageError, match=f"cannot write .*{name}: {words}"):
        write_whole(tmp_path / name, b"new")
    if name != "socket":  # what is written to as it stands is opened when there is something to write
        with pytest.raises(StorageError, match=f"cannot write .*{name}: {words}"):
            check_place(tmp_path / name)
    after = {path: path.lstat() for path in tmp_path.rglob("*")}
    assert {p: (f.st_ino, f.st_mode) for p, f in after.items()} == {p: (f.st_ino, f.st_mode) for p, f in before.items()}


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path):
    (tmp_path / "there").write_text("mine")
    for place in ("there", "new", "/dev/null", "/dev/stdout"):
        check_place(tmp_path / place)
    assert everything(tmp_path) == {"there": "mine"}


def test_a_device_stays_one(tmp_path):
    null = device(tmp_path / "null", 3)
    before = null.stat()
    write_whole(null, b"new")
    (tmp_path / "link").symlink_to("null")
    write_whole(tmp_path / "link", b"new")
    after = null.stat()
    assert (after.st_rdev, after.st_ino, after.st_mode) == (before.st_rdev, before.st_ino, before.st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "null"]
    assert size_of(null) is None


def test_a_full_device_is_said(tmp_path):
    full = device(tmp_path / "full", 7)
    with pytest.raises(StorageError, match="No space left on device; free some space, or give another file"):
        write_whole(full, b"new")


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    write_whole(tmp_path / "pipe", b"x" * 2**20)
    reader.join(30)
    assert read == [b"x" * 2**20]
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_terminal_is_written_to():
    ours, theirs = pty.openpty()
    try:
        write_whole(Path(os.ttyname(theirs)), b"new\n")
        assert os.read(ours, 100) == b"new\r\n"
    finally:
        os.close(ours)
        os.close(theirs)


STANDARD = """
import sys
from pathlib import Path
from edgewright.system.files import write_whole
print("before", flush=True)
write_whole(Path(sys.argv[1]), b"output\\n")
print("after")
"""


def stdout_of(folder):
    """What /dev/stdout is, in a directory of the test's own: a fault must not replace the machine's."""
    made = folder / "stdout"
    made.symlink_to("/proc/self/fd/1")
    return made


@pytest.mark.parametrize("name", ["", "/proc/self/fd/1", "/dev/fd/1"])
def test_standard_output_is_gone_on_with(tmp_path, tmp_path_factory, name):
    argv = [sys.executable, "-c", STANDARD, name or str(stdout_of(tmp_path_factory.mktemp("dev")))]
    piped = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout
    with (tmp_path / "file").open("w") as file:
        subprocess.run(argv, stdout=file, check=True)
    assert piped == (tmp_path / "file").read_text() == "before\noutput\nafter\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_descriptor_of_our_own_is_no_output():
    """The pipe to a child, say, which happens to have the number that was meant."""
    reader, writer = os.pipe()
    try:
        with pytest.raises(StorageError, match="Bad file descriptor"):
            write_whole(Path(f"/proc/self/fd/{writer}"), b"new")
        os.set_inheritable(writer, True)  # noqa: FBT003 - as one that this process was given is
        write_whole(Path(f"/proc/self/fd/{writer}"), b"new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [True, False])
def test_what_goes_wrong_half_way_leaves_what_was_there(tmp_path, error, old):
    if old:
        (tmp_path / "out").write_text("old")

    def crash():
        with writing(tmp_path / "out") as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        crash()
    assert everything(tmp_path) == ({"out": "old"} if old else {})


def test_a_full_disk_leaves_what_was_there(small_disk):
    (small_disk / "out").write_text("old")
    with pytest.raises(StorageError, match=r"cannot write .*out: No space left on device; free some space"):
        write_whole(small_disk / "out", b"x" * 2**20)
    assert everything(small_disk) == {"out": "old"}


def test_nothing_planted_beside_an_output_is_followed(tmp_path, monkeypatch):
    """Neither under the names that once were used, nor, if one could be foretold, under that one."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out").mkdir()
    for name in (".run.json.part", f".run.json.{os.getpid()}", ".edgewright-foretold.part"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "victim")
    write_whole(tmp_path / "out/run.json", b"new")
    monkeypatch.setattr("secrets.token_hex", lambda _: "foretold")
    with pytest.raises(StorageError, match="File exists"):
        write_whole(tmp_path / "out/run.json", b"newer")
    found = everything(tmp_path)
    assert (found.pop("victim"), found.pop("run.json")) == ("mine", "new")
    assert set(found.values()) == {str(tmp_path / "victim")}


def test_the_unfinished_file_is_private_and_lies_where_the_output_will(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/out").write_text("old")
    (tmp_path / "there/out").chmod(0o600)
    (tmp_path / "link").symlink_to("there/out")
    with writing(tmp_path / "link") as file:
        file.write(b"new")
        (part,) = (tmp_path / "there").glob(".*")
        assert re.fullmatch(r"\.edgewright-[0-9a-f]{16}\.part", part.name)
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
    with writing(tmp_path / "there/out", beside=tmp_path) as file:
        assert [path.name for path in tmp_path.glob(".*")] == [Path(f"/proc/self/fd/{file.fileno()}").readlink().name]


def test_the_clean_up_of_directories_touches_nothing_of_others(tmp_path):
    """What has the name of a directory that a killed process left, and is none, or another user's."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis").write_text("mine")
    (tmp_path / ".out.unfinished-link").symlink_to(mine)
    (tmp_path / ".out.unfinished-file").write_text("mine too")
    (tmp_path / ".out.unfinished-ours").mkdir()
    others = tmp_path / ".out.unfinished-theirs"
    others.mkdir()
    if os.geteuid() == 0:
        os.chown(others, 12345, 12345)
    else:
        others.rmdir()
    before = {path.name for path in tmp_path.iterdir()}
    with scratch_beside(tmp_path / "out") as work:
        assert {path.name for path in tmp_path.iterdir()} == (before | {work.name}) - {".out.unfinished-ours"}
    assert (mine / "thesis").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_what_is_there_is_replaced_by_force_alone(tmp_path, kind):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling link").symlink_to("nowhere")
    check_free(tmp_path / kind, force=True)
    with pytest.raises(StorageError, match=f"{kind} exists; use --force to replace it"):
        check_free(tmp_path / kind, force=False)


@pytest.mark.parametrize("force", [True, False])
def test_a_directory_is_never_replaced_and_a_pipe_never_is_in_the_way(tmp_path, force):
    os.mkfifo(tmp_path / "pipe")
    check_free(tmp_path / "pipe", force=force)
    check_free(tmp_path / "new", force=force)
    check_free(stdout_of(tmp_path), force=force)
    with pytest.raises(StorageError, match="is a directory; choose another place"):
        check_free(tmp_path, force=force)


def test_a_file_is_read_whole_or_not_at_all(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert read_capped(tmp_path / "file", 100) == b"x" * 100
    with pytest.raises(BundleError, match="file has 100 bytes, at most 98 are read"):
        read_capped(tmp_path / "file", 98)
    with pytest.raises(DataError, match="file has 100 bytes, at most 99 are read; split it"):
        read_capped(tmp_path / "file", 99, DataError, hint="split it")


def test_a_packed_bundle_goes_through_a_pipe(bundle_dir, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    pack(bundle_dir, tmp_path / "pipe")
    reader.join(30)
    assert read == [pack(bundle_dir, tmp_path / "b.tar").read_bytes()]


def edgewright(*argv, stdout=subprocess.PIPE):
    argv = [sys.executable, "-m", "edgewright", *map(str, argv)]
    return subprocess.run(argv, stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)


def test_the_command_line_leaves_a_device_a_device(bundle_dir, tmp_path):
    null = device(tmp_path / "null", 3)
    rows.write(run(row(samples(2.0))), tmp_path / "run.json")
    for words in (("report", tmp_path / "run.json", "--html", null), ("pack", bundle_dir, "--out", null)):
        done = edgewright(*words)
        assert (done.returncode, done.stdout) == (0, b""), done.stderr
        assert done.stderr.decode() == f"wrote {null}\n"
    full = edgewright("report", tmp_path / "run.json", "--html", device(tmp_path / "full", 7))
    assert (full.returncode, full.stderr.count(b"\n")) == (3, 1)
    assert b"No space left on device" in full.stderr
    assert [stat.S_ISCHR((tmp_path / name).stat().st_mode) for name in ("null", "full")] == [True, True]


def test_the_command_line_writes_to_standard_output_and_through_links(bundle_dir, tmp_path):
    rows.write(run(row(samples(2.0))), tmp_path / "run.json")
    (tmp_path / "link.html").symlink_to("page.html")
    edgewright("report", tmp_path / "run.json", "--html", tmp_path / "link.html")
    shown = edgewright("report", tmp_path / "run.json", "--html", stdout_of(tmp_path))
    assert (tmp_path / "link.html").is_symlink()
    assert shown.stdout == (tmp_path / "page.html").read_bytes()
    packed = pack(bundle_dir, tmp_path / "b.tar").read_bytes()
    with (tmp_path / "out.tar").open("wb") as file:
        assert edgewright("pack", bundle_dir, "--out", tmp_path / "stdout", stdout=file).returncode == 0
    assert (tmp_path / "out.tar").read_bytes() == packed == edgewright("pack", bundle_dir, "--out", "/dev/fd/1").stdout


def test_a_manifest_is_replaced_from_outside_of_the_bundle(bundle_dir):
    """A file too many in the bundle would be one that its manifest does not list."""
    manifest = (bundle_dir / "manifest.json").read_bytes()
    with writing(bundle_dir / "manifest.json", beside=bundle_dir.parent) as file:
        file.write(manifest)
        Bundle.open(bundle_dir)


def test_what_compressing_leaves_is_that_of_deflate_file_by_file(tmp_path):
    for name, data in {"zeros": bytes(3 << 20), "noise": os.urandom(1 << 20), "empty": b""}.items():
        (tmp_path / name).write_bytes(data)
    zeros, noise, empty = (tmp_path / name for name in ("zeros", "noise", "empty"))
    assert compressed_bytes([zeros]) == len(zlib.compress(zeros.read_bytes(), 6)) < 10_000
    assert compressed_bytes([noise]) > 1 << 20
    assert compressed_bytes([zeros, noise, empty]) == sum(compressed_bytes([one]) for one in (zeros, noise, empty))


# inputs


@pytest.fixture
def node(tmp_path):
    """A device node of our own that gives zeros without end, as /dev/zero does."""
    if os.geteuid() != 0:
        pytest.skip("only root makes device nodes")
    os.mknod(tmp_path / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    return tmp_path / "zero"


def test_a_device_is_no_file(node):
    with pytest.raises(OSError, match="it is a device, where a file should be"):
        plain(node)


def test_a_named_pipe_is_no_file_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a named pipe, where a file should be"):
        plain(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"nothing came through the pipe in 0\.1 s"):
        plain(tmp_path / "pipe", pipe_s=0.1)


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        plain(tmp_path)


def test_an_open_descriptor_is_read_as_it_stands():
    reader, writer = os.pipe()
    os.write(writer, b"came")
    os.close(writer)
    with plain(Path(f"/dev/fd/{reader}")) as file:
        assert file.read() == b"came"
    os.close(reader)


@pytest.mark.parametrize("read", [sha256, lambda path: read_capped(path, 10), lambda path: compressed_bytes([path])])
def test_every_reader_looks_at_what_it_opens(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a named pipe"):
        read(tmp_path / "pipe")


def test_a_line_without_end_is_not_read_to_its_end():
    lines = capped_lines(io.StringIO("short\n" + "x" * (MAX_LINE_BYTES + 1)), "in.txt", DataError)
    assert next(lines) == "short\n"
    with pytest.raises(DataError, match=f"line 2 of in.txt has over {MAX_LINE_BYTES} characters"):
        next(lines)


KILLED = """
import os, sys
from pathlib import Path
from edgewright.system.files import writing
with writing(Path(sys.argv[1])) as file:
    file.write(b"half")
    print("writes", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_unfinished_goes_with_the_next_output(tmp_path):
    argv = [sys.executable, "-c", KILLED, tmp_path / "out"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        write_whole(tmp_path / "other", b"beside one that is being written")
        assert len(list(tmp_path.glob(".edgewright-*.part"))) == 1
        writer.kill()
    (tmp_path / ".edgewright-link.part").symlink_to(tmp_path / "other")
    write_whole(tmp_path / "out", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".edgewright-link.part", "other", "out"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"null"])
def test_a_record_of_our_own_that_is_damaged_is_said_with_what_helps(tmp_path, data):
    (tmp_path / "note.json").write_bytes(data)
    with pytest.raises(StorageError, match=rf"note\.json .*; remove {tmp_path}, and run it again"):
        own_record(tmp_path / "note.json")


def test_what_a_killed_build_left_among_temporary_files_goes_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from edgewright.system.files import scratch\n"
        "with scratch() as folder:\n"
        "    (folder / 'weights').write_bytes(bytes(9)); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with scratch() as first, scratch() as second:
        assert set(tmp_path.iterdir()) == {first, second}, f"{left} is in nobody's use, the first one is"
    assert not list(tmp_path.iterdir())
