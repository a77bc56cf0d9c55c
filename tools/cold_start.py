"""The first answer of `edgewright run` from cold, beside a script of tokenizers and the engine alone.

    .venv/bin/python tools/cold_start.py BUNDLE [--runs 40] [--python PYTHON]

Fresh processes in turn, on the int8 ONNX file of a bundle of embeddings: processor's time, time by the clock and peak
of resident memory, each as the least and the median of its runs, at last the ratio of the least and the median of the
ratios of the pairs. PYTHON is that of an environment where edgewright is installed as users have it: an editable
install is slower to import. On an x86 processor without VNNI the script too asks for exact products, as edgewright
does: without it ONNX Runtime gives other answers there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from edgewright.runtimes._x86 import products_saturate

SCRIPT = """
import json, sys
import numpy as np
import onnxruntime
from tokenizers import Tokenizer
bundle, text, exact = sys.argv[1:]
tokenizer = Tokenizer.from_file(bundle + "/tokenizer.json")
tokenizer.no_padding()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry("session.x64quantprecision", exact)
file = bundle + "/onnx/model_quantized.onnx"
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
got = tokenizer.encode(text)
feeds = {"input_ids": got.ids, "attention_mask": got.attention_mask, "token_type_ids": got.type_ids}
hidden = session.run(None, {one.name: np.array([feeds[one.name]], np.int64) for one in session.get_inputs()})[0][0]
mean = hidden.mean(0)
print(json.dumps((mean / np.sqrt(mean @ mean)).tolist()))
"""
TEXT = "the river had risen in the night and by morning the lower path was gone"
LEAST_COSINE = 0.999
"""Of the two answers: they are of one file."""
COLUMNS = ("processor, s", "clock, s", "peak MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--python", default=sys.executable)
    args = parser.parse_args()
    asked = ["run", str(args.bundle), TEXT, "--format", "onnx", "--precision", "int8"]
    sides = {
        "edgewright run": [args.python, "-P", "-m", "edgewright", *asked],
        "bare script": [args.python, "-P", "-c", SCRIPT, str(args.bundle), TEXT, str(int(products_saturate()))],
    }
    _agree(*(_answer(argv) for argv in sides.values()))
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in sides}
    for turn in range(args.runs):
        for name in list(sides)[:: 1 if turn % 2 else -1]:
            found[name].append(_run(sides[name]))
    print("| | " + " | ".join(f"{column}: least | median" for column in COLUMNS) + " |")
    print("|---" * 7 + "|")
    rows = {name: [pick(column) for column in zip(*runs, strict=True) for pick in (min, median)]
            for name, runs in found.items()}  # fmt: skip
    pairs = [[one / other for one, other in zip(*turn, strict=True)] for turn in zip(*found.values(), strict=True)]
    leasts = [one / other for one, other in zip(*rows.values(), strict=True)][::2]
    rows["times as much"] = [
        ratio
        for least, column in zip(leasts, zip(*pairs, strict=True), strict=True)
        for ratio in (least, median(column))
    ]
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.4g}' for value in values)} |")


def _answer(argv: list[str]) -> list[float]:
    """What a side says; of ours this is also the first look into the artifact, which later runs do not repeat."""
    said = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    found: list[float] = said["answer"] if isinstance(said, dict) else said
    return found


def _agree(one: list[float], other: list[float]) -> None:
    cosine = sum(a * b for a, b in zip(one, other, strict=True))
    if cosine < LEAST_COSINE:
        raise SystemExit(f"the answers have a cosine of {cosine:.4f}, at least {LEAST_COSINE} is wanted")


def _run(argv: list[str]) -> tuple[float, float, float]:
    begin = time.perf_counter()
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{argv[3]} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - begin, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
