"""The quickstart after the set-up: build, eval and bench the demo model, compare with eager PyTorch, answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = "tools/demo/model"
SENTENCES = "tools/demo/sentences.tsv"
BUNDLE = "build/quickstart/sentiment"
ASKED = (
    "a charming and often affecting journey",
    "The hinge broke on the second day and nobody answers the phone.",
    "I expected little and was wrong: three hours went by like one.",
)


def main() -> None:
    os.chdir(ROOT)
    os.environ["HF_HUB_OFFLINE"] = "1"
    _edgewright(
        "build", MODEL, "--out", BUNDLE, "--format", "onnx", "--precision", "fp32,int8", "--data", SENTENCES, "--force"
    )
    rows = json.loads(_edgewright("bench", BUNDLE, "--input", SENTENCES, "--tokens", "128", "--json", quiet=True))[
        "rows"
    ]
    eager = json.loads(
        _run([sys.executable, "tools/eager.py", MODEL, "--input", SENTENCES, "--tokens", "128"], quiet=True)
    )
    print(_table(eager["rows"], rows))
    _edgewright("run", BUNDLE, *ASKED)


def _edgewright(*args: str, quiet: bool = False) -> str:
    words = " ".join(f'"{arg}"' if " " in arg else arg for arg in args)
    print(f"\n$ edgewright {words}", flush=True)
    return _run([sys.executable, "-m", "edgewright", *args], quiet=quiet)


def _run(argv: list[str], *, quiet: bool) -> str:
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    if not quiet:
        print(done.stdout, end="", flush=True)
    return done.stdout


def _table(eager: list[dict], rows: list[dict]) -> str:
    """A line per artifact, and one for the eager model, whose latency is 1.00 x."""
    real, long = eager
    score = next(row["score"] for row in rows if row["score"])
    base = json.loads(Path(BUNDLE, "manifest.json").read_text())["artifacts"][0]["score"]["reference"]
    lines = [_line("eager PyTorch fp32", real, long, base, real, long)]
    for at in range(0, len(rows), 2):
        ours, longer = rows[at], rows[at + 1]
        lines.append(_line(f"{ours['format']} {ours['precision']}", ours, longer, ours["score"]["value"], real, long))
    names = [
        "artifact",
        "size",
        score["metric"],
        f"ms at {real['tokens']} tokens",
        "",
        "ms at 128 tokens",
        "",
        "load ms",
        "peak MiB",
    ]
    table = [names, *lines]
    widths = [max(len(row[i]) for row in table) for i in range(len(names))]
    text = "\n".join(
        "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in table
    )
    return f"\nOne thread, batch 1, {score['metric']} on {score['n']} labelled sentences of {score['data']}:\n\n{text}"


def _line(name: str, ours: dict, longer: dict, score: float, real: dict, long: dict) -> list[str]:
    return [
        name,
        f"{ours['size_bytes'] / 1e6:.1f} MB",
        f"{score:.1f} %",
        f"{ours['median_ms']:.2f}",
        f"{ours['median_ms'] / real['median_ms']:.2f} x",
        f"{longer['median_ms']:.2f}",
        f"{longer['median_ms'] / long['median_ms']:.2f} x",
        f"{ours['load_ms']:.0f}",
        f"{ours['peak_rss_mib']:.0f}",
    ]


if __name__ == "__main__":
    main()
