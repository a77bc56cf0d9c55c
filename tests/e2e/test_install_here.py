"""A Python of this machine that has nothing of ours, equipped by its own pip, beside a board that is not there."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    home = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    return home / "bin" / "python"


def flash(*words):
    argv = [sys.executable, "-m", "edgewright", "flash", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return done.returncode, done.stdout, done.stderr


@pytest.mark.heavy
def test_of_two_boards_one_is_equipped_by_pip_and_the_other_named(demo_bundle, bare, tmp_path):
    (tmp_path / "hosts").write_text("local  # here\nssh://127.0.0.1:1\n")
    there = ["--root", tmp_path / "board", "--python", bare]
    code, out, said = flash(demo_bundle, "--hosts", tmp_path / "hosts", "--install=pip", "--json", *there)
    here, other = json.loads(out)["rows"]
    if here["problem"] and "pip on the board failed" in here["problem"]:
        pytest.skip(f"no package can be fetched here: {here['problem']}")
    assert (code, here["problem"], here["changed"]) == (5, None, True)
    assert 0 < here["installed_bytes"] < 900_000, "edgewright alone was sent"
    assert other["problem"].startswith("device-error: ")
    assert "1 of 2 boards failed: ssh://127.0.0.1:1; the others are done" in said.splitlines()[-1]
    assert any("local: install edgewright and onnx there" in line for line in said.splitlines())
    code, out, said = flash(demo_bundle, "local", "--install=pip", "--json", "-q", *there)
    assert (code, json.loads(out)["flash"]["installed"]) == (0, []), said


def test_a_url_or_a_file_of_them(tmp_path):
    assert "give the URL of one board, or --hosts FILE" in flash(tmp_path)[2]
    assert "give the URL of one board, or --hosts FILE" in flash(tmp_path, "local", "--hosts", tmp_path)[2]
    assert "is not one of 'wheels', 'pip'" in flash(tmp_path, "local", "--install=apt")[2]
