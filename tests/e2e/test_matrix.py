"""A part of the support matrix, run by its own tool."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytest.importorskip("transformers")

PART = ("onnx", "token-classification", ("fp32", "fp16", "int8", "int8-static", "int4"))
OTHERS = {
    "tflite": ("tflite", "question-answering", ("fp32", "int8")),
    "executorch": ("executorch", "fill-mask", ("fp16",)),
}
"""What no other test makes: the demo model is a classifier, in every format and nearly every precision, and
`test_every_task.py` has ONNX alone."""


@pytest.mark.heavy
def test_every_cell_is_made_or_a_known_gap(tmp_path):
    _made_or_known(*PART, tmp_path)


@pytest.mark.heavy
@pytest.mark.parametrize("name", OTHERS)
def test_every_cell_of_the_formats_of_apps_is_made_or_a_known_gap(name, tmp_path):
    _made_or_known(*OTHERS[name], tmp_path)


def _made_or_known(name, task, precisions, tmp_path):
    argv = [sys.executable, "tools/matrix.py", "--architecture", "bert", "--task", task, "--format", name]
    argv += ["--precision", ",".join(precisions)]
    done = subprocess.run(
        [*argv, "--out", tmp_path], cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "matrix.json").read_text())["rows"]
    assert {(row["format"], row["task"]) for row in rows} == {(name, task)}
    assert [row["precision"] for row in rows] == list(precisions)
    assert {row["precision"] for row in rows if row["status"] == "ok"} >= {*precisions} & {"fp32", "fp16", "int8"}
    assert all(row["status"] == "ok" or row["status"].startswith("unsupported: ") for row in rows)
    assert all(row["sqnr_db"] > 5 and row["size_bytes"] > 0 for row in rows if row["status"] == "ok")
    assert f"## {name}" in (tmp_path / "matrix.md").read_text()


def test_the_published_table_has_no_failed_cell():
    rows = json.loads((ROOT / "docs" / "matrix.json").read_text())["rows"]
    assert all(row["status"] == "ok" or row["status"].startswith("unsupported: ") for row in rows)
    assert {row["format"] for row in rows} >= {name for name, _, _ in (PART, *OTHERS.values())}
    assert {row["task"] for row in rows} >= {task for _, task, _ in (PART, *OTHERS.values())}
