"""Whether `edgewright bench` tells the truth: its medians beside those of bare loops that share no code with it.

    .venv/bin/python tools/agreement.py BUNDLE [--processes 10] [--tokens 16,128]

The bare loops know the engine and numpy alone. Both run in turn, in fresh processes, on one thread; the ratio has a
99 % interval over processes. The last lines are what the timing loop itself costs for each run, and an A/A comparison.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright import bench
from edgewright.bundle.bundle import Bundle
from edgewright.measure.plan import Plan
from edgewright.measure.regression import bench_against
from edgewright.runtimes._measuring.worker import sample
from edgewright.statistics.latency import compare, median

if TYPE_CHECKING:
    from edgewright.bundle.manifest import Artifact

LOOP = """
samples, begin = [], time.perf_counter()
while time.perf_counter() - begin < 0.3:
    run()
for _ in range(50):
    begin = time.perf_counter_ns()
    run()
    samples.append((time.perf_counter_ns() - begin) / 1e6)
print(json.dumps(samples))
"""

ONNX = """
import json, sys, time, numpy, onnxruntime
path, tokens = sys.argv[1], int(sys.argv[2])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
feeds = {i.name: numpy.ones((1, tokens), numpy.int64) for i in session.get_inputs()}
run = lambda: session.run(None, feeds)
"""

TFLITE = """
import json, sys, time, numpy
from ai_edge_litert.interpreter import Interpreter
path, tokens = sys.argv[1], int(sys.argv[2])
engine = Interpreter(path, num_threads=1)
for name in engine.get_signature_list():
    runner = engine.get_signature_runner(name)
    inputs = runner.get_input_details()
    if max(i["shape"][1] for i in inputs.values()) == tokens:
        break
feeds = {key: numpy.ones(i["shape"], i["dtype"]) for key, i in inputs.items()}
run = lambda: runner(**feeds)
"""

BARE = {"onnx": ONNX + LOOP, "tflite": TFLITE + LOOP}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--tokens", default="16,128", help="lengths for which the artifacts have a bucket of their own")
    args = parser.parse_args()
    bundle = Bundle.open(args.bundle)
    print(
        "| artifact | tokens | bench, ms | bare loop, ms | ratio (99 % interval) | grade |\n|---|---|---|---|---|---|"
    )
    for artifact in bundle.manifest.artifacts:
        for tokens in map(int, args.tokens.split(",")) if artifact.format in BARE else ():
            print(beside(bundle, artifact, tokens, args.processes), flush=True)
    print(f"\nThe timing loop adds {harness_ns():.0f} ns to a run.")
    chosen = bundle.choose()
    same = Plan(tokens=(16,), processes=args.processes)
    (found,) = bench_against(bundle, bundle, same, format=chosen.format, precision=chosen.precision)
    print(f"{chosen.key} against itself, 16 tokens: {found.ratio}")


def beside(bundle: Bundle, artifact: Artifact, tokens: int, processes: int) -> str:
    ours, theirs, grades = [], [], []
    plan = Plan(tokens=(tokens,), processes=1)
    bare = [sys.executable, "-c", BARE[artifact.format], str(bundle.directory / artifact.path), str(tokens)]
    for _ in range(processes):
        (row,) = bench(bundle, plan, format=artifact.format, precision=artifact.precision).rows
        ours.append(row.samples_ms[0])
        grades.append(row.grade)
        theirs.append(json.loads(subprocess.run(bare, check=True, capture_output=True, text=True).stdout))
    ratio = compare(ours, theirs)
    middles = [median(sorted(s for process in side for s in process)) for side in (ours, theirs)]
    shared = f"{grades.count('void')} of {processes} void" if "void" in grades else "none void"
    return f"| {artifact.key} | {tokens} | {middles[0]:.4g} | {middles[1]:.4g} | {ratio} | {shared} |"


def harness_ns(runs: int = 20_000) -> float:
    """What lies between the two readings of the clock beside the call: the time of a call that does nothing."""
    nothing = median(sorted(sample(lambda _: None, [{}], runs))) * 1e6
    clock = time.perf_counter_ns
    bare = []
    for _ in range(runs):
        begin = clock()
        bare.append(clock() - begin)
    return nothing - median(sorted(bare))


if __name__ == "__main__":
    main()
