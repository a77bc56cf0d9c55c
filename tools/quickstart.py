"""The quickstart after the set-up: build, eval and bench the demo model, compare with eager PyTorch, answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from edgewright.system.interpreter import here

ROOT = Path(__file__).resolve().parent.parent
MODEL = "tools/demo/model"
SENTENCES = "tools/demo/sentences.tsv"
BUNDLE = "build/quickstart/sentiment"
ASKED = (
    "a charming and often affecting journey",
    "The hinge broke on the second day and nobody answers the phone.",
    "Crisp, juicy and perfectly seasoned chicken.",
)


def main() -> None:
    os.chdir(ROOT)
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    _edgewright(
        "build", MODEL, "--out", BUNDLE, "--format", "onnx", "--precision", "fp32,int8", "--data", SENTENCES, "--force"
    )
    lengths = ["--input", SENTENCES, "--tokens", "128"]
    rows = json.loads(_edgewright("bench", BUNDLE, *lengths, "--json", quiet=True))["rows"]
    eager = json.loads(_run([sys.executable, "tools/eager.py", MODEL, *lengths], quiet=True))["rows"]
    print(_table(eager, rows))
    _edgewright("run", BUNDLE, *ASKED)


def _edgewright(*args: str, quiet: bool = False) -> str:
    words = " ".join(f'"{arg}"' if " " in arg else arg for arg in args)
    print(f"\n$ edgewright {words}", flush=True)
    return _run(here("edgewright", *args), quiet=quiet)


def _run(argv: list[str], *, quiet: bool) -> str:
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    if not quiet:
        print(done.stdout, end="", flush=True)
    return done.stdout


def _table(eager: list[dict], rows: list[dict]) -> str:
    """A line per artifact: real length, then 128 tokens, each with its share of the eager model's time."""
    score = rows[0]["score"]
    reference = json.loads(Path(BUNDLE, "manifest.json").read_text())["artifacts"][0]["score"]["reference"]
    heads = [
        "artifact",
        "size",
        score["metric"],
        *(f"ms at {row['tokens']} tokens" for row in eager),
        "load ms",
        "peak MiB",
    ]
    table = [heads, _line(eager, eager, reference)]
    table += [_line(rows[at : at + 2], eager, rows[at]["score"]["value"]) for at in range(0, len(rows), 2)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    text = "\n".join("  ".join(map(str.rjust, row, widths)) for row in table)
    where = f"{score['metric']} on the {score['n']} sentences of {score['data']}"
    return f"\nOne thread, batch 1; {where}; median (share of eager):\n\n{text}"


def _line(rows: list[dict], eager: list[dict], score: float) -> list[str]:
    took = [_share(row["median_ms"], base["median_ms"]) for row, base in zip(rows, eager, strict=True)]
    name, size = f"{rows[0]['format']} {rows[0]['precision']}", f"{rows[0]['size_bytes'] / 1e6:.1f} MB"
    return [name, size, f"{score:.1f} %", *took, f"{rows[0]['load_ms']:.0f}", f"{rows[0]['peak_rss_mib']:.0f}"]


def _share(took_ms: float, eager_ms: float) -> str:
    return f"{took_ms:.2f} ({took_ms / eager_ms:.0%})"


if __name__ == "__main__":
    main()
