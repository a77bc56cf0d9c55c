"""The quickstart after the set-up: build and measure the demo model with eager PyTorch in turn, answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import eager

from edgewright.bundle.bundle import Bundle
from edgewright.data.rows import texts
from edgewright.measure.bench import measured, targets_of
from edgewright.measure.plan import Plan
from edgewright.system.interpreter import here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.measure.rows import Row

ROOT = Path(__file__).resolve().parent.parent
MODEL = "tools/demo/model"
SENTENCES = "tools/demo/sentences.tsv"
BUNDLE = "build/quickstart/sentiment"
ASKED = (
    "a charming and often affecting journey",
    "The hinge broke on the second day and nobody answers the phone.",
    "Crisp, juicy and perfectly seasoned chicken.",
)
TIMES = 3
"""How often is measured before the machine is said to be busy: a minute each."""


def main() -> None:
    os.chdir(ROOT)
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    build = ("build", MODEL, "--out", BUNDLE, "--format", "onnx", "--precision", "fp32,int8", "--data", SENTENCES)
    _edgewright(*build, "--force")
    print("\nNow the artifacts and the eager model, in turn, in five fresh processes each:", flush=True)
    print(table(sound(Bundle.open(BUNDLE))), flush=True)
    _edgewright("run", BUNDLE, *ASKED)


def _edgewright(*args: str) -> None:
    words = " ".join(f'"{arg}"' if " " in arg else arg for arg in args)
    print(f"\n$ edgewright {words}", flush=True)
    done = subprocess.run(here("edgewright", *args), check=False)
    if done.returncode:
        sys.exit(done.returncode)


def sound(bundle: Bundle) -> list[list[Row]]:
    """The rows of the eager model and of each artifact; measured again while one of them is void."""
    plan = Plan(tokens=(128,), texts=tuple(texts(SENTENCES)), data=Path(SENTENCES).name)
    targets = [eager.target(bundle, MODEL), *targets_of(bundle, plan, None, None)]
    for time in range(1, TIMES + 1):
        took = measured(targets, plan, lambda words: print(f"  {words}", file=sys.stderr))
        found = took.rows
        if not all(found):
            sys.exit(took.problems[0])
        void = [row for rows in found for row in rows if row.void]
        if not void:
            break
        print(f"{len(void)} rows are void ({void[0].reasons[0]})", "measure again" * (time < TIMES), file=sys.stderr)
    return found


def table(found: Sequence[Sequence[Row]]) -> str:
    """A line per side: real length, then 128 tokens, each with its share of the eager model's time."""
    base, score = found[0], found[0][0].artifact.score
    lengths = [f"ms at {row.tokens} tokens" for row in base]
    lines = [
        ["artifact", "size", score.metric, *lengths, "load ms", "peak MiB"],
        *(_line(rows, base) for rows in found),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)
    where = f"{score.metric} on the {score.n} sentences of {score.data}"
    every = sorted(reason for rows in found for row in rows if row.void for reason in row.reasons)
    reasons = {re.sub(r"[-+\d.]+", "", reason): reason for reason in every}.values()  # one of each kind
    busy = f"\n\nvoid: {'; '.join(reasons)}. Measure again when nothing else runs here." if reasons else ""
    return f"\nOne thread, batch 1; {where}; median (share of eager):\n\n{text}{busy}"


def _line(rows: Sequence[Row], base: Sequence[Row]) -> list[str]:
    took = [_share(row, other) for row, other in zip(rows, base, strict=True)]
    artifact, load = rows[0].artifact, "void" if rows[0].void else f"{rows[0].startup.load_ms:.0f}"
    size = f"{artifact.total_bytes / 1e6:.1f} MB"
    score = f"{artifact.score.value:.1f} %"
    return [f"{artifact.format} {artifact.precision}", size, score, *took, load, f"{rows[0].peak_rss_mib:.0f}"]


def _share(row: Row, base: Row) -> str:
    if row.void:
        return "void"
    took = row.latency_ms.median
    return f"{took:.2f}" + (" (void)" if base.void else f" ({took / base.latency_ms.median:.0%})")


if __name__ == "__main__":
    main()
