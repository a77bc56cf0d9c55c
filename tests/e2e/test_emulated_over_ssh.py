"""A bare emulated board behind a real ssh server, emulated too: equipped, flashed, asked."""

import json

import pytest
from conftest import edgewright, only
from loopback import EmulatedSshd, serve

from edgewright.boards.connect import connect

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


@pytest.mark.heavy
def test_the_far_side_is_an_aarch64_machine_without_edgewright(sshd):
    way = connect(sshd.url)
    assert way.run(["uname", "-m"], timeout_s=60).stdout == b"aarch64\n"
    done = way.run(["python3", "-c", "import edgewright"], timeout_s=60)
    assert (done.exit_code, b"No module named 'edgewright'" in done.stderr) == (1, True)
    assert way.run(["python3", "-m", "venv", "x"], timeout_s=60).exit_code == 1, "a Debian board without python3-venv"
    way.close()


@pytest.mark.heavy
def test_a_bare_board_is_equipped_and_answers(sshd, int8):
    """What comes after it, `test_emulated.py` does there without a server, and others over one without an emulator."""
    line = edgewright("flash", int8, sshd.url, "-q", check=5)
    assert "No module named 'edgewright'; run it with --install" in line
    first = json.loads(edgewright("flash", int8, sshd.url, "--install", "--json", "-q"))
    assert [(row["engine"], row["golden"]) for row in first["rows"]] == [("onnxruntime", "7 of 7")]
    assert {name.partition("-")[0] for name in first["flash"]["installed"]} >= {"edgewright", "onnxruntime", "numpy"}
    there = ["--device", sshd.url]
    assert json.loads(edgewright("run", int8, TEXT, *there))["answer"][0]["label"] == "positive"
