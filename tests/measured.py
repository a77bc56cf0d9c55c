"""Rows of a run and an operator profile, made up for the tests that read, compare and draw them."""

import random

from edgewright.bundle.manifest import Artifact, Parity
from edgewright.contracts.operators import Operator, Trace
from edgewright.measure.grading import grade, spread
from edgewright.measure.profile import Profile
from edgewright.measure.roofline import Roofline
from edgewright.measure.rows import Machine, MachineState, Row, Run, Startup
from edgewright.statistics.latency import summarize

PARITY = Parity(texts=1, max_abs=0.0, mean_abs=0.0, sqnr_db=200.0, cosine=1.0, top1=1.0, worst_case="short")
ARTIFACT = Artifact("onnx/model.onnx", "onnx", "fp32", 5, "0" * 64, (), (), PARITY)
STARTUP = Startup(1.0, 90, 2.0, 0.5, 0.5, 1.0, 3.0)
STEADY = {
    "before": MachineState(clock_mhz=2000.0, swapped_pages=7),
    "after": MachineState(clock_mhz=1990.0, swapped_pages=7),
}


def row(samples, **fields):
    flat = [sample for process in samples for sample in process]
    mark, reasons = grade(samples, summarize(flat), [STEADY], [0.0])
    given = {
        "artifact": ARTIFACT, "bundle": "b", "task": "text-classification", "engine": "onnxruntime", "version": "1",
        "threads": 1, "tokens": 16, "latency_ms": summarize(flat), "samples_ms": samples, "tokens_per_s": 1.0,
        "startup": STARTUP, "peak_rss_mib": 80.0, "noise": spread(samples),
        "before": MachineState(), "after": MachineState(),
        "grade": mark, "reasons": reasons,
    }  # fmt: skip
    return Row(**{**given, **fields})


def run(*rows, source="a" * 64):
    machine = Machine("0.1.0", "3.11", "Linux", "a board", 2, 1000, "avx2")
    return Run(device="local", machine=machine, source=source, began="2026-01-01T00:00:00Z", rows=rows)


def samples(centre, processes=5, seed=0, noise=0.01):
    rng = random.Random(seed)
    moods = [rng.gauss(1, noise) for _ in range(processes)]
    return tuple(tuple(centre * mood * rng.gauss(1, noise) for _ in range(50)) for mood in moods)


PEAKS = Roofline(1, fp32_gmac_s=50.0, int8_gmac_s=200.0, read_gb_s=30.0)
OPERATORS = (
    Operator("a", "MatMul", "bert.encoder.layer.0.output.dense", 0.0, 2.0, macs=80_000_000, moved_bytes=1_000_000),
    Operator("b", "Add", "bert.encoder.layer.0.output", 2.0, 0.5, moved_bytes=10_000_000),
    Operator("c", "MatMul", "bert.encoder.layer.1", 2.5, 1.0, macs=40_000_000),
    Operator("d", "Add", "", 3.5, 0.4, moved_bytes=60_000_000),
    Operator("e", "Shape", "", 3.9, 0.01),
)
FOUND = Profile(ARTIFACT, "onnxruntime", 16, Trace(OPERATORS, run_ms=4.0, plain_ms=3.8, runs=10), PEAKS)
