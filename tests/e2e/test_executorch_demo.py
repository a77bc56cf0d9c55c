"""The demo model as `.pte` files, through the command line."""

import json

import pytest
from conftest import DEMO, SENTENCES, edgewright, rows

pytest.importorskip("executorch")

PRECISIONS = ["fp32", "int8", "int8-static", "int4"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    out = tmp_path_factory.mktemp("executorch") / "sentiment"
    wanted = ["--format", "executorch", "--precision", ",".join(PRECISIONS), "--data", SENTENCES]
    edgewright("build", DEMO, "--out", out, *wanted, timeout=3000)
    return out


def test_every_precision_is_there_and_verifies(bundle):
    assert [(r["precision"], r["golden"]) for r in rows("verify", bundle)] == [(p, "7 of 7") for p in PRECISIONS]


def test_sizes(bundle):
    sizes = {r["precision"]: r["size_bytes"] for r in rows("inspect", bundle)}
    assert sizes["int8"] <= 0.30 * sizes["fp32"]
    assert sizes["int8-static"] <= 0.30 * sizes["fp32"]
    assert sizes["int4"] <= 0.16 * sizes["fp32"]


def test_eval_repeats_the_scores_of_the_build(bundle):
    stored = {a["precision"]: a["score"] for a in json.loads((bundle / "manifest.json").read_text())["artifacts"]}
    for row in rows("eval", bundle, "--data", SENTENCES):
        assert row["score"]["value"] == pytest.approx(stored[row["precision"]]["value"])
