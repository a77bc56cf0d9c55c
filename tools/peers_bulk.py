"""Many texts at once: edgewright's workers beside what a user would pick instead, and beside what the machine can do.

    .venv/bin/python tools/peers_bulk.py [--processes 5] [--passes 3] [--texts 872] [--out docs] [--work build/peers]

all-MiniLM-L6-v2 makes embeddings of SST-2's dev sentences, on every core. Each side has an environment of its own below
build/peers, as tools/peers has, and fresh processes that take turns; a side's first pass is not counted and gives the
answers, which are held against sentence-transformers' in fp32. The limit is what the multiply-accumulates of these very
tokens take by the instruction alone (tools/peaks.c). Writes bulk.json, and the table in docs/answers.md where the files
go there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from peaks import Peaks, best, peaks
from peers import MODELS, SENTENCES, Load, process, where
from peers_environments import ROOT, python_of
from peers_files import Files
from peers_sides import Side, reason_of, say
from tokenizers import Tokenizer

from edgewright.data.rows import rows
from edgewright.measure.bench import now
from edgewright.measure.roofline import encoder_macs
from edgewright.statistics.latency import compare, median
from edgewright.system.machine import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REFERENCE = "sentence-transformers, fp32"
OURS = "edgewright, ONNX int8, {} workers"
COMMAND = "edgewright run --workers {}, from cold"
BEGIN, END = "<!-- what tools/peers_bulk.py measured -->", "<!-- until here -->"
LEAST_COSINE = 0.95
"""On average: below it a side has another model than the rest."""
MOST_OTHERS = 0.05
"""Of the machine's time, as in a row of `edgewright bench`."""
CALIBRATION = 64
"""Texts that OpenVINO's activations are measured on, other ones than those that are timed."""


class Ratio(TypedDict):
    """Of two times, with the ends of its interval where there is one."""

    value: float
    low: float | None
    high: float | None


class Row(TypedDict):
    """What came of a side."""

    name: str
    per_s: float
    ours_by_it: Ratio
    peak_mib: float | None
    mean_cosine: float
    lowest_cosine: float
    versions: dict[str, str]
    passes_s: list[list[float]]


class Limits(TypedDict):
    """What the machine's own instructions allow: texts a second by precision, and what that is computed from."""

    per_s: dict[str, float]
    fp32_gmac_s: float
    int8_gmac_s: float
    gmacs: float


class Record(TypedDict):
    """A run, as bulk.json has it."""

    began: str
    took_s: int
    others: float
    threads: int
    machine: dict[str, Any]
    texts: int
    sentences: str
    processes: int
    limits: Limits
    sides: list[Row]
    left_out: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=5, help="fresh processes of each side")
    parser.add_argument("--passes", type=int, default=3, help="over all texts, in each process")
    parser.add_argument("--texts", type=int, default=872, help="so many of the sentences")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where bulk.json goes")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "peers", help="environments and models' files")
    args = parser.parse_args()
    threads, files = os.cpu_count() or 1, Files(MODELS[0], args.work.resolve())
    texts = [row["sentence"] for _, row in rows(next(path for path in SENTENCES if path.is_file()))][: args.texts]
    sides, left_out = _sides(files, threads)
    say("environments and files are ready; now the measurement")
    load, began, measured = Load(), now(), []
    for turn in range(args.processes):
        measured.append(peaks(args.work, threads))
        for side in list(sides):
            say(f"process {turn + 1} of {args.processes}: {side.name}")
            try:
                side.records.append(_asked(side, texts, threads, args.passes))
            except (subprocess.SubprocessError, ValueError, LookupError) as error:
                left_out[side.name] = reason_of(error)
                sides.remove(side)
    if lost := {REFERENCE, OURS.format(threads)} & left_out.keys():
        raise SystemExit(f"{' and '.join(sorted(lost))} cannot be left out: {left_out[min(lost)]}")
    record = Record(
        began=began,
        took_s=round(load.elapsed_s()),
        others=round(load.others(), 3),
        threads=threads,
        machine=machine(),
        texts=len(texts),
        sentences=where(),
        processes=args.processes,
        limits=_limits(files, texts, best(measured)),
        sides=[_row(side, sides, len(texts)) for side in sides],
        left_out=left_out,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "bulk.json").write_text(json.dumps(record, indent=1) + "\n")
    if args.out.resolve() == ROOT / "docs":
        page = ROOT / "docs" / "answers.md"
        head, _, rest = page.read_text().partition(BEGIN)
        page.write_text(f"{head}{BEGIN}\n{markdown(record)}{END}{rest.partition(END)[2]}")
    print(markdown(record))


# the sides


def _sides(files: Files, threads: int) -> tuple[list[Side], dict[str, str]]:
    found, left_out = [], {}
    for name, (environment, kind, given) in _makers(files, threads).items():
        try:
            opened = given()
            found.append(Side(name, python_of(environment, files.work), kind, opened, 0))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            left_out[name] = reason_of(error)
            say(f"{name} is left out: {left_out[name]}")
    return found, left_out


def _makers(files: Files, threads: int) -> dict[str, tuple[str, str, Callable[[], dict[str, str]]]]:
    """The environment of each side, its kind, and what makes its files."""

    def ours(format_: str) -> Callable[[], dict[str, str]]:
        return lambda: {"bundle": str(files.bundle().directory), "format": format_}

    def bare() -> dict[str, str]:
        bundle = files.bundle()
        path = bundle.directory / bundle.choose(format="onnx", precision="int8").path
        return {"model": str(path), "tokenizer": str(files.model / "tokenizer.json")}

    def fast(name: str) -> Callable[[], dict[str, str]]:
        return lambda: {"model": str(files.optimum()), "name": name}

    def openvino(name: str) -> Callable[[], dict[str, str]]:
        def make() -> dict[str, str]:
            calibration = [row["sentence"] for _, row in rows(SENTENCES[-1])][:CALIBRATION]
            home = files.openvino(calibration)
            model = home / "int8.xml" if name == "int8" else files.optimum() / "model.onnx"
            return {"model": str(model), "tokenizer": str(files.model / "tokenizer.json")}

        return make

    return {
        OURS.format(threads): ("edgewright", "edgewright", ours("onnx")),
        f"edgewright, TFLite int8, {threads} workers": ("edgewright", "edgewright", ours("tflite")),
        COMMAND.format(threads): ("edgewright", "command", ours("onnx")),
        "bare onnxruntime, our int8, batches of 16": ("bare", "onnxruntime", bare),
        REFERENCE: ("sentence-transformers", "sentence-transformers", lambda: {"model": str(files.model)}),
        "fastembed, fp32": ("fastembed", "fastembed", fast("model.onnx")),
        "fastembed, Optimum's int8": ("fastembed", "fastembed", fast("model_quantized.onnx")),
        "OpenVINO, fp32": ("openvino", "openvino", openvino("fp32")),
        "OpenVINO, NNCF's int8": ("openvino", "openvino", openvino("int8")),
    }


def _asked(side: Side, texts: list[str], threads: int, passes: int) -> dict[str, Any]:
    """What a process of a side says; its answers are kept once."""
    if side.kind == "command":
        record = _command(side, texts, threads, passes)
    else:
        record = process(side, {"many": texts, "threads": threads, "passes": passes}, threads)
    side.first = side.first or {"answers": np.array(record["answers"]), "versions": record["versions"]}
    del record["answers"]
    return record


def _command(side: Side, texts: list[str], threads: int, passes: int) -> dict[str, Any]:
    """The command line, from its start to its end, with lines through pipes."""
    argv = [str(side.python.parent / "edgewright"), "run", side.files["bundle"], "--input", "-"]
    argv += ["--format", side.files["format"], "--precision", "int8", "--workers", str(threads)]
    took, out = [], ""
    for _ in range(passes):
        begin = time.perf_counter()
        out = subprocess.run(argv, input="\n".join(texts), text=True, capture_output=True, check=True).stdout
        took.append(time.perf_counter() - begin)
    answers = [json.loads(line)["answer"] for line in out.splitlines()]
    return {"answers": answers, "passes_s": took, "peak_mib": None, "versions": {}}


# the limit


def _limits(files: Files, texts: Sequence[str], most: Peaks) -> Limits:
    """Texts a second that no program exceeds: layers in a precision's own instruction, attention's products in fp32."""
    config = json.loads((files.model / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(files.model / "tokenizer.json"))
    tokenizer.no_padding()
    macs = [encoder_macs(config, len(one.ids)) or (0.0, 0.0) for one in tokenizer.encode_batch(list(texts))]
    layers, scores = (sum(column) / 1e9 for column in zip(*macs, strict=True))
    fp32, int8 = most["fp32_gmac_s"], most["int8_gmac_s"]
    found = {"fp32": len(texts) / ((layers + scores) / fp32)}
    if int8:
        found["int8"] = len(texts) / (layers / int8 + scores / fp32)
    return {"per_s": found, "fp32_gmac_s": fp32, "int8_gmac_s": int8, "gmacs": layers + scores}


# what it says


def _row(side: Side, sides: Sequence[Side], texts: int) -> Row:
    reference = next(one for one in sides if one.name == REFERENCE)
    near = np.sum(_unit(side.first["answers"]) * _unit(reference.first["answers"]), -1)
    ours = next(one for one in sides if one.kind == "edgewright")
    took = [record["passes_s"] for record in side.records]
    ratio = compare([record["passes_s"] for record in ours.records], took)
    peaks = [record["peak_mib"] for record in side.records if record["peak_mib"]]
    return {
        "name": side.name,
        "per_s": texts / median(sorted(median(sorted(one)) for one in took)),
        "ours_by_it": {"value": ratio.value, "low": ratio.low, "high": ratio.high if ratio.low else None},
        "peak_mib": median(sorted(peaks)) if peaks else None,
        "mean_cosine": float(mean(near)),
        "lowest_cosine": float(near.min()),
        "versions": side.first["versions"],
        "passes_s": took,
    }


def _unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def markdown(record: Record) -> str:
    """The paragraph and the table. A void run gives no figures."""
    if record["others"] > MOST_OTHERS:
        return f"Void: other processes took {record['others']:.0%} of the machine meanwhile.\n"
    one = record["machine"]
    words = f"{record['texts']} sentences of {record['sentences']}, all-MiniLM-L6-v2, {record['threads']} threads of "
    words += f"{one['model']}, {record['processes']} fresh processes of each in turn, {record['began'][:10]}. "
    limit = record["limits"]["per_s"]
    words += "The limit is that of the multiply-accumulates alone, by the instruction itself: "
    words += ", ".join(f"{value:.0f} a second in {name}" for name, value in sorted(limit.items())) + ".\n"
    lines = [words, "| side | sentences/s | of the limit | our time by its | peak MiB | mean cosine, lowest |"]
    lines.append("|---|---|---|---|---|---|")
    for row in record["sides"]:
        kind = "fp32" if "fp32" in row["name"] else "int8"
        part = f"{row['per_s'] / limit[kind]:.0%}" if kind in limit else ""
        ratio = row["ours_by_it"]
        within = f" ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio["high"] else ""
        by = "" if row["name"].startswith("edgewright, ONNX") else f"{ratio['value']:.2f}{within}"
        peak = f"{row['peak_mib']:.0f}" if row["peak_mib"] else ""
        near = f"{row['mean_cosine']:.4f}, {row['lowest_cosine']:.3f}"
        lines.append(f"| {row['name']} | {row['per_s']:.0f} | {part} | {by} | {peak} | {near} |")
    lines += [f"\nLeft out: {name}: {reason}." for name, reason in record["left_out"].items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main()
