"""A release whose model leads to files outside of it: what the board itself does, whatever the host let through."""

import json

import pytest
from onboard import Here, active, contents, litter, tiny
from onnx_wire import outside

from edgewright.boards.agent import PythonBoard
from edgewright.boards.connect import connect
from edgewright.boards.flash import flash, rollback
from edgewright.bundle import bundle as bundles
from edgewright.bundle.bundle import Bundle
from edgewright.contracts.board import Serve, Visit
from edgewright.contracts.board_commands import Checks, Server
from edgewright.devices._fake.board import Fake
from edgewright.devices._onboard.checks import usable
from edgewright.devices._onboard.disk import RealDisk
from edgewright.devices._onboard.release import Release
from edgewright.devices._onboard.state import State
from edgewright.devices._onboard.store import Store
from edgewright.errors import BundleError

WORDS = r"^onnx/model\.onnx is refused: its tensor 'w' is in the file '/etc/passwd'; it may name model\.onnx\.data"
NONE = Checks.programs((), ("true",), ("true",))


@pytest.fixture
def leading(tmp_path):
    return tiny(tmp_path / "leading", 2, outside(b"/etc/passwd"))


@pytest.fixture
def careless(monkeypatch):
    """A host that looks at hashes alone."""
    monkeypatch.setattr(bundles, "check_file", lambda *_: None)
    monkeypatch.setattr(bundles, "_CONTAINED", set())


def test_nothing_is_sent_by_a_host_that_looks(leading):
    board = Fake()
    with pytest.raises(BundleError, match=WORDS):
        flash(leading, board)
    assert board.disk.count == 0


@pytest.mark.usefixtures("careless")
def test_a_board_refuses_it_before_an_engine_runs_and_stays_as_it_was(leading, tmp_path):
    board = Fake()
    flash(tiny(tmp_path / "1", 1), board)
    board.runs.clear()
    with pytest.raises(BundleError, match=WORDS):
        flash(leading, board)
    assert not [run for run in board.runs if "verify" in run]
    assert active(board) == 1
    assert not litter(board)
    assert "'/etc/passwd'" in board.disk.peek(f"{board.root}/journal.jsonl").decode()


@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("kind", ["this process", "a process of its own"])
@pytest.mark.slow
def test_a_real_board_refuses_it_before_its_self_test(leading, tmp_path, kind):
    root, ran = tmp_path / "board", tmp_path / "ran"
    checks = Checks.programs((), ("touch", str(ran)), ("true",))
    board = Here(root) if kind == "this process" else PythonBoard(connect("local"), str(root))
    with pytest.raises(BundleError, match=WORDS):
        flash(leading, board, checks=checks)
    assert not ran.exists()
    assert not (root / "current").is_symlink()
    assert not [path for path in contents(root) if path.startswith("releases/")]
    flash(tiny(tmp_path / "1", 1), board, checks=checks)
    assert ran.exists()


def installed(root, board, directory, place):
    """Flash two releases, and put the bytes of a third in the place of one, as an older edgewright let them in."""
    for version in (1, 2):
        flash(tiny(directory / f"{version}", version), board, checks=NONE)
    spoilt = tiny(directory / "spoilt", 3, outside(b"/etc/passwd"))
    name = State(sequence=8).next(Release.read((spoilt / "manifest.json").read_bytes(), b"").digest)
    state = json.loads((root / "state.json").read_text())
    spoilt.rename(root / "releases" / name)
    (root / "state.json").write_text(json.dumps({**state, place: name, "sequence": 9}))
    if place == "active":
        (root / "current").unlink()
        (root / "current").symlink_to(f"releases/{name}")
    return name


@pytest.mark.parametrize("place", ["previous", "active"])
def test_one_that_is_there_already_is_neither_gone_back_to_nor_run(tmp_path, place):
    root = tmp_path / "board"
    board = Here(root)
    name = installed(root, board, tmp_path, place)
    if place == "previous":
        with pytest.raises(BundleError, match=WORDS):
            rollback(board, checks=NONE)
        assert (root / "current").resolve().name.startswith("000002-")
        return
    with pytest.raises(BundleError, match=WORDS):
        board.answer(Visit("", 0, "this", (), "", {}, (), 60.0), within_s=60.0)
    with pytest.raises(BundleError, match=WORDS):
        board.answer(Serve(Server(), 60.0), within_s=60.0)
    assert (root / "current").resolve().name == name
    store = Store(RealDisk(), str(root))
    assert [usable(store, one) for one in store.releases()] == [one != name for one in store.releases()]


def test_a_release_without_a_format_is_refused(tmp_path):
    tree = json.loads((tiny(tmp_path / "1", 1) / "manifest.json").read_bytes())
    del tree["artifacts"][0]["format"]
    with pytest.raises(BundleError, match=r"onnx/model\.onnx has no format"):
        Release.read(json.dumps(tree).encode(), b"")


def test_weights_beside_a_model_are_taken(tmp_path):
    bundle = tiny(tmp_path / "large", 1, outside(b"model.onnx.data"))
    (bundle / "onnx/model.onnx.data").write_bytes(b"1234")
    tree = json.loads((bundle / "manifest.json").read_bytes())
    digest = "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4"
    tree["files"].append({"path": "onnx/model.onnx.data", "size_bytes": 4, "sha256": digest})
    (bundle / "manifest.json").write_text(json.dumps(tree))
    assert flash(Bundle.open(bundle), Fake()).changed
    assert flash(Bundle.open(bundle), Here(tmp_path / "board"), checks=NONE).changed
