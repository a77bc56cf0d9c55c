"""The support matrix: architecture x task x format x precision, each cell built and gated, or a gap with its reason.

The models are tiny and random, with trained tokenizers and matrices large enough that an error shows; what happens to
real weights is for the tests. Times are those of this machine under whatever else it did: they compare, no more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tiny_models

from edgewright import build, registry
from edgewright.builder.support import gap
from edgewright.bundle.bundle import Bundle
from edgewright.contracts.precision import PRECISIONS
from edgewright.errors import EdgewrightError

ROOT = Path(__file__).parents[1]
FORMATS = ("onnx", "ort", "tflite", "executorch", "torchscript")
WIDE = ("bert", "roberta")
"""Architectures that are tried with every task; the others with text classification."""


@dataclass
class Stopwatch:
    """How long each precision took to convert, from the phrases that a build reports."""

    seconds: dict[str, float] = field(default_factory=dict)
    running: str = ""
    since: float = 0.0

    def __call__(self, phrase: str) -> None:
        """Take a phrase; the time until the next one belongs to it."""
        now = time.monotonic()
        if self.running:
            self.seconds[self.running] = self.seconds.get(self.running, 0.0) + now - self.since
        head, _, stage = phrase.partition(": ")
        converting = len(head.split()) == 2 and not stage.startswith("gate")
        self.running, self.since = head.split()[1] if converting else "", now


def cells(args: argparse.Namespace) -> list[tuple[str, str]]:
    """(architecture, task) in the order of the table."""
    tasks = [task for task in tiny_models.HEADS if task in (args.task or tiny_models.HEADS)]
    wide = args.architecture or WIDE
    return [
        (architecture, task)
        for architecture in args.architecture or tiny_models.ARCHITECTURES
        for task in tasks
        if task == "text-classification" or (architecture in WIDE and architecture in wide)
    ]


def rows_of(architecture: str, task: str, args: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """Every format and precision of one model."""
    model = scratch / f"{architecture}-{task}"
    tiny_models.make(architecture, task, model)
    rows = []
    for name in args.format or FORMATS:
        common = {"architecture": architecture, "task": task, "format": name}
        found = {p: gap(name, p, model_type=architecture, task=task) for p in args.precision or PRECISIONS}
        made = _made(model, name, [p for p, hole in found.items() if not hole], scratch / f"{model.name}-{name}")
        for precision, hole in found.items():
            status = f"unsupported: {hole.reason}" if hole else "ok" if "size_bytes" in made[precision] else "failed"
            rows.append({**common, "precision": precision, "status": status, **made.get(precision, {})})
    return rows


def _made(model: Path, name: str, precisions: list[str], out: Path) -> dict[str, dict[str, Any]]:
    """Per precision what its artifact is, or what the build said."""
    if not precisions:
        return {}
    watch, error = Stopwatch(), ""
    try:
        build(model, out=out, formats=[name], precisions=precisions, progress=watch)
    except EdgewrightError as failure:
        error = str(failure)
    artifacts = {a.precision: a for a in Bundle.open(out).manifest.artifacts} if out.is_dir() else {}
    return {
        p: _facts(artifacts[p], watch.seconds.get(p, 0.0)) if p in artifacts else {"error": error} for p in precisions
    }


def _facts(artifact: Any, seconds: float) -> dict[str, Any]:
    parity = artifact.parity
    return {
        "sqnr_db": parity.sqnr_db,
        "cosine": parity.cosine,
        "max_abs": parity.max_abs,
        "top1": parity.top1,
        "float_operators": list(artifact.float_operators),
        "size_bytes": artifact.size_bytes,
        "convert_s": round(seconds, 1),
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """One table per format: a line per model, a column per precision, and the reasons of the gaps below."""
    lines = ["# What converts", "", __doc__.split("\n\n")[1].replace("\n", " "), ""]
    lines += ["A cell shows the signal to quantization noise ratio in dB over the project's texts, and the size;"]
    lines += ["a dash is a gap, whose reason stands below, and an empty cell has not been run.", ""]
    for name in dict.fromkeys(row["format"] for row in rows):
        mine = [row for row in rows if row["format"] == name]
        precisions = list(dict.fromkeys(row["precision"] for row in mine))
        lines += [
            f"## {name}",
            "",
            f"| model | task | {' | '.join(precisions)} |",
            "|---" * (2 + len(precisions)) + "|",
        ]
        for model in dict.fromkeys((row["architecture"], row["task"]) for row in mine):
            cells = {row["precision"]: _cell(row) for row in mine if (row["architecture"], row["task"]) == model}
            lines.append(f"| {' | '.join([*model, *(cells.get(p, '') for p in precisions)])} |")
        reasons = dict.fromkeys(row["status"] for row in mine if row["status"].startswith("unsupported"))
        lines += ["", *(f"- {reason}" for reason in reasons), ""]
    return "\n".join(lines).rstrip() + "\n"


def _cell(row: dict[str, Any]) -> str:
    if row["status"] == "ok":
        return f"{row['sqnr_db']:.0f} dB, {row['size_bytes'] / 1000:.0f} kB"
    return "-" if row["status"].startswith("unsupported") else row["status"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, every in (
        ("architecture", tiny_models.ARCHITECTURES),
        ("task", tiny_models.HEADS),
        ("format", registry.names("converters")),
        ("precision", PRECISIONS),
    ):
        parser.add_argument(f"--{name}", type=lambda given: given.split(","), help=f"of {', '.join(every)}")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where matrix.json and matrix.md are kept")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for architecture, task in cells(args):
            rows += rows_of(architecture, task, args, Path(scratch))
            print(_summary(architecture, task, rows), file=sys.stderr, flush=True)
            _write(rows, args.out)
    failed = [row for row in rows if row["status"] == "failed"]
    for row in failed:
        print(
            f"{row['architecture']} {row['task']} {row['format']}/{row['precision']}: {row['error']}", file=sys.stderr
        )
    return 1 if failed else 0


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    """Put rows into the table, where they replace those of the same cells; the others stay."""
    path = out / "matrix.json"
    before = json.loads(path.read_text())["rows"] if path.is_file() else []
    table = {_cell_of(row): row for row in [*before, *rows]}
    places = [list(tiny_models.ARCHITECTURES), list(tiny_models.HEADS), list(FORMATS), list(PRECISIONS)]
    merged = sorted(table.values(), key=lambda row: [p.index(k) for p, k in zip(places, _cell_of(row), strict=True)])
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"rows": merged}, indent=1) + "\n")
    (out / "matrix.md").write_text(markdown(merged))


def _cell_of(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("architecture", "task", "format", "precision"))


def _summary(architecture: str, task: str, rows: list[dict[str, Any]]) -> str:
    mine = [
        row["status"].partition(":")[0] for row in rows if (row["architecture"], row["task"]) == (architecture, task)
    ]
    counts = ", ".join(f"{mine.count(status)} {status}" for status in dict.fromkeys(mine))
    return f"{architecture} {task}: {counts}"


if __name__ == "__main__":
    sys.exit(main())
