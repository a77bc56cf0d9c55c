"""Kills flashes at random moments, 30 times a side and a way by default, and writes what was lost into docs/faults.md.

    python tools/flash_fire.py [KILLS] [SEED]

The ways are a real sshd, a real adbd and this machine; see `tests/flash_world.py`. The bundles are the demo's.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]
PAGE = ROOT / "docs/faults.md"
BEGIN, END = "<!-- flashes under fire -->\n", "<!-- end -->\n"


def main() -> None:
    from flash_ways import of_adb, of_ssh, on_this_machine, three
    from flash_world import ACTS, campaign

    kills, seed = ([int(word) for word in sys.argv[1:]] + [30, 1][len(sys.argv) - 1 :])[:2]
    rows, lost, began = [], [], time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flash-fire-")))
        argv = [sys.executable, "-m", "edgewright", "build", ROOT / "tools/demo/model", "--out", folder / "demo"]
        argv += ["--format", "onnx", "--precision", "int8", "--quiet"]
        subprocess.run([*map(str, argv)], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        bundles = three(folder / "demo", folder)
        for make in (on_this_machine, of_ssh, of_adb):
            way = stack.enter_context(make(folder))
            for side, found in campaign(way, bundles, folder / way.name / "board", kills, seed).items():
                each = ", ".join(f"{act.name} {found.kills[act.name]}" for act in ACTS)
                rows.append(f"| {way.name} | {side} | {found.kills.total()} | {each} | {len(found.losses)} |")
                lost += found.losses
                print(rows[-1], *found.losses, sep="\n", flush=True)
    minutes = (time.monotonic() - began) / 60
    head = ["| way | killed | kills | at | losses |", "|---|---|---:|---|---:|"]
    words = f"Written by `tools/flash_fire.py`, seed {seed}, in {minutes:.0f} minutes, through the command line."
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n".join([words, "", *head, *rows, ""]) + END + after)
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
