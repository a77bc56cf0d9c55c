"""Writes sdk/boards/wheel_hashes.json: SHA-256 of every wheel that `flash --install` may send, as the index has it.

Asked of pip for each platform, which reads the index and downloads no wheel.

    python tools/wheel_hashes.py
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from edgewright.boards.wheels import ENGINES, MACHINES, PYTHONS, Platform, requirements

OUT = Path(__file__).parents[1] / "sdk/boards/wheel_hashes.json"
GLIBCS = ("2.17", "2.27", "2.28", "2.31", "2.34", "2.35", "2.36", "2.39", "2.41")
"""Of the systems on boards, and those at which wheels of these packages begin."""


def found(wanted: tuple[str, ...], platform: Platform) -> dict[str, str]:
    """The wheels that pip chooses, by their names; none of a requirement that has none for the platform."""
    rows: dict[str, str] = {}
    for one in wanted:
        with tempfile.TemporaryDirectory() as scratch:
            words = [
                "--dry-run",
                "--ignore-installed",
                "--no-deps",
                "--target",
                scratch,
                "--report",
                f"{scratch}/report",
            ]
            argv = [sys.executable, "-m", "pip", "install", "--quiet", *words, *platform.words(), one]
            if subprocess.run(argv, check=False, capture_output=True).returncode == 0:
                report = json.loads(Path(scratch, "report").read_text())
                for entry in report["install"]:
                    info = entry["download_info"]
                    rows[info["url"].rpartition("/")[2]] = info["archive_info"]["hashes"]["sha256"]
    return rows


def main() -> None:
    rows: dict[str, str] = {}
    for python in PYTHONS:
        for machine in MACHINES:
            for glibc in GLIBCS:
                rows |= found(requirements(ENGINES, python), Platform(python, machine, glibc))
                print(python, machine, glibc, len(rows), flush=True)
    OUT.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
