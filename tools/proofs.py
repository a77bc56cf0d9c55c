"""Runs the tests marked `heavy`, which `tools/test` leaves out, and writes what came of each into docs/proofs.md.

    tools/proofs [PYTEST ARGUMENT ...]

With arguments a part runs, and the other lines of the page stay as they are. The exit code is pytest's.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgewright.system import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/proofs.md"
WORKERS = 2
"""Files at a time: many wait for an emulator, and the others need a core each."""
INTRODUCTION = """\
# Heavier proofs

Written by `tools/proofs`; do not edit. These tests prove what the others prove too, of larger things or by another way,
and cost more than each change can pay: `tools/test` leaves them out, and a release passes them. They lie beside the
others, marked `heavy`. Two files ran at a time.
"""


class Kept:
    """What came of each test, as pytest reports it: its worst result, and the seconds of all its parts."""

    def __init__(self) -> None:
        self.results: dict[str, str] = {}
        self.took_s: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a report of a test's beginning, of the test or of its end."""
        known = self.results.get(report.nodeid, "passed")
        self.results[report.nodeid] = known if report.outcome == "passed" else report.outcome
        self.took_s[report.nodeid] = self.took_s.get(report.nodeid, 0.0) + report.duration

    def page(self, before: str = "") -> str:
        """The page in Markdown, with the lines of the page `before` for what has not run."""
        on = f"{time.strftime('%Y-%m-%d')}, {machine.model()}"
        lines = {key(line): line for line in before.splitlines() if line.startswith("| ") and "`tests/" in line}
        for test, result in self.results.items():
            where, name = test.split("::", 1)
            sentence = name.removeprefix("test_").replace("_", " ")
            line = f"| {sentence} | `{where}` | {result} | {self.took_s[test]:.0f} | {on} |"
            lines[key(line)] = line
        table = ["| proof | in | result | s | on |", "|---|---|---|---|---|", *(lines[one] for one in sorted(lines))]
        return "\n".join([INTRODUCTION, *table]) + "\n"


def key(line: str) -> tuple[str, ...]:
    """What a line of the page is sorted by and known by: where the proof lies, and which it is."""
    sentence, where, *_ = line.strip("| ").split(" | ")
    return where, sentence


def main(arguments: Sequence[str]) -> int:
    """Run what is asked, and write the page."""
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TEST_BUNDLES"], kept = scratch, Kept()
        wanted = ["-m", "heavy", "-n", str(WORKERS), "--dist", "loadfile", *arguments]
        code = pytest.main(wanted, plugins=[kept])
    PAGE.write_text(kept.page(PAGE.read_text() if arguments and PAGE.exists() else ""))
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
