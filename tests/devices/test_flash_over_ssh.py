"""Small bundles onto a board behind a real ssh server: cut, killed, out of disk, twice at once, rotten."""

import contextlib
import hashlib
import json
import random
import subprocess
import threading
import time

import pytest
from lighter import first
from loopback import Dropbear, Sshd, serve
from onboard import tiny

from edgewright.boards.connect import connect
from edgewright.boards.flash import flash, releases, rollback, status
from edgewright.contracts.board_commands import Checks
from edgewright.errors import DeviceError, EdgewrightError

pytestmark = pytest.mark.slow

CHECKS = Checks.programs(
    probe=("true",), self_test=("test", "-d", "{bundle}"), health=("test", "-d", "{bundle}"), timeout_s=30
)
TOLD = (
    "broke",
    "is locked by",
    "is sending to this board",
    "was given up",
    "was killed",
    "did not arrive whole",
    "cannot write",
)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    out = tmp_path_factory.mktemp("versions")
    return {number: tiny(out / str(number), number) for number in (0, 1, 2)}


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    found = serve(Sshd, tmp_path_factory.mktemp("sshd"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", found.path)
        yield found
    found.stop()


@pytest.fixture
def way(sshd):
    found = connect(sshd.url)
    yield found
    found.close()


def install(bundle, way, root, **options):
    return flash(bundle, way, root=str(root), checks=CHECKS, allow_downgrade=True, **options)


def finish(bundle, way, root):
    """Flash, again as long as a board's part that outlived its connection is at work."""
    for _ in range(50):
        try:
            return install(bundle, way, root)
        except DeviceError as error:
            if not any(words in str(error) for words in TOLD):
                raise
            time.sleep(0.2)
    return pytest.fail("the board stayed locked")


def version(root):
    """The version that `current` leads to, every file hashed."""
    tree = json.loads((root / "current/manifest.json").read_text())
    for file in (*tree["artifacts"], *tree["files"]):
        assert hashlib.sha256((root / "current" / file["path"]).read_bytes()).hexdigest() == file["sha256"]
    return tree["version"]


def test_only_what_changed_travels_and_back(bundles, way, tmp_path):
    root = tmp_path / "board"
    assert install(bundles[1], way, root).sent == ("onnx/model.onnx", "config.json")
    assert install(bundles[2], way, root).sent == ("onnx/model.onnx",)
    assert not install(bundles[2], way, root).changed
    assert rollback(way, root=str(root), checks=CHECKS).active.startswith("000001-")
    assert version(root) == 1


@pytest.mark.parametrize("connections", first(1, [True, False]), ids=["connection cut", "far side killed"])
def test_at_random_moments_of_an_upgrade_the_old_or_the_new_stays(bundles, sshd, way, tmp_path, connections):
    root, luck, told = tmp_path / "board", random.Random(1), []
    install(bundles[0], way, root)
    began = time.monotonic()
    install(bundles[2], way, root)
    takes_s = time.monotonic() - began
    for number in (0, 2) * 10:
        timer = threading.Timer(luck.uniform(0.0, takes_s), sshd.kill, kwargs={"connections": connections})
        timer.start()
        try:
            install(bundles[number], way, root)
        except EdgewrightError as error:
            told.append(str(error))
        timer.join()
        assert version(root) in (0, 2)
    assert [line for line in told if not any(words in line for words in TOLD)] == []
    assert told
    for number in (0, 2):
        finish(bundles[number], way, root)
        assert version(root) == number
    assert [row.problem for row in releases(way, root=str(root))] == ["", ""]
    assert list((root / "incoming").iterdir()) == []


def test_status_is_asked_again_where_the_connection_broke(bundles, sshd, way, tmp_path, monkeypatch):
    root, run, asked = tmp_path / "board", type(way)._run, []
    install(bundles[1], way, root)

    def cut(self, argv, **given):
        """The first two times, the connection goes while the command runs."""
        asked.append(argv)
        if len(asked) > 2:
            return run(self, argv, **given)
        sshd.once_it_runs("sleep", lambda: sshd.kill(connections=True))
        return run(self, ["sleep", "300"], **given)

    monkeypatch.setattr(type(way), "_run", cut)
    assert status(way, root=str(root)).active.startswith("000001-")
    assert len(asked) == 3


def test_of_two_at_once_one_goes(bundles, sshd, tmp_path):
    root, told = tmp_path / "board", []

    def one(number):
        way = connect(sshd.url)
        try:
            install(bundles[number], way, root)
            told.append("")
        except EdgewrightError as error:
            told.append(str(error))
        way.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "" in told
    assert [line for line in told if line and not any(words in line for words in TOLD)] == []
    assert version(root) in (1, 2)


@pytest.fixture
def small(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full_or_fills_leaves_what_was(bundles, way, small, monkeypatch):
    root, other = small / "board", small / "other"
    install(bundles[1], way, root)

    def fill():
        with contextlib.suppress(OSError), other.open("ab", buffering=0) as file:
            while file.write(bytes(512)):
                pass

    push = type(way)._push
    monkeypatch.setattr(type(way), "_push", lambda self, here, there: (fill(), push(self, here, there)))
    with pytest.raises(DeviceError, match=r"No space left on device; free some space|bytes were sent"):
        install(bundles[2], way, root)
    assert version(root) == 1
    monkeypatch.undo()
    with pytest.raises(DeviceError, match=r"No space left on device|MB of disk.*free some space on the board"):
        install(bundles[2], way, root)
    assert version(root) == 1
    other.unlink()
    install(bundles[2], way, root)
    assert (version(root), [row.role for row in releases(way, root=str(root))]) == (2, ["active", "previous"])


def test_a_flipped_bit_is_found_and_healed(bundles, way, tmp_path):
    root = tmp_path / "board"
    for number in (1, 2):
        install(bundles[number], way, root)
    path = root / "current/onnx/model.onnx"
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 4]))
    found = next(row for row in releases(way, root=str(root)) if row.role == "active")
    assert found.problem == "damaged: onnx/model.onnx"
    assert rollback(way, root=str(root), heal=True, checks=CHECKS).active.startswith("000001-")
    assert version(root) == 1


def test_a_board_with_dropbear(bundles, tmp_path, monkeypatch):
    server = serve(Dropbear, tmp_path)
    monkeypatch.setenv("PATH", server.path)
    way, root = connect(server.url), tmp_path / "board"
    for number in (1, 2):
        install(bundles[number], way, root)
    assert version(root) == 2
    way.close()
    server.stop()
