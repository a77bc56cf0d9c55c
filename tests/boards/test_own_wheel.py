"""The wheel that a board is sent: small, the same bytes each time, and enough to answer, verify and measure."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from edgewright.boards.own_wheel import board_wheel, own_wheel
from edgewright.errors import UsageError

pytestmark = pytest.mark.slow  # two wheels are made
MOST_BYTES = 900_000
"""A choice: ten seconds of a slow radio."""

ALONE = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "Editable" not in getattr(finder, "__name__", "")]
from edgewright.cli import main
main()
"""
"""An editable install would find in the checkout what the wheel lacks."""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The wheel's directory, and where it is unpacked."""
    out = tmp_path_factory.mktemp("wheel")
    digest, made = own_wheel(out)
    assert own_wheel(out) == (digest, made)
    with zipfile.ZipFile(made) as archive:
        archive.extractall(out / "there")
    return made, out / "there"


def there(unpacked, *words, code=0):
    env = {**os.environ, "PYTHONPATH": str(unpacked[1])}
    argv = [sys.executable, "-c", ALONE, *map(str, words)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def test_it_is_small(unpacked):
    assert unpacked[0].stat().st_size < MOST_BYTES


@pytest.mark.slow
def test_a_board_does_with_it_what_boards_do(unpacked, live):
    assert json.loads(there(unpacked, "run", live, "good"))["answer"]
    assert "text-classification" in there(unpacked, "inspect", live)
    rows = {row["what"]: row["state"] for row in json.loads(there(unpacked, "doctor", "--json"))["rows"]}
    assert rows["run onnx, ort on onnxruntime"] == "ready"
    short = ("--processes", "1", "--runs", "2", "--least-ms", "0", "--tokens", "8", "--json", "-q")
    assert json.loads(there(unpacked, "bench", live, *short))["rows"]


@pytest.mark.slow
def test_what_belongs_to_a_workstation_is_said(unpacked, tmp_path):
    rows = ("--data", "rows.tsv", "--eval", "rows.tsv", "--out", tmp_path / "out")
    line = there(unpacked, "train", tmp_path, *rows, code=6)
    assert "missing-extra: this edgewright is a board's part alone, without edgewright.training" in line
    assert "do it on a workstation" in line


def test_no_directory_is_not_the_one_at_hand():
    with pytest.raises(UsageError, match="no directory was given for the wheel"):
        board_wheel("")


@pytest.mark.slow
def test_help_and_boards_ask_for_nothing_that_a_board_lacks(unpacked, tmp_path):
    assert "On a workstation: it is not in a board's part" in there(unpacked, "--help")
    assert "[executorch, onnx, ort, tensorrt, tflite, torchscript]" in " ".join(there(unpacked, "run", "-h").split())
    assert json.loads(there(unpacked, "devices", "list", "--json"))["rows"]
    assert "is no bundle: give --out" in there(unpacked, "race", tmp_path, code=2)
    line = there(unpacked, "devices", "wheel", "--out", tmp_path / "wheel", code=6)
    assert "a board's part alone, without edgewright.converters, and cannot be copied" in line
    assert not (tmp_path / "wheel").exists()


@pytest.mark.slow
def test_a_shell_completes_there_what_is_not_there(unpacked, monkeypatch):
    monkeypatch.setenv("_EDGEWRIGHT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "edgewright t")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert there(unpacked).split() == ["plain,tokenizer", "plain,train"]
