"""The demo model flashed onto this machine as a user does it: upgraded, killed, out of disk, twice at once, rotten."""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import edgewright, second

from edgewright.boards.connect import connect
from edgewright.boards.flash import flash, releases
from edgewright.devices.local import Local
from edgewright.errors import DeviceError


@pytest.fixture(scope="module")
def bundles(demo_bundle, tmp_path_factory):
    """The demo bundle as version 0, and as version 2 with another config.json."""
    return {0: Path(demo_bundle), 2: second(demo_bundle, tmp_path_factory.mktemp("versions") / "2")}


def version(root):
    """The version that `current` leads to, every file hashed."""
    release = (root / "current").resolve()  # a board's part that outlived its host may move `current` in the middle
    tree = json.loads((release / "manifest.json").read_text())
    for file in (*tree["artifacts"], *tree["files"]):
        assert hashlib.sha256((release / file["path"]).read_bytes()).hexdigest() == file["sha256"]
    return tree["version"]


def test_a_board_from_first_to_last(bundles, tmp_path):
    root = ["--root", tmp_path / "board"]
    first = json.loads(edgewright("flash", bundles[0], "local", *root, "--json", "-q"))
    assert [row["golden"] for row in first["rows"]] == ["7 of 7", "7 of 7"]
    second = json.loads(edgewright("flash", bundles[2], "local", *root, "--json", "-q"))["flash"]
    assert (second["sent"], second["version"], second["changed"]) == (["config.json"], 2, True)
    assert "as it was before" in edgewright("flash", bundles[2], "local", *root, "-q")
    line = edgewright("flash", bundles[0], "local", *root, "-q", check=3)
    assert "the bundle has version 0, active on the board is version 2; versions never go down" in line
    rows = json.loads(edgewright("status", "local", *root, "--json"))["rows"]
    assert [(row["role"], row["version"], row["problem"]) for row in rows] == [
        ("active", 2, None),
        ("previous", 0, None),
    ]
    answer = json.loads(edgewright("run", tmp_path / "board/current", "a charming and often affecting journey"))
    assert answer["answer"][0]["label"] == "positive"
    assert "000001-" in edgewright("rollback", "local", *root, "-q")
    assert version(tmp_path / "board") == 0
    assert "2 releases removed" in edgewright("uninstall", "local", *root)
    assert not (tmp_path / "board").exists()


def test_rot_is_found_and_healed(bundles, tmp_path):
    root = ["--root", tmp_path / "board"]
    for number in (0, 2):
        edgewright("flash", bundles[number], "local", *root, "-q")
    path = tmp_path / "board/current/config.json"
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    line = edgewright("status", "local", *root, check=5)
    assert "the active release 000002-" in line
    assert "is not whole: damaged: config.json; run: edgewright rollback local --root" in line
    edgewright("rollback", "local", *root, "--heal", "-q")
    assert version(tmp_path / "board") == 0


def begin(bundle, root):
    argv = [sys.executable, "-m", "edgewright", "flash", bundle, "local", "--root", root, "-q", "--allow-downgrade"]
    return subprocess.Popen(
        [*map(str, argv)], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(bundle, root):
    """Flash, again as long as a board's part that outlived its host is at work."""
    for _ in range(60):
        process = begin(bundle, root)
        _, line = process.communicate()
        if process.returncode == 0:
            return
        locked = "is locked by install from" in line or "is locked by prepare from" in line
        assert (process.returncode, locked) == (5, True), line
        time.sleep(0.2)
    pytest.fail("the board stayed locked")


@pytest.mark.heavy
@pytest.mark.parametrize("whom", ["host", "host and board"])
def test_killed_at_random_moments_the_old_or_the_new_stays(bundles, tmp_path, whom):
    root, luck = tmp_path / "board", random.Random(1)
    finish(bundles[0], root)
    began = time.monotonic()
    finish(bundles[2], root)
    takes_s = time.monotonic() - began
    for number in (0, 2):  # `tools/flash_fire.py` does it 180 times
        process = begin(bundles[number], root)
        time.sleep(luck.uniform(0.1, takes_s))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if whom == "host and board" else process.kill()
        process.wait()
        assert version(root) in (0, 2)
        finish(bundles[number], root)
        assert version(root) == number
    assert list((root / "incoming").iterdir()) == []
    assert len(list((root / "releases").iterdir())) == 2


def test_of_several_at_once_one_goes(bundles, tmp_path):
    root = tmp_path / "board"
    processes = [begin(bundles[0], root) for _ in range(4)]
    lines = [process.communicate()[1] for process in processes]
    ended = sorted(process.returncode for process in processes)
    assert ended[0] == 0
    assert set(ended) <= {0, 5}
    told = ("is locked by", "is sending to this board", "this transfer was given up")
    assert [line for line in lines if line and not any(words in line for words in told)] == []
    assert version(root) == 0


@pytest.fixture
def small(tmp_path):
    """A file system of 45 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=45m", "none", folder], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


class Filling(Local):
    """A transfer during which someone else fills the disk."""

    def __init__(self, folder):
        self.folder = folder

    def _push(self, here, there):
        super()._push(here, there)
        with contextlib.suppress(OSError), (self.folder / "other").open("ab") as file:
            while file.write(bytes(2**16)):
                file.flush()


def test_a_disk_that_fills_leaves_what_was(bundles, small):
    root = small / "board"
    flash(bundles[0], connect("local"), root=str(root))
    with pytest.raises(DeviceError, match=r"No space left on device|did not arrive whole"):
        flash(bundles[2], Filling(small), root=str(root))
    assert version(root) == 0
    with pytest.raises(DeviceError, match=r"active is 000001-.*; free some space on the board|MB of disk"):
        flash(bundles[2], connect("local"), root=str(root))
    assert version(root) == 0
    (small / "other").unlink()
    flash(bundles[2], connect("local"), root=str(root))
    assert version(root) == 2
    assert [row.role for row in releases(connect("local"), root=str(root))] == ["active", "previous"]
