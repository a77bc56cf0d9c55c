"""The lite interpreter's format on the demo model, by the command line."""

import json

import pytest
from conftest import DEMO, SENTENCES, edgewright, prints_answers_alone, rows

import edgewright as ew


@pytest.fixture
def bundle(torchscript_bundle):
    return torchscript_bundle


def test_verify_replays_every_golden_case(bundle):
    assert [(r["format"], r["golden"]) for r in rows("verify", bundle)] == [("torchscript", "7 of 7")] * 2


def test_eval_repeats_the_metric_of_the_build(bundle):
    stored = {a["precision"]: a["score"] for a in json.loads((bundle / "manifest.json").read_text())["artifacts"]}
    for row in rows("eval", bundle, "--data", SENTENCES):
        assert row["score"]["value"] == pytest.approx(stored[row["precision"]]["value"])
        assert stored[row["precision"]]["reference"] - row["score"]["value"] <= 0.5


def test_int8_is_a_quarter(bundle):
    sizes = {a["precision"]: a["size_bytes"] for a in json.loads((bundle / "manifest.json").read_text())["artifacts"]}
    assert sizes["int8"] < 0.3 * sizes["fp32"]


def test_answers_and_measures(bundle):
    assert ew.load(bundle, precision="int8")("a charming and often affecting journey")[0]["label"] == "positive"
    (row,) = rows("bench", bundle, "--precision", "int8", "--tokens", "16", "--runs", "5", "--processes", "1")
    assert row["engine"].startswith("lite-interpreter")
    assert row["score"]["value"] > 80


@pytest.mark.parametrize("precision", ["fp16", "int8-static", "int4"])
def test_what_cannot_be_made_is_said_before_work_starts(precision, tmp_path):
    line = edgewright(
        "build", DEMO, "--out", tmp_path / "b", "--format", "torchscript", "--precision", precision, check=3
    )
    assert f"torchscript at precision '{precision}' is not supported: " in line
    assert "; int8" in line


def test_an_answer_is_all_that_is_printed(bundle):
    prints_answers_alone(bundle)
