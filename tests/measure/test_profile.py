"""The parts of an inference: they add up, the rest is said, and what they reach of the machine."""

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import FOUND, OPERATORS
from msgspec.structs import replace as replace_struct

from edgewright import registry
from edgewright.contracts.operators import Operator, Trace, layer_of
from edgewright.errors import DataError, UsageError
from edgewright.measure import profile
from edgewright.measure.profile import chrome_trace, fallbacks, shares


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
    events = [event for event in chrome_trace(FOUND)["traceEvents"] if event["ph"] == "X"]
    assert [e["name"] for e in events if e["tid"] == 1] == ["bert.encoder.layer.0", "bert.encoder.layer.1"]
    assert [e["dur"] for e in events if e["tid"] == 2] == [2000.0, 500.0, 1000.0, 400.0, 10.0]


TIMES = st.tuples(st.floats(0, 5), st.floats(0, 2), st.sampled_from(["", "a.layer.0.x", "a.layer.1"]))


@given(st.lists(TIMES, min_size=1, max_size=20))
def test_a_trace_is_what_the_format_says(given_):
    """By the Trace Event Format's own document: complete events, metadata, slices that do not overlap."""
    operators = tuple(Operator(f"{at}", "Add", layer, start, ms) for at, (start, ms, layer) in enumerate(given_))
    trace = json.loads(json.dumps(chrome_trace(replace(FOUND, trace=Trace(operators, 4.0, 3.8, 10)))))
    assert set(trace) == {"traceEvents", "displayTimeUnit"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    tracks = {1: [], 2: []}
    for event in trace["traceEvents"]:
        assert event["ph"] in ("X", "M")
        assert (type(event["name"]), type(event["pid"]), type(event["tid"])) == (str, int, int)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            assert type(event["args"]["name"]) is str
            continue
        assert isinstance(event["cat"], str)
        assert min(event["ts"], event["dur"]) >= 0
        tracks[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for spans in tracks.values():
        for (_, end), (begin, _) in itertools.pairwise(sorted(spans)):
            assert begin >= end - 1e-6
    took = sum(e["dur"] for e in trace["traceEvents"] if e["tid"] == 2 and e["ph"] == "X")
    assert took == pytest.approx(1e3 * sum(ms for _, ms, _ in given_), abs=1e-6)


def test_what_ran_outside_of_the_delegate_is_counted_and_priced():
    inside = [replace_struct(operator, ran_by="XNNPACK") for operator in OPERATORS[:3]]
    found = fallbacks(replace(FOUND, trace=Trace((*inside, *OPERATORS[3:]), 4.0, 3.8, 10, "XNNPACK")))
    assert (found.operators, found.of, found.kinds) == (2, 5, {"Add": 1, "Shape": 1})
    assert (found.time_ms, found.share) == (pytest.approx(0.41), pytest.approx(0.1025))
    assert str(found) == "outside XNNPACK: 2 of 5 operators, 0.41 ms, 10.2 % (Add 1, Shape 1)"
    whole = replace(FOUND, trace=Trace(tuple(inside), 4.0, 3.8, 10, "XNNPACK"))
    assert str(fallbacks(whole)) == "all 3 operators ran in XNNPACK"
    assert fallbacks(FOUND) is None
    rows = {
        row.what: row.ran_by for row in shares(replace(FOUND, trace=Trace((*inside, *OPERATORS[3:]), 4, 4, 1, "X")))
    }
    assert rows == {"MatMul": "XNNPACK", "Add": "XNNPACK, engine", "Shape": "engine", "between operators": None}


def test_a_kept_profile_is_read_as_it_was_and_a_bad_one_refused(tmp_path):
    path = tmp_path / "profile.json"
    profile.write(FOUND, path)
    assert profile.read(path) == FOUND
    good, tree = path.read_bytes(), json.loads(path.read_bytes())
    for bad, words in (
        (good[: len(good) // 2], "not acceptable JSON"),
        (json.dumps({**tree, "schema": 99}).encode(), "schema 99, this edgewright reads up to 1"),
        (json.dumps({**tree, "html": "<script>"}).encode(), "html"),
        (json.dumps({**tree, "kind": "edgewright rows"}).encode(), "kind"),
        (
            json.dumps(
                {**tree, "profile": {**tree["profile"], "trace": {**tree["profile"]["trace"], "operators": []}}}
            ).encode(),
            "no operators",
        ),
    ):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=words):
            profile.read(path)
    with pytest.raises(DataError, match="cannot read"):
        profile.read(tmp_path / "none.json")


def test_an_engine_that_cannot_be_profiled_says_why(tmp_path):
    with pytest.raises(UsageError, match=r"tensorrt is not profiled: .*; onnx, tflite, executorch and torchscript are"):
        registry.load("runtimes", "tensorrt")().profile(tmp_path / "none", {}, threads=1, runs=1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: tree["peaks"].update(read_gb_s=0.0),
        lambda tree: tree["peaks"].update(int8_gmac_s=-1.0),
        lambda tree: tree["trace"]["operators"][0].update(time_ms=-1.0),
        lambda tree: tree["trace"]["operators"][0].update(time_ms=1e308),
    ],
)
def test_a_profile_that_says_what_cannot_be_is_refused(tmp_path, spoil):
    path = tmp_path / "profile.json"
    profile.write(FOUND, path)
    tree = json.loads(path.read_text())
    spoil(tree["profile"])
    path.write_text(json.dumps(tree))
    with pytest.raises(DataError, match="has times or peaks that no machine has"):
        profile.read(path)
