"""`edgewright profile` on the demo model: every operator has a time and most a layer."""

import json

import pytest
from conftest import DEMO, edgewright, rows

from edgewright.measure.roofline import encoder_macs

LAYERS = {"electra.embeddings", "electra.embeddings_project", "electra.encoder.layer.0", "electra.encoder.layer.1"}


def add_up(found):
    """Whether the operators stay below the session's own time, which the rest fills as a line of its own."""
    *operators, rest = found["rows"]
    whole = found["trace"]["run_ms"]
    assert rest["what"] == "between operators"
    assert sum(row["time_ms"] for row in operators) == pytest.approx(whole - rest["time_ms"])
    assert -0.05 * whole < rest["time_ms"] < whole
    assert max(row["time_ms"] for row in operators) > 0
    return True


@pytest.mark.parametrize(
    ("bundle", "delegate", "outside"),
    [("tflite_bundle", "XNNPACK", "EMBEDDING_LOOKUP"), ("executorch_bundle", "XnnpackBackend", "aten::embedding")],
)
def test_what_fell_back_is_counted_and_priced(request, tmp_path, bundle, delegate, outside):
    asked = ("--precision", "fp32", "--tokens", "32", "--runs", "20", "--out", tmp_path / "kept.json")
    argv = ("profile", request.getfixturevalue(bundle), *asked)
    found = json.loads(edgewright(*argv, "--json"))
    assert add_up(found)
    fell = found["fallbacks"]
    assert fell["delegate"] == delegate
    assert fell["kinds"][outside] >= 1
    assert 0 < fell["operators"] < fell["of"] == sum(row["calls"] for row in found["rows"])
    priced = [o["time_ms"] for o in found["trace"]["operators"] if o["ran_by"] != delegate]
    assert (len(priced), sum(priced)) == (fell["operators"], pytest.approx(fell["time_ms"]))
    assert json.loads((tmp_path / "kept.json").read_text())["profile"]["trace"] == found["trace"]


def test_executorch_by_programs_that_end_early(executorch_bundle):
    argv = ("profile", executorch_bundle, "--precision", "fp32", "--runs", "10", "--tokens", "128")
    found = json.loads(edgewright(*argv, "--json"))
    assert add_up(found)
    (delegate,) = (row for row in found["rows"] if row["what"] == "XnnpackBackend")
    assert delegate["time_ms"] > 0
    assert all(operator["time_ms"] >= 0 for operator in found["trace"]["operators"])


def test_operators_add_up_and_have_layers(demo_bundle, tmp_path):
    argv = ("profile", demo_bundle, "--precision", "fp32", "--tokens", "32", "--runs", "20")
    whole = json.loads(edgewright(*argv, "--by", "layer", "--trace", tmp_path / "trace.json", "--json"))
    assert add_up(whole)
    assert {row["what"] for row in whole["rows"]} >= LAYERS
    assert (whole["fallbacks"]["delegate"], whole["fallbacks"]["operators"]) == ("CPUExecutionProvider", 0)
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    products = [e for e in events if e["name"] in ("MatMul", "Gemm", "FusedMatMul")]
    assert len(products) >= 12
    assert all(e["args"]["layer"] and e["args"]["macs"] > 0 for e in products)
    linear = sum(e["args"]["macs"] for e in events if e["ph"] == "X" and e["tid"] == 2 and e["name"] != "Attention")
    least, _ = encoder_macs(json.loads((DEMO / "config.json").read_text()), 32)
    assert least <= linear <= 1.1 * least


def test_the_table_names_the_peaks_and_the_kinds(demo_bundle):
    text = edgewright("profile", demo_bundle, "--precision", "int8", "--tokens", "16", "--runs", "5")
    assert "GMAC/s in fp32" in text
    assert "DynamicQuantizeMatMul" in text
    assert "between operators" in text


@pytest.mark.heavy
def test_the_lite_interpreter_too(torchscript_bundle):
    argv = ("profile", torchscript_bundle, "--precision", "fp32", "--tokens", "16", "--runs", "5")
    whole = json.loads(edgewright(*argv, "--json"))
    assert add_up(whole)
    found = whole["rows"]
    linear = next(row for row in found if row["what"] == "aten::linear")
    assert linear["calls"] >= 12
    assert linear["gmac_s"] > 0


def test_litert_with_the_operators_of_xnnpack(tflite_bundle):
    argv = ("profile", tflite_bundle, "--precision", "fp32", "--tokens", "32", "--runs", "20")
    found = {row["what"].partition(" (")[0]: row for row in rows(*argv)}
    assert found["Fully Connected"]["calls"] >= 12
    assert found["Fully Connected"]["gmac_s"] > 0
    assert found["EMBEDDING_LOOKUP"]["calls"] >= 1  # outside XNNPACK
    assert abs(sum(row["share"] for row in found.values()) - 1) < 1e-6
    layers = {row["what"] for row in rows(*argv, "--by", "layer")}
    assert {"encoder.0", "encoder.1"} <= {layer.removeprefix("electra.") for layer in layers}


def test_a_precision_is_held_against_fp32(demo_bundle):
    found = {row["what"]: row for row in rows("profile", demo_bundle, "--why", "int8", "--tokens", "32")}
    assert "this machine's peaks allow" in found["products with weights"]["why"]
    assert "stay in float" in found["products of attention"]["why"]
    assert found["quantize, dequantize, scale"]["other_ms"] > 0
    assert "give another precision" in edgewright("profile", demo_bundle, "--why", "fp32", check=2)


def test_what_cannot_be_profiled_is_one_line(demo_bundle):
    assert "the model takes 1 to 128" in edgewright("profile", demo_bundle, "--tokens", "500", check=2)
    assert "threads were asked" in edgewright("profile", demo_bundle, "--threads", "4096", check=2)
