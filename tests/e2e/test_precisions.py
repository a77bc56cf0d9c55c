"""The demo model at every precision of the formats `onnx` and `ort`, through the command line."""

import json

import pytest
from conftest import DEMO, SENTENCES, edgewright, rows

from edgewright.proof.limits import LIMITS

PRECISIONS = ("fp32", "fp16", "int8", "int8-static", "int4")
MOST_BYTES = {"fp32": 15.5e6, "fp16": 7.8e6, "int8": 4.1e6, "int8-static": 4.1e6, "int4": 3.1e6}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    out = tmp_path_factory.mktemp("precisions") / "sentiment"
    edgewright("build", DEMO, "--out", out, "--precision", ",".join(PRECISIONS), "--data", SENTENCES)
    return out


@pytest.mark.heavy
def test_every_precision_is_within_its_limits(bundle):
    found = rows("eval", bundle, "--data", SENTENCES)
    assert [row["precision"] for row in found] == list(PRECISIONS)
    stored = {a["precision"]: a for a in json.loads((bundle / "manifest.json").read_text())["artifacts"]}
    for row in found:
        artifact, limit = stored[row["precision"]], LIMITS[row["precision"]]
        assert row["score"]["value"] >= artifact["score"]["reference"] - limit.points
        assert artifact["parity"]["diverged"] is None
        assert artifact["parity"]["sqnr_db"] >= limit.sqnr_db
        assert artifact["size_bytes"] <= MOST_BYTES[row["precision"]]


def test_verify(bundle):
    assert [row["golden"] for row in rows("verify", bundle)] == ["7 of 7"] * 5


def test_the_manifest_says_what_stayed_in_float(bundle):
    artifacts = json.loads((bundle / "manifest.json").read_text())["artifacts"]
    kept = {a["precision"]: a["float_operators"] for a in artifacts}
    assert kept["int8-static"] == ["Add", "Attention", "Gelu", "LayerNormalization"]
    assert kept["fp32"] == kept["int8"] == []


@pytest.mark.heavy
@pytest.mark.shared_data
def test_sst2(bundle, shared_data):
    values = {r["precision"]: r["score"]["value"] for r in rows("eval", bundle, "--data", shared_data / "sst2/dev.tsv")}
    for precision, value in values.items():
        assert values["fp32"] - value <= LIMITS[precision].points, precision


@pytest.mark.heavy
def test_ort(tmp_path):
    edgewright("build", DEMO, "--out", tmp_path / "mobile", "--format", "ort", "--precision", "int8,int8-static")
    assert [row["golden"] for row in rows("verify", tmp_path / "mobile")] == ["7 of 7"] * 2
    assert sorted(p.name for p in (tmp_path / "mobile" / "ort").iterdir()) == [
        "model_int8.ort",
        "model_int8_static.ort",
    ]
    line = edgewright("build", DEMO, "--out", tmp_path / "half", "--format", "ort", "--precision", "fp16", check=3)
    assert "would be stored as float32" in line
    assert "onnx" in line
