"""Boards by their profiles: what is built for one, and whether the memory that is predicted is what a process takes."""

import json
import subprocess
import sys

import pytest
from conftest import DEMO, edgewright, rows

NEAR = 0.25
TOKENS = 128


def peak_mib(bundle, artifact):
    """VmHWM of a fresh process that opens an artifact and runs it, as `bench` reads it."""
    wanted = {"bundle": str(bundle), "format": artifact["format"], "precision": artifact["precision"], "threads": 1}
    request = {**wanted, "tokens": [TOKENS], "texts": [], "runs": 1, "peak": True}
    argv = [sys.executable, "-m", "edgewright.runtimes._measuring.worker"]
    done = subprocess.run(argv, input=json.dumps(request), text=True, capture_output=True, check=True)
    return json.loads(done.stdout)["peak_rss_mib"]


@pytest.mark.parametrize("fixture", ["demo_bundle", "tflite_bundle"])
def test_the_predicted_memory_is_near_the_memory_of_a_real_process(fixture, request):
    bundle = request.getfixturevalue(fixture)
    found = [row for row in rows("devices", "estimate", bundle, "--device", "x86-64", "--tokens", TOKENS)
             if row["precision"] in ("fp32", "int8")]  # fmt: skip
    assert len(found) == 2
    for row in found:
        assert row["sum_mib"] == pytest.approx(peak_mib(bundle, row), rel=NEAR), row
        parts = ("python", "tokenizer", "engine_own", "weights", "activations")
        assert sum(row[part] for part in parts) == pytest.approx(row["sum_mib"], abs=0.3)


def test_a_bundle_for_a_board_has_what_it_runs_best(tmp_path):
    argv = ["build", DEMO, "--device", "raspberry-pi-4"]
    found = rows(*argv, "--format", "onnx", "--out", tmp_path / "b", "-q")
    assert [(row["format"], row["precision"]) for row in found] == [("onnx", "int8")]
    line = edgewright("devices", "estimate", tmp_path / "b", "--device", "raspberry-pi-4").splitlines()
    assert line[0] == "Raspberry Pi 4 Model B, 1024 or 2048 or 4096 or 8192 MiB; 128 tokens, 4 threads; memory in MiB"
    assert line[-1].endswith("a bound, not a measurement")


def test_a_board_that_is_not_known_is_said_before_any_work(tmp_path):
    line = edgewright("build", DEMO, "--device", "raspberry-pi-44", "--out", tmp_path / "b", check=2)
    assert "no profile 'raspberry-pi-44', did you mean raspberry-pi-4?; profiles: android-arm64, galaxy-s23" in line
    assert not (tmp_path / "b").exists()


def test_a_profile_of_one_s_own_is_checked_listed_and_built_for(tmp_path):
    found = json.loads(edgewright("devices", "show", "raspberry-pi-4", "--json"))
    assert found["profile"]["run"]["threads"] == 4
    assert {"fact": "cpu.clusters[0].clock_mhz", "value": "1800"} in found["rows"]
    mine = tmp_path / "mine.toml"
    (source,) = [row["value"] for row in found["rows"] if row["fact"] == "recognized.source"]
    mine.write_text(PROFILE.replace("SOURCE", source))
    assert "a board of mine" in edgewright("devices", "check", mine)
    listed = {row["profile"]: row for row in rows("devices", "list", "--profiles", tmp_path)}
    assert (listed["mine"]["cores"], listed["mine"]["ram_gib"]) == ("2 A35", "0.5")
    mine.write_text(PROFILE.replace("SOURCE", source).replace("count", "counts"))
    line = edgewright("devices", "check", mine, check=2)
    assert f"1 of 1 profiles are bad: {mine}" in line


PROFILE = """\
name = "a board of mine"
vendor = "me"
cpu = {architecture = "aarch64", instructions = ["neon"], clusters = [{core = "A35", count = 2}], sources = ["SOURCE"]}
memory = {ram_mib = [512], sources = ["SOURCE"]}
system = {os = ["Debian"], sources = ["SOURCE"]}
recognized = {models = ["Mine*"], sources = ["SOURCE"]}
run = {prefer = ["onnx/int8"], threads = 2, reason = "one thread a core"}
"""
