"""The demo model on a board behind a real ssh server, as a user does it: flashed, asked, scored, measured, profiled."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import SENTENCES, edgewright, second
from labgrid_world import Lab
from loopback import Sshd, serve

from edgewright.system.machine import model

TEXT = "a charming and often affecting journey"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    found = serve(Sshd, tmp_path_factory.mktemp("sshd"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def bundles(demo_bundle, tmp_path_factory):
    return {0: demo_bundle, 2: second(demo_bundle, tmp_path_factory.mktemp("versions") / "2")}


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    return ["--root", tmp_path_factory.mktemp("board") / "root", "--python", sys.executable]


@pytest.fixture(scope="module")
def board(sshd, there):
    """How a command is run with the board's root and Python: `board("status", URL, ...)`."""
    return lambda name, *args, **options: edgewright(name, *args, *there, PATH=sshd.path, **options)


@pytest.fixture(scope="module")
def flashed(board, sshd, bundles):
    return json.loads(board("flash", bundles[0], sshd.url, "--json", "-q"))


def far(board, sshd, name, *args, **options):
    return board(name, *args, "--device", sshd.url, **options)


def test_the_golden_cases_pass_there(flashed):
    assert [row["golden"] for row in flashed["rows"]] == ["7 of 7", "7 of 7"]


def test_texts_are_answered_as_here(flashed, board, sshd, bundles, tmp_path):
    del flashed
    texts = [TEXT, "-x; $(id) 'the second half drags'"]
    (tmp_path / "texts of mine.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    here = edgewright("run", bundles[0], "--input", tmp_path / "texts of mine.jsonl")
    assert far(board, sshd, "run", bundles[0], "--input", tmp_path / "texts of mine.jsonl") == here
    rows = json.loads(far(board, sshd, "run", "-", "--precision", "fp32", "--json", TEXT))["rows"]
    assert rows[0]["answer"][0]["label"] == "positive"


def test_it_is_verified_and_scored_there(flashed, board, sshd, bundles, tmp_path):
    del flashed
    words = far(board, sshd, "verify", bundles[0], "-q")
    assert f"{bundles[0]} on {sshd.url}: intact" in words
    data = tmp_path / "few.tsv"
    data.write_text("".join(SENTENCES.read_text().splitlines(keepends=True)[:30]))
    there = json.loads(far(board, sshd, "eval", bundles[0], "--data", data, "--precision", "int8", "--json", "-q"))
    here = json.loads(edgewright("eval", bundles[0], "--data", data, "--precision", "int8", "--json", "-q"))
    assert there == here
    assert there["rows"][0]["score"]["data"] == "few.tsv"


def test_it_is_measured_and_profiled_there(flashed, board, sshd, bundles, tmp_path):
    del flashed
    out = tmp_path / "rows.json"
    quick = ["--precision", "int8", "--tokens", "16", "--processes", "1", "--runs", "5", "--least-ms", "1", "-q"]
    rows = json.loads(far(board, sshd, "bench", bundles[0], *quick, "--json", "--out", out))["rows"]
    kept = json.loads(out.read_text())
    assert [row["median_ms"] for row in rows] == [row["latency_ms"]["median"] for row in kept["rows"]]
    assert (kept["device"], "--device" in kept["command"]) == (sshd.url, True)
    trace = tmp_path / "trace.json"
    table = far(board, sshd, "profile", bundles[0], "--precision", "fp32", "--tokens", "16", "--trace", trace)
    assert table.startswith("onnx/fp32 on onnxruntime, 16 tokens: ")
    assert json.loads(trace.read_text())["traceEvents"]


def test_rows_so_far_are_kept_when_the_board_vanishes(flashed, sshd, bundles, there, tmp_path):
    del flashed
    argv = [sys.executable, "-m", "edgewright", "bench", bundles[0], "--device", sshd.url, *there]
    argv += ["--tokens", "16", "--processes", "3", "--runs", "5", "--least-ms", "1", "--out", tmp_path / "rows.json"]
    asked = subprocess.Popen(
        list(map(str, argv)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PATH": sshd.path},
    )
    seen = next(line for line in asked.stderr if "onnx/fp32: process 2 of 3" in line)
    until = time.monotonic() + 60
    while not any(name.startswith("python") for name in sshd.sessions().values()) and time.monotonic() < until:
        time.sleep(0.01)
    sshd.kill(connections=True)
    _, rest = asked.communicate(timeout=120)
    assert asked.returncode == 5, seen
    (error,) = [line for line in rest.splitlines() if line.startswith("edgewright: ")]
    assert "connection-lost: the connection was lost at onnx/fp32, process 2 of 3" in error
    assert "the rows so far are in" in error
    kept = json.loads((tmp_path / "rows.json").read_text())
    assert kept["cut_short"].startswith("the connection was lost at onnx/fp32")
    assert {row["artifact"]["precision"]: len(row["samples_ms"]) for row in kept["rows"]} == {"fp32": 1, "int8": 1}
    assert all(row["grade"] == "void" and "processes were lost" in row["reasons"][-1] for row in kept["rows"])
    page = tmp_path / "report.html"
    edgewright("report", tmp_path / "rows.json", "--html", page)
    assert "the connection was lost at onnx/fp32" in page.read_text()


@pytest.mark.heavy
def test_a_race_is_run_there_and_its_winner_flashed(flashed, board, sshd, bundles, tmp_path):
    del flashed
    bundle = tmp_path / "bundle"
    shutil.copytree(bundles[0], bundle)
    quick = ["--tokens", "16", "--processes", "2", "-q", "--json"]
    found = json.loads(far(board, sshd, "race", bundle, *quick, "--max-mb", "10", "--flash", "--rows", tmp_path / "r"))
    winner, other = (row["verdict"] for row in found["rows"])
    assert winner.startswith("the winner")  # on a busy machine of void rows
    assert other == "15.4 MB, at most 10 MB are allowed"
    assert json.loads((tmp_path / "r").read_text())["device"] == sshd.url
    (choice,) = json.loads((bundle / "manifest.json").read_text())["choices"]
    assert (choice["machine"], choice["path"]) == (model(), "onnx/model_quantized.onnx")
    active = json.loads(far(board, sshd, "run", bundle, "--json", TEXT))  # the active release is this very manifest
    assert active["rows"][0]["answer"][0]["label"] == "positive"
    line = far(board, sshd, "race", bundles[0], *quick, check=3)
    assert "active on the board is" in line
    assert "give the one that is active" in far(board, sshd, "race", "-", *quick, check=2)
    assert "is not on the board: give --flash too" in far(board, sshd, "race", tmp_path / "model", check=2)
    assert "--flash goes with --device" in edgewright("race", bundle, "--flash", check=2)
    board("flash", bundles[0], sshd.url, "-q")


def test_what_fails_there_fails_here(flashed, board, sshd, bundles, tmp_path):
    del flashed
    line = far(board, sshd, "run", bundles[2], TEXT, check=3)
    assert "the bundle here is " in line
    assert ", version 2; active on the board is " in line
    assert ", version 0; run: edgewright flash BUNDLE URL" in line
    line = far(board, sshd, "run", "-", "--format", "tflite", TEXT, check=3)
    assert line.startswith(f"edgewright: bundle-error: {sshd.url}: ")
    assert "has no artifact tflite/*; it has onnx/fp32, onnx/int8" in line
    line = far(board, sshd, "eval", "-", "--data", tmp_path / "none.tsv", check=3)
    assert "data-error: cannot read" in line
    assert "usage-error" in far(board, sshd, "profile", "-", "--tokens", "99999", check=2)
    empty = ["--root", tmp_path / "empty", "--device", sshd.url]
    assert "nothing is installed in" in edgewright("run", "-", TEXT, *empty, PATH=sshd.path, check=5)


@pytest.mark.heavy
def test_a_board_that_a_team_shares_is_held_while_it_is_measured(flashed, board, sshd, bundles, there, tmp_path):
    del flashed
    lab = Lab(tmp_path, {"pi4": sshd})
    kept = {"LG_COORDINATOR": lab.address, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    try:
        argv = [sys.executable, "-m", "edgewright", "bench", bundles[0], "--device", "labgrid://pi4", *there]
        argv += ["--precision", "int8", "--tokens", "16", "--processes", "50"]
        env = os.environ | {"PATH": sshd.path, **kept}
        asked = subprocess.Popen(list(map(str, argv)), stderr=subprocess.PIPE, text=True, env=env)
        assert any("process 1 of 50" in line for line in asked.stderr)
        assert list(lab.holders()) == ["pi4"]
        asked.send_signal(signal.SIGINT)
        assert "interrupted" in asked.communicate(timeout=120)[1]
        assert (asked.returncode, lab.holders()) == (130, {})
        hosts = tmp_path / "hosts"
        hosts.write_text(f"labgrid://pi4  # shared\n{sshd.url}\nlabgrid://pi5\n")
        bundle = shutil.copytree(bundles[0], tmp_path / "bundle")
        quick = ["--hosts", hosts, "--tokens", "16", "--processes", "1", "--max-mb", "10", "-q", "--json"]
        done = subprocess.run(
            list(map(str, [sys.executable, "-m", "edgewright", "race", bundle, *quick, *there])),
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert lab.holders() == {}
    finally:
        lab.stop()
    found = json.loads(done.stdout)
    assert found["winners"] == dict.fromkeys(("labgrid://pi4", sshd.url), "onnx/int8")
    assert [row["board"] for row in found["rows"]] == ["labgrid://pi4"] * 2 + [sshd.url] * 2 + ["labgrid://pi5"]
    assert found["rows"][-1]["verdict"].startswith("place pattern pi5 matches nothing")
    assert done.returncode == 5
    assert "1 of 3 boards failed: labgrid://pi5; the others are done" in done.stderr
    (choice,) = json.loads((bundle / "manifest.json").read_text())["choices"]
    assert (choice["machine"], choice["path"]) == (model(), "onnx/model_quantized.onnx")
    assert "--hosts goes without --device" in board("race", bundle, "--hosts", hosts, "--device", sshd.url, check=2)


def test_upgraded_and_rolled_back(flashed, board, sshd, bundles):
    del flashed
    (first,) = (
        row["name"] for row in json.loads(board("status", sshd.url, "--json"))["rows"] if row["role"] == "active"
    )
    second = json.loads(board("flash", bundles[2], sshd.url, "--json", "-q"))["flash"]
    assert (second["sent"], second["version"]) == (["config.json"], 2)
    assert json.loads(far(board, sshd, "run", bundles[2], TEXT))["answer"][0]["label"] == "positive"
    assert first in board("rollback", sshd.url, "-q")
    rows = json.loads(board("status", sshd.url, "--json"))["rows"]
    assert sorted((row["role"], row["version"], row["problem"]) for row in rows) == [
        ("active", 0, None),
        ("previous", 2, None),
    ]
    assert "2 releases removed" in board("uninstall", sshd.url)
