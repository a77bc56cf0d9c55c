"""What boards in memory are equipped with: which wheels travel, what is refused, what stays when it goes wrong."""

import hashlib
import sys
import zipfile
from dataclasses import replace

import pytest
from onboard import active, environment, litter, outfitter, tiny, wheel

from edgewright.boards.flash import flash, listing, uninstall
from edgewright.boards.install import Kit, by_pip, by_wheels
from edgewright.boards.wheels import Platform
from edgewright.contracts.board_answers import Survey
from edgewright.contracts.board_commands import Program
from edgewright.devices._fake.board import Fake
from edgewright.devices._onboard.checks import last_words, replay
from edgewright.devices._onboard.commands import Place
from edgewright.devices._onboard.env import Env, Recipe
from edgewright.devices._onboard.machine import RealMachine
from edgewright.errors import BundleError, DeviceError, GateFailed, UsageError

PI = Survey("3.11", "cpython", "aarch64", "2.36", "no edgewright")


@pytest.fixture
def board():
    """A board whose Python has nothing of ours."""
    found = Fake()
    found.bare = True
    return found


@pytest.fixture
def bundle(tmp_path):
    return tiny(tmp_path / "v1", 1)


@pytest.fixture
def kit(tmp_path):
    """Kits with a numpy that stays: `kit(version)`."""
    return lambda version, **given: outfitter(tmp_path / f"kit{version}", version, "numpy", **given)


def test_a_bare_board_is_equipped_and_its_release_runs_there(board, bundle, kit):
    with pytest.raises(DeviceError, match="No module named 'edgewright'; run it with --install"):
        flash(bundle, board)
    done = flash(bundle, board, install=kit(1))
    assert done.equipment.sent == ("edgewright-1-py3-none-any.whl", "numpy-1-py3-none-any.whl")
    assert (active(board), litter(board)) == (1, set())
    assert {run[0] for run in board.runs[-2:]} == {f"{board.root}/env/bin/python"}
    assert listing(board).engines == ("onnx",)


def test_a_board_that_lacks_nothing_is_left_alone(bundle, kit):
    board = Fake()
    assert not flash(bundle, board, install=kit(1)).equipment.own
    assert environment(board) is None


def test_what_the_board_has_is_not_sent_again(board, bundle, kit):
    flash(bundle, board, install=kit(1))
    again = flash(bundle, board, install=kit(1))
    assert (again.equipment.own, again.equipment.sent) == (True, ())
    newer = flash(bundle, board, install=kit(2))
    assert newer.equipment.sent == ("edgewright-2-py3-none-any.whl",)
    assert (environment(board).key, litter(board)) == ("kit 2", set())


def test_a_tree_that_rots_is_sent_again(board, bundle, kit):
    flash(bundle, board, install=kit(1))
    (numpy,) = [path for path in board.disk.tree() if path.endswith("/numpy.py")]
    board.disk.flip(numpy)
    with pytest.raises(DeviceError, match="run it with --install"):
        flash(tiny(bundle.parent / "v2", 2), board)
    assert flash(bundle, board, install=kit(1)).equipment.sent == ("numpy-1-py3-none-any.whl",)
    assert environment(board).key == "kit 1"


def test_an_environment_in_which_nothing_starts_is_not_used(board, bundle, kit):
    flash(bundle, board, install=kit(1))
    board.probed = -4
    with pytest.raises(
        DeviceError, match=r"env/bin/python.new cannot run the bundle: it died of SIGILL; the board is as"
    ):
        flash(bundle, board, install=kit(2))
    assert (environment(board).key, litter(board)) == ("kit 1", set())


def test_an_environment_in_which_the_active_release_fails_is_not_used(board, bundle, kit):
    flash(bundle, board, install=kit(1))
    board.verdicts[1, "health"] = (4, "other answers")
    with pytest.raises(
        GateFailed, match="the active release's health check, in the new environment, failed: other answers"
    ):
        flash(tiny(bundle.parent / "v2", 2), board, install=kit(2))
    assert (environment(board).key, active(board), litter(board)) == ("kit 1", 1, set())


def test_a_bundle_that_would_be_refused_brings_no_environment(board, bundle, kit):
    board.disk.mkdir("/data", 0o755)
    for folder in (board.root, f"{board.root}/keys"):
        board.disk.mkdir(folder, 0o755)
    board.disk.close(board.disk.open(f"{board.root}/keys/allowed_signers", "write"))
    before = board.disk.tree()
    with pytest.raises(BundleError, match="no allowed signer"):
        flash(bundle, board, install=kit(1))
    assert board.disk.tree() == before


def test_the_engines_of_an_environment_stay_for_the_way_back(board, bundle, kit):
    seen = []
    flash(bundle, board, install=kit(1, seen=seen))
    recipe = environment(board)
    script = f"{board.root}/env/bin/python"
    text = board.disk.peek(script).replace(b'["onnx"]', b'["litert"]')
    handle = board.disk.open(script, "write")
    board.disk.write(handle, text)
    board.disk.close(handle)
    flash(bundle, board, install=kit(2, seen=seen))
    assert [engines for _, engines in seen] == [("onnx",), ("onnx", "litert")]
    assert recipe.engines == ("onnx",)


def test_too_little_disk_for_the_environment_is_said_before_anything_is_sent(bundle, kit):
    board = Fake(capacity_bytes=1_000_000)
    board.bare = True
    with pytest.raises(DeviceError, match=r"/data/edgewright needs 1\.\d MB of disk, 1\.0 MB are free"):
        flash(bundle, board, install=kit(1))
    assert environment(board) is None


def test_a_root_with_a_colon_cannot_be_in_an_import_path(board, bundle, kit):
    board.root = "/data:x"
    with pytest.raises(DeviceError, match="/data:x holds a colon, which no import path can; choose another --root"):
        flash(bundle, board, install=kit(1))


@pytest.mark.parametrize("name", ["../x.py", "/x.py", "a//x.py", "a/../../x", "a\\x.py", "a\n.py"])
def test_a_wheel_whose_names_lead_elsewhere_is_refused(board, bundle, tmp_path, name):
    path = wheel(tmp_path, "edgewright", 1)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"")
    with pytest.raises(DeviceError, match="which leads elsewhere"):
        flash(bundle, board, install=lambda _, engines: Kit("k", tuple(engines), lambda _: [path]))
    assert environment(board) is None


def test_a_wheel_with_other_bytes_than_were_sent_is_refused(board, bundle, kit, monkeypatch):
    def push(here, there, usual=board.way._push):
        usual(here, there)
        if here.suffix == ".whl":
            board.disk.flip(there)

    with monkeypatch.context() as patch:
        patch.setattr(board.way, "_push", push)
        with pytest.raises(DeviceError, match=r"edgewright-1-py3-none-any.whl did not arrive whole"):
            flash(bundle, board, install=kit(1))
    assert environment(board) is None
    flash(bundle, board, install=kit(1))
    assert (active(board), litter(board)) == (1, set())


def test_uninstall_takes_the_environment_along(board, bundle, kit):
    flash(bundle, board, install=kit(1))
    uninstall(board)
    assert board.disk.tree(board.root.rpartition("/")[0]) == {}


# which wheels


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"python": "3.9"}, r"the board's Python is 3.9, edgewright runs on 3.10 to 3.13; name another one"),
        ({"machine": "armv8l"}, "no engine has wheels for armv8l, .*; install a system of 64 bits"),
        ({"glibc": ""}, "the board has no glibc"),
        ({"implementation": "pypy"}, "the board's Python is pypy, engines have wheels for CPython"),
    ],
)
@pytest.mark.parametrize("choose", [by_wheels, by_pip])
def test_a_board_for_which_there_are_no_wheels_is_told(choose, facts, words):
    survey = replace(PI, **facts)
    with pytest.raises(DeviceError, match=words):
        choose(survey, ("onnx",))


def test_a_format_without_an_engine_for_boards_is_told(board, tmp_path):
    bundle = tiny(tmp_path / "v1", 1)
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"onnx"', '"executorch"'))
    with pytest.raises(
        UsageError, match="no engine for executorch can be installed on a board from here; build onnx or"
    ):
        flash(bundle, board, install=by_wheels)


def test_the_tags_of_a_platform_go_down_from_its_own_glibc():
    words = Platform("3.11", "aarch64", "2.28").words()
    tags = [word for word in words if word.endswith("_aarch64")]
    assert tags[:2] == ["manylinux_2_28_aarch64", "manylinux_2_27_aarch64"]
    assert tags[-2:] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]


@pytest.mark.slow
def test_the_same_edgewright_makes_the_same_kit_and_another_board_another(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kits = [choose(PI, engines) for choose in (by_wheels, by_pip) for engines in (("onnx",), ("onnx", "litert"))]
    assert by_wheels(PI, ("onnx",)).key == kits[0].key
    assert len({kit.key for kit in kits}) == 4
    assert kits[2].by_pip == (
        "numpy==2.4.6",
        "tokenizers==0.23.3",
        "click==8.5.1",
        "msgspec==0.22.0",
        "jinja2==3.1.6",
        "markupsafe==3.0.4",
        "onnxruntime==1.31.1",
    )
    (own,) = kits[2].wheels(lambda _: None)
    first = hashlib.sha256(own.read_bytes()).hexdigest()
    own.unlink()
    (again,) = by_pip(PI, ("onnx",)).wheels(lambda _: None)
    assert hashlib.sha256(again.read_bytes()).hexdigest() == first


def test_a_machine_knows_its_platform():
    found = RealMachine().platform()
    Platform(found["python"], found["machine"], found["glibc"]).check()
    assert replace(Platform("3.11", "x86_64", "2.36"), **{k: found[k] for k in ("python", "machine", "glibc")}).words()


def printing(size, code=0, to="stdout"):
    text = f"import sys; sys.{to}.write('{{\"rows\": []}}'.ljust({size} - 4)); sys.{to}.write(' end'); sys.exit({code})"
    return [sys.executable, "-c", text]


def test_an_answer_that_is_too_long_is_no_answer():
    """Cut, it would be no JSON: a check that passed, with no rows that name an engine."""
    assert len(RealMachine().run(printing(2**20), 60).stdout) == 2**20
    with pytest.raises(DeviceError, match="printed 1048577 bytes, at most 1048576 are read"):
        RealMachine().run(printing(2**20 + 1), 60)
    with pytest.raises(GateFailed, match=r"the self-test failed: .* printed 1048577 bytes"):
        replay(RealMachine(), "the self-test", Program(tuple(printing(2**20 + 1))), Place(""), 60)


@pytest.mark.parametrize("to", ["stdout", "stderr"])
def test_the_last_words_are_the_last_however_much_was_printed(to):
    ran = RealMachine().run(printing(2**20 + 99, code=3, to=to), 60)
    assert ran.exit_code == 3
    assert last_words(ran) == "end"


def test_an_environment_that_could_not_be_read_again_is_not_written(board):
    trees = tuple(hashlib.sha256(b"%d" % at).hexdigest() for at in range(400))
    with pytest.raises(DeviceError, match=r"of 400 wheels has a script of \d+ bytes, at most 65536 are read"):
        Env(board.disk, "/data/" + "d" * 60).write(Recipe("key", "python3", trees, ("onnx",)))
