"""Every format beside Optimum's int8 ONNX and eager PyTorch: latency at 16 and 128 tokens, and size.

    .venv/bin/python tools/formats.py MODEL_DIR --out docs

One thread, batch 1, fresh processes in turn with each other in one run; ratios have a 99 % interval over processes. The
limit is what the multiply-accumulates take by the machine's own instruction (tools/peaks.c), those of layers in the
precision's and attention's in fp32. Writes formats.json and formats.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agreement import BARE
from peaks import Peaks, best, peaks
from peers_environments import ROOT
from peers_files import Files

from edgewright import build
from edgewright.measure.roofline import encoder_macs
from edgewright.statistics.latency import compare, median
from edgewright.system.interpreter import here
from edgewright.system.machine import model

if TYPE_CHECKING:
    from collections.abc import Callable

WORK = ROOT / "build" / "peers"
TOKENS = (16, 128)
PEERS = ("Optimum", "eager", "limit")
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
    measured = [peaks(WORK, 1)]
    samples = interleave(sides, args.processes, lambda: measured.append(peaks(WORK, 1)))
    most = best(measured)
    limits = _limits(args.model, most)
    rows = [_row(name, samples, artifacts.get(name, {}).get("size_bytes"), limits) for name in sides]
    args.out.mkdir(exist_ok=True)
    (args.out / "formats.json").write_text(
        json.dumps({"rows": rows, "limits": {**most, "ms": limits}}, indent=1) + "\n"
    )
    page = _markdown(args.model.resolve().name, rows) + _limit_words(most, limits)
    (args.out / "formats.md").write_text(page)
    print(page)


def interleave(
    sides: dict[str, Callable[[], list[float]]], turns: int, between: Callable[[], None] = lambda: None
) -> dict[str, list[list[float]]]:
    """What each side says in so many turns, after one that only warms the file cache."""
    samples: dict[str, list[list[float]]] = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, once in sides.items():
            sample = once()
            samples[name] += [sample] if turn else []
        between()
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


def _limits(model: Path, most: Peaks) -> dict[str, dict[int, float]]:
    """What the products alone take at these peaks, in milliseconds, by precision and tokens."""
    config = json.loads((model / "config.json").read_text())
    macs = {tokens: encoder_macs(config, tokens) or (0.0, 0.0) for tokens in TOKENS}
    rates = {
        name: most[f"{name}_gmac_s"] * 1e6 for name in ("fp32", "int8") if most[f"{name}_gmac_s"]
    }  # in a millisecond
    return {
        name: {tokens: layers / rate + scores / rates["fp32"] for tokens, (layers, scores) in macs.items()}
        for name, rate in rates.items()
    }


def _limit_words(most: Peaks, limits: dict[str, dict[int, float]]) -> str:
    rates = ", ".join(f"{most[f'{name}_gmac_s']:.0f} GMAC/s {name}" for name in limits)
    takes = " and ".join(f"{took[128]:.1f} ms in {name}" for name, took in limits.items())
    lines = [
        "",
        f"By its own instruction one thread of this {model()} gives at most {rates} (`tools/peaks.c`).",
        f"At 128 tokens the products alone, with nothing around them, take {takes}, attention's being fp32 in both.",
    ]
    return "\n".join(lines) + "\n"


def _row(
    name: str, samples: dict[str, list[list[float]]], size_bytes: int | None, limits: dict[str, dict[int, float]]
) -> dict:
    row = {"side": name, "size_bytes": size_bytes, "n": len(samples[name])}
    limit = limits.get("int8" if name.endswith("int8") else "fp32")
    for at, tokens in enumerate(TOKENS):
        mine = [sample[at] for sample in samples[name]]
        row[f"median_{tokens}_ms"] = median(sorted(mine))
        row[f"of_limit_{tokens}"] = limit[tokens] / row[f"median_{tokens}_ms"] if limit else None
        for peer in ("Optimum int8", "eager"):
            found = compare([[one] for one in mine], [[sample[at]] for sample in samples[peer]])
            key = f"to_{peer.split()[0].lower()}_{tokens}"
            row[key] = {"ratio": found.value, "low": found.low, "high": found.high}
    return row


def _markdown(model: str, rows: list[dict]) -> str:
    lines = [
        "# Formats",
        "",
        f"Made by `tools/formats.py` of {model}: interleaved fresh processes, one thread, batch 1, medians in",
        "milliseconds. Ratios to Optimum's int8 ONNX at 16 and 128 tokens with their 99 % intervals, and to eager",
        "PyTorch; the rate at 16 and 128 tokens as a part of what the machine's arithmetic gives at most.",
        "",
        "| | size | 16 | 128 | " + " | ".join(f"of {peer}, {tokens}" for peer in PEERS for tokens in TOKENS) + " |",
        "|---|" + "---|" * (3 + len(PEERS) * len(TOKENS)),
    ]
    for row in rows:
        size = f"{row['size_bytes'] / 1e6:.1f} MB" if row["size_bytes"] else "-"
        optimum = " | ".join(_ratio(row[f"to_optimum_{tokens}"]) for tokens in TOKENS)
        eager = " | ".join(f"{row[f'to_eager_{tokens}']['ratio']:.2f}" for tokens in TOKENS)
        times = f"{row['median_16_ms']:.3g} | {row['median_128_ms']:.3g}"
        limit = " | ".join("-" if (part := row[f"of_limit_{tokens}"]) is None else f"{part:.2f}" for tokens in TOKENS)
        lines.append(f"| {row['side']} | {size} | {times} | {optimum} | {eager} | {limit} |")
    return "\n".join(lines) + "\n"


def _ratio(found: dict) -> str:
    return f"{found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


if __name__ == "__main__":
    main()
