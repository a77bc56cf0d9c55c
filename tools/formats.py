"""Every format beside Optimum's int8 ONNX and eager PyTorch: latency at 16 and 128 tokens, and size.

    .venv/bin/python tools/formats.py MODEL_DIR --out docs

One thread, batch 1, fresh processes in turn with each other in one run; ratios have a 99 % interval over processes.
Writes formats.json and formats.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agreement import BARE
from peers_environments import ROOT
from peers_files import Files

from edgewright import build
from edgewright.measure.roofline import encoder_macs, roofline
from edgewright.statistics.latency import compare, median
from edgewright.system.interpreter import here

if TYPE_CHECKING:
    from collections.abc import Callable

WORK = ROOT / "build" / "peers"
TOKENS = (16, 128)
FORMATS = ("onnx", "tflite", "executorch", "torchscript")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a Hugging Face directory")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where formats.json and formats.md go")
    parser.add_argument("--processes", type=int, default=7, help="fresh processes of each side")
    parser.add_argument("--bundle", type=Path, help="a bundle of the model that is there already")
    args = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    optimum = Files(args.model, WORK).optimum() / "model_quantized.onnx"
    home = args.bundle or WORK / "formats"
    if not args.bundle:
        build(args.model, out=home, formats=FORMATS, precisions=["fp32", "int8"], force=True)
    manifest = json.loads((home / "manifest.json").read_text())
    artifacts = {f"{a['format']} {a['precision']}": a for a in manifest["artifacts"]}
    sides = {name: partial(_ours, home, a["format"], a["precision"]) for name, a in artifacts.items()}
    sides["Optimum int8"] = partial(_optimum, optimum)
    sides["eager"] = partial(_eager, args.model, manifest["task"])
    samples = interleave(sides, args.processes)
    rows = [_row(name, samples, artifacts.get(name, {}).get("size_bytes")) for name in sides]
    args.out.mkdir(exist_ok=True)
    floors = _floors(args.model)
    (args.out / "formats.json").write_text(json.dumps({"rows": rows, "floors": floors}, indent=1) + "\n")
    page = _markdown(args.model.resolve().name, rows) + _floor_words(rows, floors)
    (args.out / "formats.md").write_text(page)
    print(page)


def interleave(sides: dict[str, Callable[[], list[float]]], turns: int) -> dict[str, list[list[float]]]:
    """What each side says in so many turns, after one that only warms the file cache."""
    samples: dict[str, list[list[float]]] = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, once in sides.items():
            sample = once()
            samples[name] += [sample] if turn else []
    return samples


def _ours(home: Path, format_: str, precision: str) -> list[float]:
    request = {"bundle": str(home), "format": format_, "precision": precision, "peak": False, "tokens": TOKENS}
    request |= {"texts": [], "threads": 1, "runs": 60, "warmup_runs": 5, "warmup_ms": 300.0}
    argv = here("edgewright.runtimes._measuring.worker")
    done = subprocess.run(argv, input=json.dumps(request), check=True, capture_output=True, text=True)
    record = json.loads(done.stdout)
    if "error" in record:
        raise SystemExit(record["error"]["message"])
    return [median(sorted(series["samples_ms"])) for series in record["series"]]


def _optimum(path: Path) -> list[float]:
    argv = [[sys.executable, "-c", BARE["onnx"], str(path), str(tokens)] for tokens in TOKENS]
    said = [subprocess.run(one, check=True, capture_output=True, text=True).stdout for one in argv]
    return [median(sorted(json.loads(samples))) for samples in said]


def _eager(model: Path, task: str) -> list[float]:
    head = "AutoModel" if task == "feature-extraction" else "AutoModelForSequenceClassification"
    argv = [sys.executable, str(Path(__file__).parent / "eager.py"), str(model), "--head", head, "--runs", "30"]
    done = subprocess.run([*argv, "--tokens", "16,128"], check=True, capture_output=True, text=True)
    return [row["median_ms"] for row in json.loads(done.stdout)["rows"]]


def _floors(model: Path) -> dict[str, Any]:
    """What the matrix products alone would take at this machine's measured peaks, in milliseconds."""
    config, peaks = json.loads((model / "config.json").read_text()), roofline(1)
    found: dict[str, Any] = {"fp32_gmac_s": peaks.fp32_gmac_s, "int8_gmac_s": peaks.int8_gmac_s}
    for tokens in TOKENS:
        layers, scores = encoder_macs(config, tokens) or (0, 0)
        for precision in ("fp32", "int8"):
            bound = peaks.bound_ms(layers=layers, scores=scores, weight_bytes=0, integer=precision == "int8")
            found[f"{precision}_{tokens}_ms"] = bound
    return found


def _floor_words(rows: list[dict], floors: dict[str, Any]) -> str:
    took = {row["side"]: row["median_128_ms"] for row in rows}
    single, least = floors["fp32_128_ms"], floors["int8_128_ms"]
    lines = [
        "",
        f"Peaks here, one thread: {floors['fp32_gmac_s']:.0f} GMAC/s fp32, {floors['int8_gmac_s']:.0f} int8.",
        "At 128 tokens the matrix products alone, at these peaks and with nothing around them, take",
        f"{single:.1f} ms in fp32 and {least:.1f} ms in int8, attention's own products being float: no int8 artifact",
        f"can take less than {least / took['Optimum int8']:.2f} of Optimum's time",
        f"or {least / took['eager']:.2f} of eager's.",
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, samples: dict[str, list[list[float]]], size_bytes: int | None) -> dict:
    row = {"side": name, "size_bytes": size_bytes, "n": len(samples[name])}
    for at, tokens in enumerate(TOKENS):
        mine = [sample[at] for sample in samples[name]]
        row[f"median_{tokens}_ms"] = median(sorted(mine))
        for peer in ("Optimum int8", "eager"):
            found = compare([[one] for one in mine], [[sample[at]] for sample in samples[peer]])
            key = f"to_{peer.split()[0].lower()}_{tokens}"
            row[key] = {"ratio": found.value, "low": found.low, "high": found.high}
    row["short_to_long"] = row["median_16_ms"] / row["median_128_ms"]
    return row


def _markdown(model: str, rows: list[dict]) -> str:
    lines = [
        "# Formats",
        "",
        f"Made by `tools/formats.py` of {model}: interleaved fresh processes, one thread, batch 1, medians in",
        "milliseconds. Ratios to Optimum's int8 ONNX at 16 and 128 tokens with their 99 % intervals, and to eager",
        "PyTorch; the last column is the time at 16 tokens as a part of that at 128.",
        "",
        "| | size | 16 | 128 | of Optimum, 16 | of Optimum, 128 | of eager, 16 | of eager, 128 | 16 of 128 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        size = f"{row['size_bytes'] / 1e6:.1f} MB" if row["size_bytes"] else "-"
        optimum = " | ".join(_ratio(row[f"to_optimum_{tokens}"]) for tokens in TOKENS)
        eager = " | ".join(f"{row[f'to_eager_{tokens}']['ratio']:.2f}" for tokens in TOKENS)
        times = f"{row['median_16_ms']:.3g} | {row['median_128_ms']:.3g}"
        lines.append(f"| {row['side']} | {size} | {times} | {optimum} | {eager} | {row['short_to_long']:.2f} |")
    return "\n".join(lines) + "\n"


def _ratio(found: dict) -> str:
    return f"{found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


if __name__ == "__main__":
    main()
