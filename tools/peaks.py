"""What the arithmetic of this machine can give at most, by tools/peaks.c."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TypedDict

__all__ = ["Peaks", "best", "peaks"]


class Peaks(TypedDict):
    """Of so many threads together, 10^9 multiply-accumulates a second; 0 where tools/peaks.c knows no instruction."""

    threads: int
    fp32_gmac_s: float
    int8_gmac_s: float


def peaks(work: Path, threads: int) -> Peaks:
    """One measurement, of a program that is compiled into `work`."""
    source, made = Path(__file__).with_suffix(".c"), work / "peaks"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-O2", "-pthread", str(source), "-o", str(made)], check=True)
    found: Peaks = json.loads(subprocess.run([made, str(threads)], capture_output=True, check=True).stdout)
    return found


def best(several: list[Peaks]) -> Peaks:
    """The highest of measurements: what others do on the machine only lowers one."""
    fp32, int8 = (max(one[name] for one in several) for name in ("fp32_gmac_s", "int8_gmac_s"))
    return {"threads": several[0]["threads"], "fp32_gmac_s": fp32, "int8_gmac_s": int8}
