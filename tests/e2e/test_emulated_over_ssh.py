"""A bare emulated board behind a real ssh server, emulated too: equipped, flashed, asked, upgraded, rolled back."""

import json

import pytest
from conftest import edgewright, only, second
from loopback import EmulatedSshd, serve

from edgewright.boards.connect import connect
from edgewright.boards.flash import flash, rollback
from edgewright.boards.install import by_wheels
from edgewright.contracts.board_commands import Checks

QUICK = Checks.programs(
    (), ("{python}", "-m", "edgewright", "verify", "{bundle}", "--quick", "--json"), ("{python}", "-c", "")
)
"""One golden case before the switch, none after it: the whole of them were replayed when it was first flashed."""
TEXT = "a charming and often affecting journey"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    found = serve(EmulatedSshd, tmp_path_factory.mktemp("board"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", found.path)
        yield found
    found.stop()


@pytest.fixture(scope="module")
def int8(demo_bundle, tmp_path_factory):
    return only(demo_bundle, tmp_path_factory.mktemp("int8") / "1", "int8")


def test_the_far_side_is_an_aarch64_machine_without_edgewright(sshd):
    way = connect(sshd.url)
    assert way.run(["uname", "-m"], timeout_s=60).stdout == b"aarch64\n"
    done = way.run(["python3", "-c", "import edgewright"], timeout_s=60)
    assert (done.exit_code, b"No module named 'edgewright'" in done.stderr) == (1, True)
    assert way.run(["python3", "-m", "venv", "x"], timeout_s=60).exit_code == 1, "a Debian board without python3-venv"
    way.close()


def test_a_bare_board_from_first_to_last(sshd, int8, tmp_path):
    line = edgewright("flash", int8, sshd.url, "-q", check=5)
    assert "No module named 'edgewright'; run it with --install" in line
    first = json.loads(edgewright("flash", int8, sshd.url, "--install", "--json", "-q"))
    assert [(row["engine"], row["golden"]) for row in first["rows"]] == [("onnxruntime", "7 of 7")]
    assert {name.partition("-")[0] for name in first["flash"]["installed"]} >= {"edgewright", "onnxruntime", "numpy"}
    there = ["--device", sshd.url]
    assert json.loads(edgewright("run", int8, TEXT, *there))["answer"][0]["label"] == "positive"
    line = edgewright("bench", int8, *there, "-q", check=2)
    assert "this machine is emulated (qemu-aarch64-static): its times would mean nothing" in line
    way = connect(sshd.url)
    after = flash(second(int8, tmp_path / "2"), way, install=by_wheels, checks=QUICK)
    assert (after.sent, after.equipment.sent, after.version) == (("config.json",), (), 2)
    assert rollback(way, checks=QUICK).active.startswith("000001-")
    way.close()
    rows = json.loads(edgewright("list", sshd.url, "--json"))["rows"]
    assert [(row["role"], row["version"]) for row in rows] == [("previous", 2), ("active", 0)]
