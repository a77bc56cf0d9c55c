"""The parts of an inference: they add up, the rest is said, and what they reach of the machine."""

import pytest
from test_rows import ARTIFACT

from edgewright import registry
from edgewright.errors import UsageError
from edgewright.operators import Operator, Trace, layer_of
from edgewright.profiling import Profile, chrome_trace, shares
from edgewright.roofline import Roofline

PEAKS = Roofline(1, fp32_gmac_s=50.0, int8_gmac_s=200.0, read_gb_s=30.0)
OPERATORS = (
    Operator("a", "MatMul", "bert.encoder.layer.0.output.dense", 0.0, 2.0, macs=80_000_000, moved_bytes=1_000_000),
    Operator("b", "Add", "bert.encoder.layer.0.output", 2.0, 0.5, moved_bytes=10_000_000),
    Operator("c", "MatMul", "bert.encoder.layer.1", 2.5, 1.0, macs=40_000_000),
    Operator("d", "Add", "", 3.5, 0.4, moved_bytes=60_000_000),
    Operator("e", "Shape", "", 3.9, 0.01),
)
FOUND = Profile(ARTIFACT, "onnxruntime", 16, Trace(OPERATORS, run_ms=4.0, plain_ms=3.8, runs=10), PEAKS)


@pytest.mark.parametrize("by", ["kind", "layer", "operator"])
def test_the_parts_add_up_to_the_session(by):
    rows = shares(FOUND, by)
    assert sum(row.time_ms for row in rows) == pytest.approx(4.0)
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert rows[-1].what == "between operators"
    assert rows[-1].time_ms == pytest.approx(0.09)
    assert sum(row.calls for row in rows) == 5


def test_what_bounds_a_part():
    rows = {row.what: row for row in shares(FOUND, "operator")}
    assert (rows["a"].gmac_s, rows["a"].bound) == (pytest.approx(40.0), "compute")
    assert rows["a"].of_peak == pytest.approx(0.8)
    assert (rows["b"].gb_s, rows["b"].bound) == (pytest.approx(20.0), "memory")
    assert rows["d"].bound == "cache"
    assert (rows["e"].bound, rows["e"].gmac_s) == (None, None)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("bert.encoder.layer.3.output.dense", "bert.encoder.layer.3"),
        ("bert.embeddings.LayerNorm", "bert.embeddings"),
        ("classifier", "classifier"),
        ("", ""),
    ],
)
def test_the_layer_of_a_module(name, layer):
    assert layer_of(name) == layer


def test_a_trace_has_an_event_for_every_operator_and_layer():
    events = chrome_trace(FOUND)["traceEvents"]
    assert [e["name"] for e in events if e["tid"] == 1] == ["bert.encoder.layer.0", "bert.encoder.layer.1"]
    assert [e["dur"] for e in events if e["tid"] == 2] == [2000.0, 500.0, 1000.0, 400.0, 10.0]
    assert all({"name", "ph", "ts", "dur", "pid", "tid"} <= set(e) for e in events)


def test_an_engine_that_cannot_be_profiled_says_why(tmp_path):
    with pytest.raises(UsageError, match="without the event tracer"):
        registry.load("runtimes", "executorch")().profile(tmp_path / "none", {}, threads=1, runs=1)
