"""The demo model as `.pte` files, through the command line."""

import json

import pytest
from conftest import DEMO, PRECISIONS, SENTENCES, edgewright, prints_answers_alone, rows


@pytest.fixture
def bundle(executorch_bundle):
    return executorch_bundle


def test_every_precision_is_there_and_verifies(bundle):
    found = [(row["precision"], row["golden"]) for row in rows("verify", bundle)]
    assert found == [(precision, "7 of 7") for precision in PRECISIONS]


def test_sizes(bundle):
    sizes = {r["precision"]: r["size_bytes"] for r in rows("inspect", bundle)}
    assert sizes["int8"] <= 0.30 * sizes["fp32"]


@pytest.mark.heavy
def test_the_other_precisions_are_proven_too(bundle, tmp_path):
    more = ("int8-static", "int4")
    asked = ("--format", "executorch", "--precision", ",".join(more), "--data", SENTENCES)
    edgewright("build", DEMO, "--out", tmp_path / "more", *asked, "-q")
    assert [(row["precision"], row["golden"]) for row in rows("verify", tmp_path / "more")] == [
        (precision, "7 of 7") for precision in more
    ]
    sizes = {r["precision"]: r["size_bytes"] for at in (bundle, tmp_path / "more") for r in rows("inspect", at)}
    assert sizes["int8-static"] <= 0.30 * sizes["fp32"]
    assert sizes["int4"] <= 0.16 * sizes["fp32"]


def test_eval_repeats_the_scores_of_the_build(bundle):
    stored = {a["precision"]: a["score"] for a in json.loads((bundle / "manifest.json").read_text())["artifacts"]}
    for row in rows("eval", bundle, "--data", SENTENCES):
        assert row["score"]["value"] == pytest.approx(stored[row["precision"]]["value"])


def test_an_answer_is_all_that_is_printed(bundle):
    prints_answers_alone(bundle)
