"""An emulated Raspberry Pi 4: the demo model flashed onto it, answering there, and its instructions counted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import edgewright, only, second
from debian import need
from llama2c import llama2c

from edgewright import build
from edgewright.boards.connect import connect
from edgewright.boards.flash import flash, rollback
from edgewright.boards.instructions import count_instructions
from edgewright.contracts.board_commands import Checks
from edgewright.devices._emulation.boards import CPUS, emulated
from edgewright.devices.qemu import Qemu
from edgewright.errors import DeviceError, UsageError

CPU = "cortex-a72"
URL = f"qemu://{CPU}"
COUNTS = json.loads((Path(__file__).parents[1] / "devices" / "counts.json").read_text())
GROWTH = 1.03


@pytest.fixture(scope="module")
def board():
    """The board in the cache, with this edgewright on it; made where it is not there yet."""
    need("qemu-aarch64", "qemu-user")
    try:
        return Qemu.prepare(CPU)
    except DeviceError as error:
        if "cannot fetch" not in str(error) and "is not installed" not in str(error):
            raise
        pytest.skip(f"no board can be emulated here: {error}")


@pytest.fixture(scope="module", params=["onnx", "tflite"])
def counted(request, int8, tmp_path_factory):
    """The int8 artifact of each format, as this checkout's converters make it."""
    if request.param == "onnx":
        return int8
    bundle = request.getfixturevalue("tflite_bundle")
    return only(bundle, tmp_path_factory.mktemp("tflite") / "1", "int8")


@pytest.fixture(scope="module")
def int8(demo_bundle, tmp_path_factory):
    return only(demo_bundle, tmp_path_factory.mktemp("int8") / "1", "int8")


def test_programs_of_the_board_and_what_they_start_are_emulated(board):
    assert board.run(["uname", "-m"], timeout_s=30).stdout == b"aarch64\n"
    line = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import os; print(os.uname())'], check=True)"
    done = board.run(["python3", "-c", line], timeout_s=60)
    assert b"machine='aarch64'" in done.stdout
    assert done.exit_code == board.run(["true"], timeout_s=30).exit_code == 0
    assert board.run(["python3", "-c", "raise SystemExit(7)"], timeout_s=60).exit_code == 7
    with pytest.raises(DeviceError, match="the emulated board has no nonesuch; it has Python and the core utilities"):
        board.run(["nonesuch"], timeout_s=9)
    with pytest.raises(DeviceError, match=r"sleep took longer than 0.5 s and was ended"):
        board.run(["sleep", "60"], timeout_s=0.5)


def test_nothing_of_this_machine_s_environment_comes_through(board, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nonesuch")
    done = board.run(["python3", "-c", "import os, sys; print(sorted(os.environ), sys.path)"], timeout_s=60)
    assert (b"PYTHONPATH" in done.stdout, b"/nonesuch" in done.stdout) == (False, False)


def test_files_go_there_and_back(board, tmp_path):
    (tmp_path / "here").write_bytes(b"a file")
    board.push(tmp_path / "here", "pushed by a test")
    board.pull("pushed by a test", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (board.home / "pushed by a test").read_bytes() == b"a file"
    with pytest.raises(DeviceError, match="could not pull nonesuch"):
        board.pull("nonesuch", tmp_path / "x")


def checks(python):
    """One golden case before the switch, none after it: the whole of them were replayed when it was first flashed."""
    return Checks.programs(
        (), (python, "-m", "edgewright", "verify", "{bundle}", "--quick", "--json"), (python, "-c", "")
    )


@pytest.mark.heavy
@pytest.mark.usefixtures("board")
def test_a_board_from_first_to_last(int8, tmp_path):
    there = ["--root", tmp_path / "board"]
    assert "nothing is installed in" in edgewright("bench", int8, *there, "--device", URL, "-q", check=5)
    first = json.loads(edgewright("flash", int8, URL, *there, "--json", "-q"))
    assert [(row["engine"], row["golden"]) for row in first["rows"]] == [("onnxruntime", "7 of 7")]
    argv = ["python3", "-m", "edgewright", "run", str(tmp_path / "board/current"), "a charming and affecting journey"]
    assert json.loads(connect(URL).run(argv, timeout_s=60).stdout)["answer"][0]["label"] == "positive"
    (row,) = json.loads(edgewright("bench", int8, "--tokens", "16", *there, "--device", URL, "--json", "-q"))["rows"]
    assert row["instructions"] > 10**6
    assert row["score"]["metric"] == "accuracy"
    assert not [name for name in row if name.endswith("_ms")]
    quick, root = checks(connect(URL).python), str(tmp_path / "board")
    after = flash(second(int8, tmp_path / "2"), connect(URL), root=root, checks=quick)
    assert (after.sent, after.version) == (("config.json",), 2)
    line = edgewright("bench", int8, *there, "--device", URL, "-q", check=3)
    assert "active on the board is 000002-" in line
    assert rollback(connect(URL), root=root, checks=quick).active.startswith("000001-")
    rows = json.loads(edgewright("status", URL, *there, "--json"))["rows"]
    assert [(row["role"], row["problem"]) for row in rows] == [("previous", None), ("active", None)]
    assert "2 releases removed" in edgewright("uninstall", URL, *there)


@pytest.mark.usefixtures("board")
def test_the_board_is_probed_and_known_by_its_cores():
    found = json.loads(edgewright("devices", "probe", URL, "--json"))
    assert (found["emulated"], found["match"]) == (True, {"profile": "raspberry-pi-4", "by": "cores", "alike": []})
    assert [one["kind"] for one in found["facts"]["cores"]] == ["0x41:0xd08"]
    assert (found["facts"]["architecture"], found["facts"]["instructions"]) == ("aarch64", ["neon", "crc32"])
    states = {row["package"]: row["state"] for row in found["rows"]}
    assert [states[name] for name in ("edgewright", "numpy", "tokenizers", "onnxruntime", "ai_edge_litert")] == [
        "imports"
    ] * 5
    assert states["torch"] == "missing"


def recorded(count, cpu=CPU, record="rows"):
    """The row of the repository's record for what was counted."""
    row, keys = count.row(), ("format", "precision", "tokens")
    found = [one for one in COUNTS[record] if one["cpu"] == cpu and all(one[key] == row[key] for key in keys)]
    assert len(found) == 1
    return found[0]


def test_counts_repeat_and_none_has_grown(board, counted):
    """Against the record that tools/emulated.py wrote."""
    (first, longer), (again,) = (count_instructions(counted, board, tokens=tokens) for tokens in ([16, 17], [16]))
    assert longer.tally.instructions > GROWTH * first.tally.instructions, "the limit would not see a token more"
    assert again.tally.instructions == pytest.approx(first.tally.instructions, rel=0.01)
    assert first.tally.dot_products == 0, "a Cortex-A72 has no dot product"
    assert first.tally.instructions <= GROWTH * recorded(first)["instructions"], "dearer than what is recorded"


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("cpu", "model", "dots"),
    [
        pytest.param("cortex-a72", "raspberry-pi-4", False, marks=pytest.mark.heavy),
        ("cortex-a76", "raspberry-pi-5", True),
    ],
)
def test_a_token_costs_no_more_than_what_is_recorded(cpu, model, dots, tmp_path):
    """Of a model that was built for the board, whose CPU decides how its bytes are multiplied."""
    made = {"formats": ("onnx",), "precisions": ("int8",), "device": model, "allow_divergence": True}
    bundle = build(llama2c(tmp_path), out=tmp_path / "writer", **made)
    first, longer = count_instructions(bundle, Qemu.prepare(cpu), tokens=[8, 48])
    assert longer.tally.instructions > first.tally.instructions
    assert (first.tally.dot_products > 0) is dots
    for one in (first, longer):
        assert one.tally.instructions <= GROWTH * recorded(one, cpu, "tokens")["instructions"], "dearer than recorded"
    with pytest.raises(UsageError, match="lengths 64 were asked, the model takes 1 to 63 tokens before one"):
        count_instructions(bundle, Qemu(cpu), tokens=[64])


@pytest.mark.usefixtures("board")
def test_what_is_of_times_is_refused_there(tmp_path):
    there = ["--root", tmp_path / "board", "--device", URL]
    line = edgewright("bench", "-", "--threads", 2, *there, check=2)
    assert "its instructions are counted: --threads is for times" in line
    assert "qemu://cortex-a72 is emulated: milliseconds" in edgewright("profile", "-", *there, check=2)


def test_what_cannot_be_counted_is_said(board, int8):
    with pytest.raises(UsageError, match=r"lengths 0 were asked, the model takes 1 to"):
        count_instructions(int8, board, tokens=[0])
    with pytest.raises(UsageError, match=r"instructions are counted on an emulated board alone; give one, as qemu://"):
        count_instructions(int8, connect("local"))


def test_a_board_is_made_of_a_wheel_too(board, tmp_path):
    with pytest.raises(UsageError, match=r"x.whl cannot be opened: .*; give a wheel of edgewright"):
        Qemu.prepare(CPU, wheel=tmp_path / "x.whl")
    assert board.run(["python3", "-c", "import edgewright"], timeout_s=60).exit_code == 0


@pytest.mark.parametrize("rest", ["cortex-m4", "CORTEX-A72"])
def test_a_cpu_that_cannot_be_emulated_is_refused(rest):
    with pytest.raises(UsageError, match=f"no CPU '{rest}' can be emulated; choose from {', '.join(CPUS)}"):
        connect(f"qemu://{rest}")


def test_a_board_is_named_by_its_profile_too():
    assert [emulated(name).cpu for name in ("pi5", "raspberry-pi-4")] == ["cortex-a76", "cortex-a72"]
    with pytest.raises(UsageError, match="the cortex-a57 of jetson-nano cannot be emulated; choose from cortex-a53"):
        connect("qemu://jetson-nano")


def test_a_board_that_is_not_prepared_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(
        DeviceError, match=f"no emulated {CPU} is prepared in .*; run: edgewright devices emulate {CPU}"
    ):
        connect(URL)


def test_without_qemu_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        DeviceError, match=r"qemu-aarch64 is not installed; on Debian or Ubuntu run: apt install qemu-user"
    ):
        Qemu.prepare(CPU)


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An empty cache, and a PATH of only what is named."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def with_programs(*names):
        for name in names:
            if found := shutil.which(name):
                (programs / name).symlink_to(found)
        monkeypatch.setenv("PATH", str(programs))

    return with_programs


@pytest.mark.usefixtures("board")
def test_without_apt_it_is_said_what_is_needed(bare):
    bare("qemu-aarch64")
    with pytest.raises(DeviceError, match=r"apt-get is not installed; this needs Debian or a system derived from it"):
        Qemu.prepare(CPU)


@pytest.mark.usefixtures("board")
def test_without_a_network_one_line_says_so_and_a_half_made_user_land_is_none(bare):
    bare("qemu-aarch64", "apt-get", "dpkg", "dpkg-deb", "tar")
    with pytest.raises(DeviceError, match=r"apt cannot fetch from http://127.0.0.1:1: .*; is there a network\?"):
        Qemu.prepare(CPU, mirror="http://127.0.0.1:1")
    cache = emulated(CPU).cache
    assert sorted(path.name for path in cache.iterdir()) == ["downloads"]


def test_the_command_says_how_to_go_on(board):
    argv = [sys.executable, "-m", "edgewright", "devices", "emulate", CPU]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.splitlines()[0] == f"{URL} is ready; run: edgewright flash BUNDLE {URL}"
    assert str(board.home) in done.stdout


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize("command", ["race", "profile"])
def test_no_millisecond_of_an_emulated_board_is_shown(int8, command):
    line = edgewright(command, int8, "--device", URL, check=2)
    assert f"{URL} is emulated: milliseconds there say nothing of a board" in line
