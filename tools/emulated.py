"""Hold the demo model against emulated Raspberry Pis: golden cases, accuracy, instruction counts.

    python tools/emulated.py BUNDLE DATA

BUNDLE holds the model's int8 artifacts in ONNX and TFLite; DATA is a table of labelled sentences, such as SST-2's dev
set, of which the first 200 are taken. The tokens that are counted are those of a tiny decoder of the tests, built for
each board. Writes docs/emulated.md and tests/devices/counts.json; ends with 1 where an accuracy is more than half a
point from this machine's, or two counts of one inference differ by more than 1 %, of one token by more than 3 %.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgewright as ew
from edgewright.boards.connect import connect
from edgewright.boards.instructions import count_instructions
from edgewright.bundle.bundle import Bundle
from edgewright.devices._emulation.boards import CPUS
from edgewright.devices.qemu import Qemu
from edgewright.system.interpreter import there
from edgewright.system.machine import model

if TYPE_CHECKING:
    from edgewright.contracts.transport import Transport

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from llama2c import llama2c  # noqa: E402

SENTENCES = 200
TOKENS, PASTS = (16, 128), (8, 48)
MOST_POINTS, MOST_SPREAD, MOST_SPREAD_OF_TOKENS = 0.5, 0.01, 0.03
BOARDS = {"cortex-a53": "raspberry-pi-3b-plus", "cortex-a72": "raspberry-pi-4", "cortex-a76": "raspberry-pi-5"}
"""Of each CPU the profile that a decoder is built for: it decides how bytes are multiplied."""


def main() -> None:
    bundle, data = Bundle.open(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        some = Path(scratch, "some.tsv")
        some.write_text("".join(data.read_text().splitlines(keepends=True)[: SENTENCES + 1]))
        here = answers(connect("local"), bundle, some)
        boards = {cpu: answers(prepared(cpu), bundle, some) for cpu in CPUS}
        counts = {cpu: counted(bundle, cpu, TOKENS) for cpu in CPUS}
        checkpoint = llama2c(Path(scratch))
        written = {cpu: counted(decoder(checkpoint, cpu), cpu, PASTS) for cpu in CPUS}
    rows, tokens = ([row for cpu in CPUS for row, _ in found[cpu]] for found in (counts, written))
    record = {"qemu": qemu_version(), "rows": rows, "tokens": tokens}
    (ROOT / "tests" / "devices" / "counts.json").write_text(json.dumps(record, indent=1) + "\n")
    (ROOT / "docs" / "emulated.md").write_text("\n".join(page(here, boards, counts, written, data.name)) + "\n")
    sys.exit(any(problems(here, boards, counts, written)))


def decoder(checkpoint: Path, cpu: str) -> Bundle:
    """The tiny decoder, for the board of a CPU."""
    return ew.build(
        checkpoint,
        out=checkpoint.parent / cpu,
        formats=("onnx", "tflite"),
        precisions=("int8",),
        device=BOARDS[cpu],
        allow_divergence=True,
    )


def prepared(cpu: str) -> Transport:
    return Qemu.prepare(cpu, progress=lambda phrase: print(f"{cpu}: {phrase}", file=sys.stderr))


def asked(transport: Transport, *words: str) -> list[dict[str, Any]]:
    """The rows that a command of the device's own edgewright prints."""
    print(transport.python, *words, file=sys.stderr)
    done = transport.run(there(transport.python, "edgewright", *words, "--json"), timeout_s=1800)
    if done.exit_code:
        sys.exit(done.stderr.decode())
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return [row for row in rows if row["precision"] == "int8"]


def answers(transport: Transport, bundle: Bundle, data: Path) -> dict[str, dict[str, Any]]:
    """Golden cases and accuracy of each int8 artifact, by format."""
    where = str(bundle.directory.resolve())
    golden = asked(transport, "verify", where)
    scores = asked(transport, "eval", where, "--data", str(data), "--precision", "int8")
    both = zip(golden, scores, strict=True)
    return {one["format"]: {**one, "score": other["score"]} for one, other in both}


def counted(bundle: Bundle, cpu: str, tokens: tuple[int, ...]) -> list[tuple[dict[str, Any], float]]:
    """A row for each int8 artifact and length, and how far a second count is from the first."""
    print(f"count on {cpu}", file=sys.stderr)
    first, again = (count_instructions(bundle, Qemu(cpu), tokens=tokens, precision="int8") for _ in range(2))
    rows = []
    for one, other in zip(first, again, strict=True):
        row = {"cpu": cpu, **one.row()}
        rows.append((row, abs(other.tally.instructions / one.tally.instructions - 1)))
    return rows


def qemu_version() -> str:
    done = subprocess.run(["qemu-aarch64", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].partition(" version ")[2]


def problems(here: Any, boards: Any, counts: Any, written: Any) -> list[str]:
    far = [
        f"{cpu} {name}: {row['score']['value']} %, here {here[name]['score']['value']} %"
        for cpu, rows in boards.items()
        for name, row in rows.items()
        if abs(row["score"]["value"] - here[name]["score"]["value"]) > MOST_POINTS
    ]
    spread = [
        f"{cpu}: two counts differ by {share:.2%}"
        for found, most in ((counts, MOST_SPREAD), (written, MOST_SPREAD_OF_TOKENS))
        for cpu in found
        for _, share in found[cpu]
        if share > most
    ]
    for line in (*far, *spread):
        print(line, file=sys.stderr)
    return [*far, *spread]


def page(here: Any, boards: Any, counts: Any, written: Any, data: str) -> list[str]:
    lines = [
        "# Emulated boards",
        "",
        "Written by `tools/emulated.py`; do not edit. No row of this page was taken on a board: an emulated user-land",
        f"(qemu {qemu_version()}) runs the engines' own aarch64 wheels as the CPU that is named.",
        "What is shown is what it answers, and how many instructions it takes. Those are no time, and none is given.",
        "",
        f"The demo model, int8. This machine: {model()}, {platform.machine()}.",
        "",
        "## Answers",
        "",
        f"Golden cases replayed there, and accuracy on the first {SENTENCES} sentences of `{data}`, there and here.",
        "",
        "| CPU | board | format | engine | golden cases | largest difference | accuracy | here |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cpu, rows in boards.items():
        lines += [
            f"| {cpu} | {CPUS[cpu].board} | {name} | {row['engine']} | {row['golden']} | {row['max_abs']:.1e} "
            f"| {row['score']['value']:.1f} % | {here[name]['score']['value']:.1f} % |"
            for name, row in rows.items()
        ]
    lines += [
        "",
        "## Instructions of one inference",
        "",
        "One thread, between two marks around `Session.run`, the third inference. A dot product is 16 int8 products,",
        "a multiply-add 4 float ones. The last column is how far a second process's count was from the first's.",
        *table(counts, "tokens"),
        "",
        "## Instructions of one token",
        "",
        "A tiny decoder of the tests at int8, built for the board of each CPU, which decides how bytes are multiplied.",
        "The token is written after so many others. So small a model shows what an engine does around its products.",
        *table(written, "after"),
    ]
    return lines


def table(counts: Any, tokens: str) -> list[str]:
    """The lines of a table of counts, whose column of tokens has that name."""
    return [
        "",
        f"| CPU | format | engine | {tokens} | instructions | dot products | multiply-adds | again |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row['cpu']} | {row['format']} | {row['engine']} {row['engine_version']} | {row['tokens']} "
            f"| {row['instructions']:,} | {row['dot_products']:,} | {row['multiply_adds']:,} | {share:.3%} |"
            for cpu in counts
            for row, share in counts[cpu]
        ),
    ]


if __name__ == "__main__":
    main()
