"""Gives every reader of the product bad inputs, 100,000 by default, and writes docs/fire.md with what came of them.

    python tools/fire.py [COUNT] [FIRST_SEED]

A fault is named with its reader and seed; the same seed gives the same input again:

    FIRE_EACH=1 FIRE_FIRST=SEED python -m pytest tests/fire -k READER
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/fire")]
FIRST = 1000
"""The gate has the seeds below."""
INTRODUCTION = """\
# Under fire

Written by `tools/fire.py`; the gate gives every reader a part of it (`tests/fire`). Each input is a good one that was
spoiled: bits, cuts, repeated keys, huge numbers, nesting, wrong types, tricks with paths and characters, links, pipes,
devices, holes and bombs. It has to be taken, or to be refused by one error with an exit code from 2 to 6, within 10 s
and 1 GiB, and nothing may be written outside.
"""


def main() -> None:
    from readers import READERS

    count, first = ([int(word) for word in sys.argv[1:]] + [100_000, FIRST][len(sys.argv) - 1 :])[:2]
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        told = {"FIRE_EACH": str(-(-count // len(READERS))), "FIRE_FIRST": str(first), "FIRE_OUT": out}
        argv = [
            sys.executable,
            "-m",
            "pytest",
            "tests/fire",
            "-q",
            "-n",
            "2",
            "--dist",
            "worksteal",
            "-p",
            "no:cacheprovider",
        ]
        subprocess.run(argv, cwd=ROOT, env={**os.environ, **told}, check=False)
        found = {path.name: json.loads(path.read_text()) for path in sorted(Path(out).iterdir())}
    (ROOT / "docs/fire.md").write_text(page(found, first, time.monotonic() - begin))
    sys.exit(bool(set(READERS) - set(found)) or any(one["faults"] for one in found.values()))


def page(found: dict[str, dict], first: int, seconds: float) -> str:
    """The page: a row for each reader."""
    inputs = {name: one["taken"] + sum(one["refused"].values()) + len(one["faults"]) for name, one in found.items()}
    faults = sum(len(one["faults"]) for one in found.values())
    inputs_all = f"{sum(inputs.values()):,}"
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        f"{inputs_all} inputs, seeds from {first} on, {seconds:,.0f} s: {faults} break these rules.",
        "",
        "| reader | inputs | taken | refused, by error | outside | slowest |",
        "|---|---:|---:|---|---:|---:|",
    ]
    for name, one in found.items():
        errors = ", ".join(
            f"{code} {number:,}" for code, number in sorted(one["refused"].items(), key=lambda item: -item[1])
        )
        facts = (name.replace("_", " "), f"{inputs[name]:,}", f"{one['taken']:,}", errors, str(len(one["faults"])))
        lines.append(f"| {' | '.join(facts)} | {one['slowest_s']:.2f} s |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
