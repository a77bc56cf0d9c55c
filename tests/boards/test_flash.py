"""Flashing boards in memory: what travels, what is refused and why, what is taken back, what is told."""

import errno
import hashlib
import json
import random
import re

import pytest
from msgspec.structs import replace
from onboard import active, litter, tiny

from edgewright.boards import board as boards
from edgewright.boards.flash import flash, releases, rollback, status, uninstall
from edgewright.boards.wire import frame, plain
from edgewright.bundle import manifest
from edgewright.contracts.board_answers import Prepared, Wanted
from edgewright.contracts.board_commands import Checks
from edgewright.devices._fake.board import Fake
from edgewright.devices._fake.disk import Fault
from edgewright.devices._onboard.disk import Free
from edgewright.devices.local import Local
from edgewright.errors import BundleError, DeviceError, EdgewrightError, GateFailed


@pytest.fixture
def board():
    return Fake()


@pytest.fixture
def bundles(tmp_path):
    return {n: tiny(tmp_path / f"v{n}", n) for n in (1, 2, 3)}


def roles(board):
    return {row.role: row.version for row in releases(board)}


# what travels


def test_only_what_the_board_lacks_is_sent(board, bundles):
    first, second = flash(bundles[1], board), flash(bundles[2], board)
    assert first.sent == ("onnx/model.onnx", "config.json")
    assert second.sent == ("onnx/model.onnx",)
    assert second.sent_bytes == (bundles[2] / "onnx/model.onnx").stat().st_size
    assert roles(board) == {"active": 2, "previous": 1}


def test_what_lost_its_power_after_a_flash_is_not_sent_again(board, bundles):
    flash(bundles[1], board)
    board.reboot()
    assert active(board) == 1
    assert flash(bundles[2], board).sent == ("onnx/model.onnx",)


def test_the_same_again_changes_nothing(board, bundles):
    flash(bundles[1], board)
    done = flash(bundles[1], board)
    assert (done.changed, done.sent, done.version) == (False, (), 1)
    assert len(releases(board)) == 1


def test_a_way_back_sends_nothing(board, bundles):
    for version in (1, 2):
        flash(bundles[version], board)
    assert flash(bundles[1], board, allow_downgrade=True).sent == ()
    assert roles(board) == {"active": 1, "previous": 2}


def test_two_names_of_one_content_are_sent_once(board, tmp_path):
    root = tiny(tmp_path / "twins", 1)
    (root / "golden.json").write_bytes(b"{}")
    tree = json.loads((root / "manifest.json").read_text())
    tree["files"].append({**tree["files"][0], "path": "golden.json"})
    (root / "manifest.json").write_text(json.dumps(tree))
    assert flash(root, board).sent == ("onnx/model.onnx", "config.json")
    assert active(board) == 1


def test_an_interrupted_transfer_goes_on_where_it_was(board, bundles, monkeypatch):
    def push(here, there, usual=board.way._push):
        if here.name == "config.json":
            raise ConnectionResetError("the link dropped")
        usual(here, there)

    with monkeypatch.context() as patch:
        patch.setattr(board.way, "_push", push)
        with pytest.raises(DeviceError, match=r"could not push config\.json: ConnectionResetError: the link dropped"):
            flash(bundles[1], board)
    assert active(board) is None
    assert flash(bundles[1], board).sent == ("config.json",)


def test_what_was_sent_for_another_bundle_is_removed(board, bundles):
    flash(bundles[1], board)
    board.disk.close(board.disk.open(f"{board.root}/incoming/{'0' * 64}", "write"))
    flash(bundles[2], board)
    assert litter(board) == set()


# what is refused


def test_a_version_never_goes_down_unless_asked(board, bundles):
    flash(bundles[2], board)
    with pytest.raises(BundleError, match="the bundle has version 1, active on the board is version 2"):
        flash(bundles[1], board)
    assert roles(board) == {"active": 2}
    assert flash(bundles[1], board, allow_downgrade=True).version == 1


def test_going_back_by_hand_is_always_allowed_and_what_is_active_counts(board, bundles):
    for version in (1, 3):
        flash(bundles[version], board)
    rollback(board)
    assert flash(bundles[2], board).version == 2
    assert roles(board) == {"active": 2, "previous": 1}


def test_what_rotted_does_not_let_an_older_one_in(board, bundles):
    flash(bundles[3], board)
    board.disk.flip(f"{board.root}/current/manifest.json")
    with pytest.raises(BundleError, match="the bundle has version 2, version 3 has been active on the board"):
        flash(bundles[2], board)
    assert flash(bundles[2], board, allow_downgrade=True).version == 2


def test_a_version_that_cannot_be_read_is_said_with_what_mends_it(board, bundles):
    flash(bundles[2], board)
    board.disk.flip(f"{board.root}/current/manifest.json")
    handle = board.disk.open(f"{board.root}/newest", "write")
    board.disk.write(handle, b"two")
    with pytest.raises(
        DeviceError, match=rf"does not hold the number of a version; .*echo VERSION > {board.root}/newest"
    ):
        flash(bundles[3], board)


def test_the_way_back_needs_no_free_space(board, bundles):
    for version in (1, 2):
        flash(bundles[version], board)
    board.disk.capacity_bytes = board.disk.used_bytes()
    assert rollback(board).active.startswith("000001-")
    assert active(board) == 1
    board.disk.capacity_bytes = 2**30
    flash(bundles[3], board)
    assert litter(board) == set()


def test_the_way_back_takes_the_space_of_unfinished_transfers_where_it_has_no_reserve(board, bundles):
    for version in (1, 2):
        flash(bundles[version], board)
    board.disk.unlink(f"{board.root}/reserve")
    handle = board.disk.open(f"{board.root}/incoming/{'0' * 64}", "write")
    board.disk.write(handle, bytes(5000))
    board.disk.close(handle)
    board.disk.capacity_bytes = board.disk.used_bytes()
    rollback(board)
    assert active(board) == 1


@pytest.mark.parametrize("name", ["", "/keys", "/keys/allowed_signers", "/keys/revoked"])
def test_what_others_may_change_is_no_word_of_the_owner(board, bundles, name):
    flash(bundles[1], board)
    board.disk.mkdir(f"{board.root}/keys", 0o755)
    for file in ("allowed_signers", "revoked"):
        board.disk.close(board.disk.open(f"{board.root}/keys/{file}", "write"))
    board.disk.chmod(f"{board.root}{name}", 0o777 if name in ("", "/keys") else 0o666)
    place = f"{board.root}{name}"
    with pytest.raises(DeviceError, match=rf"{place} may be written by other users .*; run there: chmod go-w {place}"):
        flash(bundles[2], board)
    assert active(board) == 1


def test_too_little_disk_is_said_before_anything_is_sent(bundles):
    board = Fake(capacity_bytes=1_000_000)
    with pytest.raises(DeviceError, match=r"/data/edgewright needs 1\.\d MB of disk, 1\.0 MB are free"):
        flash(bundles[1], board)
    assert [path for path in board.disk.tree(board.root) if "/blobs/" in path or "/releases/" in path] == []


def test_too_little_memory_is_said_with_the_sum(board, bundles):
    board.ram_free_bytes = 50 * 2**20
    words = r"needs python 37 \+ tokenizer 2 \+ engine 26 \+ weights 0 \+ activations 0 = 65 MiB of memory"
    words += ", the board has 50 MiB left; end other programs there, or build a smaller precision"
    with pytest.raises(DeviceError, match=words):
        flash(bundles[1], board)
    assert board.disk.tree() == {}


def test_a_board_without_an_engine_is_not_sent_anything(board, bundles):
    board.probed = 6
    with pytest.raises(DeviceError, match=r"the board's .*python.* cannot run the bundle: no engine; .*pip install"):
        flash(bundles[1], board)
    assert board.disk.tree() == {}


def test_a_probe_that_dies_of_an_illegal_instruction_says_so(board, bundles):
    board.probed = -4
    with pytest.raises(DeviceError, match="it died of SIGILL"):
        flash(bundles[1], board)


def test_a_directory_of_another_purpose_is_left_alone(board, bundles):
    for folder in ("/data", board.root, f"{board.root}/photos"):
        board.disk.mkdir(folder, 0o755)
    for act in (lambda: flash(bundles[1], board), lambda: uninstall(board), lambda: status(board)):
        with pytest.raises(DeviceError, match="holds 'photos', it is no store of releases; choose another --root"):
            act()
    assert set(board.disk.tree(board.root)) == {f"{board.root}/photos"}


def test_a_root_that_is_a_file(board, bundles):
    board.disk.mkdir("/data", 0o755)
    board.disk.close(board.disk.open(board.root, "write"))
    with pytest.raises(DeviceError, match="is not a directory, it is no store"):
        flash(bundles[1], board)


def test_a_staging_directory_of_someone_else_is_not_used(board, bundles):
    flash(bundles[1], board)
    board.disk.rmdir(f"{board.root}/incoming")
    board.disk.symlink("/shared", f"{board.root}/incoming")
    with pytest.raises(DeviceError, match="taken by something that is not a directory of this user"):
        flash(bundles[2], board)
    assert active(board) == 1


def test_a_staging_directory_that_others_may_write_is_made_private(board, bundles):
    flash(bundles[1], board)
    board.disk.chmod(f"{board.root}/incoming", 0o777)
    flash(bundles[2], board)
    assert board.disk.stat(f"{board.root}/incoming").mode == 0o700


def test_a_file_system_without_links_is_told_before_anything_is_sent(board, bundles, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted", board.root)

    monkeypatch.setattr(board.disk, "link", link)
    with pytest.raises(
        DeviceError, match=r"Operation not permitted .* may lack links; choose a --root on ext4 or f2fs"
    ):
        flash(bundles[1], board)
    assert not [path for path in board.disk.tree(board.root) if "/blobs/" in path]


# proofs on the board


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (
            (4, "edgewright: gate-failed: outputs differ"),
            "the self-test failed: edgewright: gate-failed: outputs differ",
        ),
        ((-11, ""), "the self-test failed: it died of SIGSEGV"),
        ((-9, ""), "killed, most likely because the board ran out of memory"),
        (
            DeviceError("python3 took longer than 600 s and was ended"),
            "the self-test failed: python3 took longer than 600",
        ),
        ((1, ""), "exit code 1 and not a word"),
    ],
)
def test_a_release_that_fails_its_self_test_was_never_there(board, bundles, verdict, words):
    flash(bundles[1], board)
    board.verdicts[2, "self-test"] = verdict
    with pytest.raises(GateFailed, match=words):
        flash(bundles[2], board)
    assert roles(board) == {"active": 1}
    assert litter(board) == set()
    assert words in status(board).journal[-1].why


@pytest.mark.parametrize("verdict", [(1, "no answer"), (-6, ""), DeviceError("it hung")])
def test_a_release_that_is_not_healthy_is_taken_back(board, bundles, verdict):
    for version in (1, 2):
        flash(bundles[version], board)
    board.verdicts[3, "health"] = verdict
    with pytest.raises(GateFailed, match=r"the health check failed: .*; the board went back to 000002-"):
        flash(bundles[3], board)
    assert roles(board) == {"active": 2, "previous": 1}
    assert active(board) == 2
    assert litter(board) == set()
    assert status(board).journal[-1].what == "went back"


def test_a_first_release_that_is_not_healthy_leaves_nothing_active(board, bundles):
    board.verdicts[1, "health"] = (1, "no")
    with pytest.raises(GateFailed, match="the board went back to nothing"):
        flash(bundles[1], board)
    assert (active(board), releases(board)) == (None, ())


def test_a_self_test_that_replays_nothing_proves_nothing(board, bundles):
    board.rows = [{"format": "onnx", "engine": None, "golden": "not replayed: no engine"}]
    with pytest.raises(GateFailed, match="replayed nothing: the board has no engine for any artifact"):
        flash(bundles[1], board)
    assert active(board) is None


def test_the_checks_of_the_caller_are_what_runs(board, bundles):
    argv = ("python3", "-m", "mine", "self-test", "{bundle}")
    flash(bundles[1], board, checks=Checks.programs(self_test=argv, health=(*argv, "--quick")))
    assert [run[2] for run in board.runs] == ["mine", "mine"]
    assert re.fullmatch(r"/data/edgewright/releases/000001-[0-9a-f]{12}", board.runs[0][4])
    assert board.runs[1][4] == "/data/edgewright/current"


# rot


def test_rot_is_seen_and_the_way_back_is_the_previous_one(board, bundles):
    for version in (1, 2):
        flash(bundles[version], board)
    board.disk.flip(f"{board.root}/current/onnx/model.onnx")
    assert releases(board)[0].problem == "damaged: onnx/model.onnx"
    assert rollback(board, heal=True).before.startswith("000002-")
    assert roles(board) == {"active": 1, "previous": 2}
    assert rollback(board, heal=True).active.startswith("000001-")


def test_both_damaged_is_said_and_nothing_is_deleted(board, bundles):
    for version in (1, 2):
        flash(bundles[version], board)
    names = [row.name for row in releases(board)]
    for name in names:
        board.disk.flip(f"{board.root}/releases/{name}/onnx/model.onnx")
    tree = board.disk.tree()
    words = (
        r"the previous release, 000001-.*, cannot be used: damaged: .*; the active one, 000002-.*, is too: damaged: .*"
    )
    with pytest.raises(DeviceError, match=words + "nothing was deleted"):
        rollback(board, heal=True)
    assert board.disk.tree() == tree
    assert flash(bundles[3], board).changed
    assert roles(board) == {"active": 3, "previous": 2}


def test_a_damaged_release_is_mended_by_flashing_it_again(board, bundles):
    flash(bundles[1], board)
    board.disk.flip(f"{board.root}/current/onnx/model.onnx")
    assert flash(bundles[1], board).sent == ("onnx/model.onnx",)
    assert active(board) == 1
    assert not releases(board)[0].problem


def test_a_rotten_manifest_is_damage_too(board, bundles):
    flash(bundles[1], board)
    board.disk.flip(f"{board.root}/current/manifest.json")
    (row,) = releases(board)
    assert (row.role, row.version) == ("active", None)
    assert row.problem
    assert flash(bundles[1], board).changed
    assert active(board) == 1


# state


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"schema": 1}', b'{"schema": 1, "active": "../x"}', b"\0" * 90, None]
)
def test_a_lost_state_is_made_out_from_the_directories(board, bundles, data):
    for version in (1, 2):
        flash(bundles[version], board)
    path = f"{board.root}/state.json"
    if data is None:
        board.disk.unlink(path)
    else:
        handle = board.disk.open(path, "write")
        board.disk.write(handle, data)
        board.disk.close(handle)
    assert roles(board) == {"active": 2, "previous": 1}
    flash(bundles[3], board)
    assert roles(board) == {"active": 3, "previous": 2}


def test_the_state_of_a_newer_edgewright_is_not_touched(board, bundles):
    flash(bundles[1], board)
    handle = board.disk.open(f"{board.root}/state.json", "write")
    board.disk.write(handle, b'{"schema": 2}')
    board.disk.close(handle)
    before = board.disk.tree()
    with pytest.raises(DeviceError, match="has schema 2, this edgewright reads up to 1; upgrade edgewright"):
        flash(bundles[2], board)
    assert board.disk.tree() == before
    assert active(board) == 1


def test_a_disk_that_takes_nothing_is_told_before_anything_changes(board, bundles):
    flash(bundles[1], board)
    board.disk.fault = Fault(board.disk.count, "nospace", lasts=True)
    with pytest.raises(
        DeviceError, match=r"No space left on device .*active is 000001-.*; free some space on the board"
    ):
        flash(bundles[2], board)
    board.disk.fault = None
    assert roles(board) == {"active": 1}


def test_the_journal_is_bounded_and_torn_lines_are_left_out(board, bundles):
    flash(bundles[1], board)
    path = f"{board.root}/journal.jsonl"
    handle = board.disk.open(path, "append")
    board.disk.write(handle, b'{"what": "x", "why": "y"}\n' * 4000 + b'{"wh')
    board.disk.close(handle)
    flash(bundles[2], board)
    assert len(board.disk.peek(path)) < 2**16
    assert [event.what for event in status(board).journal[-2:]] == ["x", "installed"]


# at the same time


def noting(board, bundles, **fields):
    """A board on which someone else has begun to send."""
    flash(bundles[1], board)
    sender = {"token": "other", "who": "someone@elsewhere", "host": "elsewhere", "pid": 1, "boot": "0", **fields}
    handle = board.disk.open(f"{board.root}/incoming/session.json", "write")
    board.disk.write(handle, json.dumps(sender).encode())
    board.disk.close(handle)


def test_one_sends_and_the_other_is_told_who(board, bundles):
    noting(board, bundles)
    board.disk.clock_s += 12
    with pytest.raises(DeviceError, match="someone@elsewhere is sending to this board, the last bytes came 12 s ago"):
        flash(bundles[2], board)
    board.disk.clock_s += 30
    assert flash(bundles[2], board).changed


def test_a_sender_from_before_a_restart_is_gone(board, bundles):
    noting(board, bundles)
    board.reboot(kept=True)
    assert flash(bundles[2], board).changed


def test_a_sender_of_this_host_that_has_ended_is_gone(board, bundles):
    noting(board, bundles, host=boards._host(), pid=2**22 + 1)
    assert flash(bundles[2], board).changed


def test_a_sender_of_this_host_that_lives_is_not(board, bundles):
    noting(board, bundles, host=boards._host(), pid=1)
    with pytest.raises(DeviceError, match="is sending to this board"):
        flash(bundles[2], board)


def test_whoever_was_taken_for_gone_does_not_install(board, bundles, monkeypatch):
    """A transfer that lost its place finds out before it changes anything."""

    def push(here, there, usual=board.way._push):
        monkeypatch.setattr(board.way, "_push", usual)
        board.disk.clock_s += 60
        assert flash(bundles[2], board).changed
        usual(here, there)

    monkeypatch.setattr(board.way, "_push", push)
    with pytest.raises(DeviceError, match="this transfer was given up, nobody is sending now"):
        flash(bundles[3], board)
    assert roles(board) == {"active": 2}


def test_a_long_name_of_who_has_the_lock_is_cut_where_one_sees_it(board, bundles, monkeypatch):
    monkeypatch.setattr("edgewright.boards.board._who", lambda: "é" * 300)
    flash(bundles[1], board)
    lock = board.disk.lock(f"{board.root}/lock")
    with pytest.raises(DeviceError, match=r"is locked by install from é{86}…; try again"):
        flash(bundles[2], board)
    board.disk.close(lock)


def test_the_lock_says_who_has_it_and_goes_with_its_holder(board, bundles):
    flash(bundles[1], board)
    lock = board.disk.lock(f"{board.root}/lock")
    with pytest.raises(
        DeviceError, match=r"/data/edgewright is locked by install from .*@.*; try again when it is done"
    ):
        flash(bundles[2], board)
    assert status(board).active.startswith("000001-")
    board.disk.close(lock)
    assert flash(bundles[2], board).changed


# interruptions


@pytest.mark.parametrize("clock_s", [-1e9, 0.0, 1e12])
def test_a_clock_that_is_wrong_or_jumps_decides_nothing(board, bundles, clock_s):
    flash(bundles[1], board)
    board.disk.clock_s = clock_s
    flash(bundles[2], board)
    assert roles(board) == {"active": 2, "previous": 1}
    board.disk.clock_s = 5.0
    flash(bundles[3], board)
    rollback(board)
    assert active(board) == 2
    assert litter(board) == set()


def test_too_few_inodes_are_said_before_anything_is_sent(board, bundles, monkeypatch):
    monkeypatch.setattr(board.disk, "free", lambda _: Free(2**30, 7))
    with pytest.raises(DeviceError, match=rf"{board.root} needs \d+ inodes, 7 are free"):
        flash(bundles[1], board)
    assert active(board) is None


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EROFS, errno.EPERM, errno.ENOLCK])
def test_what_the_disk_refuses_has_its_line_and_nothing_is_active(board, bundles, monkeypatch, number):
    def refuse(path, *_):
        raise OSError(number, "refused", path)

    flash(bundles[1], board)
    monkeypatch.setattr(board.disk, "lock" if number == errno.ENOLCK else "mkdir", refuse)
    with pytest.raises(
        DeviceError, match=r"prepare: refused \(/data/.*active is 000001-.*; (?!look at)|install: refused"
    ):
        flash(bundles[2], board)
    assert active(board) == 1


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_ctrl_c_at_any_step_leaves_the_old_or_the_new(board, bundles, at):
    for version in (1, 2):
        flash(bundles[version], board)
    start, usual = board.disk.count, board.disk._step

    def step(what, path):
        if board.disk.count == start + at:
            board.disk._step = usual
            raise KeyboardInterrupt
        usual(what, path)

    board.disk._step = step
    try:
        flash(bundles[3], board)
    except KeyboardInterrupt:
        assert active(board) in (2, 3)
    board.disk._step = usual
    board.disk._locks.clear()
    flash(bundles[3], board)
    assert (roles(board), litter(board)) == ({"active": 3, "previous": 2}, set())


@pytest.mark.parametrize("seed", range(60))
def test_the_plug_is_pulled_again_and_again(bundles, seed):
    """Several times in a row, also while the board takes back what the last time interrupted."""
    luck, board = random.Random(seed), Fake()
    flash(bundles[1], board)
    flash(bundles[2], board)
    allowed = {2, 3}
    for _ in range(4):
        board.disk.fault = Fault(
            board.disk.count + luck.randrange(210), luck.choice(["crash", "crash", "error", "nospace"])
        )
        try:
            flash(bundles[3], board)
            allowed = {3}
        except EdgewrightError:
            board.reboot(luck)
        assert active(board) in allowed
    board.disk.fault = None
    flash(bundles[3], board)
    assert (active(board), litter(board)) == (3, set())
    assert roles(board)["previous"] == 2


# leaving


def test_uninstall_leaves_the_owners_keys(board, bundles):
    flash(bundles[1], board)
    board.disk.mkdir(f"{board.root}/keys", 0o755)
    board.disk.close(board.disk.open(f"{board.root}/keys/allowed_signers", "write"))
    assert [name[:7] for name in uninstall(board)] == ["000001-"]
    left = {"keys", "keys/allowed_signers", "newest"}
    assert set(board.disk.tree(board.root)) == {f"{board.root}/{name}" for name in left}


def test_uninstall_of_nothing_is_nothing(board):
    assert uninstall(board) == ()
    assert board.disk.tree() == {}


def test_rollback_without_anything_to_go_back_to(board, bundles):
    with pytest.raises(DeviceError, match="nothing is installed in /data/edgewright; flash a bundle"):
        rollback(board)
    flash(bundles[1], board)
    with pytest.raises(DeviceError, match="has no previous release"):
        rollback(board)


def test_status_of_a_bare_board(board):
    found = status(board)
    assert (found.active, found.releases, found.free_bytes, found.journal) == ("", (), None, ())


# answers that are not to be trusted


def test_a_board_that_asks_for_a_file_that_is_not_in_the_bundle_gets_none(board, bundles, monkeypatch):
    prepared = Prepared(incoming="/x", missing=(Wanted("passwd", 1, "f" * 64),))
    monkeypatch.setattr(boards.Board, "answer", lambda *_, **__: prepared)
    with pytest.raises(DeviceError, match="the board asks for passwd, which is not in the bundle"):
        flash(bundles[1], board)


@pytest.mark.parametrize("answer", [{"incoming": 3}, {"missing": [{"path": "x"}]}, {"busy": "me"}])
def test_an_answer_of_another_shape_is_an_error_of_the_board(board, bundles, answer, monkeypatch):
    usual = plain(Prepared(incoming="/x"))
    monkeypatch.setattr("edgewright.devices._fake.board.told", lambda *_: frame({"result": {**usual, **answer}}))
    with pytest.raises(DeviceError, match="the board's answer to prepare is not acceptable"):
        flash(bundles[1], board)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("ir_version", r"IR version: 99, max supported IR version: \d+"),
        ("opset", r"Opset 99 is .*till opset \d+"),
    ],
)
def test_an_onnx_newer_than_the_boards_engine_is_said_before_anything_is_sent(live, tmp_path, field, words):
    """A real engine says both numbers, of a model that holds nothing but the versions."""
    onnx = pytest.importorskip("onnx")
    path = live / "onnx/model.onnx"
    model = onnx.load(path)
    if field == "opset":
        model.opset_import[0].version = 99
    else:
        model.ir_version = 99
    data = model.SerializeToString()
    path.write_bytes(data)
    record = manifest.decode((live / "manifest.json").read_bytes(), manifest.Manifest, "manifest.json")
    artifact = replace(record.artifacts[0], size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (live / "manifest.json").write_bytes(manifest.encode(replace(record, artifacts=(artifact,))))
    with pytest.raises(DeviceError, match=rf"an artifact's ONNX is none that onnxruntime [\d.]+ opens: .*{words}"):
        flash(live, Local(), root=str(tmp_path / "board"))
    assert not (tmp_path / "board").exists()
