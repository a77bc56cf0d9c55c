"""The demo model flashed over a real adb connection as a user does it: upgraded, verified, rolled back, uninstalled."""

import json
import platform
import subprocess
import sys

import pytest
from adb_world import ADBD
from conftest import edgewright, only, second

from edgewright.boards.connect import connect

URL = f"adb://127.0.0.1:{ADBD}"


@pytest.mark.usefixtures("adb_world")
def test_a_board_behind_adb_from_first_to_last(demo_bundle, tmp_path):
    first = only(demo_bundle, tmp_path / "1", "int8")
    there = ["--root", tmp_path / "board", "--python", sys.executable]
    flashed = json.loads(edgewright("flash", first, URL, *there, "--json", "-q"))
    assert [row["golden"] for row in flashed["rows"]] == ["7 of 7"]
    after = json.loads(edgewright("flash", second(first, tmp_path / "2"), URL, *there, "--json", "-q"))["flash"]
    assert (after["sent"], after["version"]) == (["config.json"], 2)
    device, current = connect(URL), str(tmp_path / "board" / "current")
    done = device.run([sys.executable, "-m", "edgewright", "verify", current, "--json"], timeout_s=60)
    assert [row["golden"] for row in json.loads(done.stdout)["rows"]] == ["7 of 7"]
    argv = [sys.executable, "-m", "edgewright", "run", current, "a charming and often affecting journey"]
    assert json.loads(device.run(argv, timeout_s=60).stdout)["answer"][0]["label"] == "positive"
    assert "000001-" in edgewright("rollback", URL, *there, "-q")
    rows = json.loads(edgewright("status", URL, *there, "--json"))["rows"]
    assert [(row["role"], row["problem"]) for row in rows] == [("previous", None), ("active", None)]
    assert "2 releases removed" in edgewright("uninstall", URL, *there)


@pytest.mark.usefixtures("adb_world")
def test_a_board_behind_adb_is_probed_with_nothing_installed_there(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    there = ["--python", tmp_path / "venv/bin/python", "--root", tmp_path / "root"]
    found = json.loads(edgewright("devices", "probe", URL, *there, "--json"))
    assert (found["facts"]["architecture"], found["emulated"]) == (platform.machine(), False)
    assert {row["state"] for row in found["rows"]} == {"missing"}
    assert not (tmp_path / "root").exists()
