"""What a device without Python writes held against Python here: `tools/native_writing.py [CPU...]`.

A bundle of ../shared's stories260K is flashed to emulated boards, by default a Cortex-A53, A72 and A76, with a runner
compiled for them and the engine of their wheel. Asked are greedy tokens after five prompts, chosen here from the
logits that come back, and by the runner alone. docs/boards.md has the last result.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
PROMPTS = ("", "Once upon a time", "The old man said", "Lily had a red ball. One day", "then " * 20)
NEW = 60
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tests")]

from native import compiled  # noqa: E402
from test_without_python import Shelled  # noqa: E402

import edgewright  # noqa: E402
from edgewright.boards.flash import flash  # noqa: E402
from edgewright.boards.native.commands import native_release  # noqa: E402
from edgewright.devices._emulation.boards import emulated  # noqa: E402
from edgewright.devices._native.board import NativeBoard  # noqa: E402
from edgewright.devices.qemu import Qemu  # noqa: E402


def unlike(board: NativeBoard, bundle: Path, precision: str, scratch: Path) -> list[str]:
    """The prompts after which other tokens come there."""
    bad = []
    scratch.mkdir()
    _, release = native_release(board, bundle, scratch)
    (artifact,) = release.artifacts(None, precision)
    with (
        edgewright.load(bundle, precision=precision, careful=False) as here,
        release.start(artifact, 1) as talk,
        release.generator(artifact, talk, threads=1) as there,
    ):
        options = here.options(max_new_tokens=NEW, ignore_end=True)
        for prompt in PROMPTS:
            ids = here.ids(prompt)
            wanted = list(here.write(ids, options))
            alone = release.opened(talk).write(ids, 1, NEW - 1).tokens
            there.session.rewind(0)  # the runner's own writing went over the cache
            chosen = list(there.write(ids, options))
            for way, found in (("chosen here", chosen), ("alone", list(alone))):
                if found != wanted:
                    at = next(i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
                    bad.append(f"{prompt[:20]!r} {way}, from token {at}")
    return bad


def main() -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        bundle, source = scratch / "stories", DATA.parent / "models" / "stories260K" / "stories260K.bin"
        asked = {"formats": ["tflite"], "precisions": ["fp32", "int8"], "allow_divergence": True}
        edgewright.build(source, task="text-generation", out=bundle, progress=lambda _: None, **asked)
        runner = compiled(scratch / "run", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
        for cpu in sys.argv[1:] or ("cortex-a53", "cortex-a72", "cortex-a76"):
            if not emulated(cpu).made_of():
                Qemu.prepare(cpu)
            spot = emulated(cpu)
            library = spot.cache / spot.made_of()["userland"] / "wheels" / "ai_edge_litert" / "libLiteRt.so"
            given = {"runner": str(runner), "engine": str(library)}
            board = NativeBoard.over(Shelled(cpu), root=str(scratch / cpu), **given)
            assert board is not None  # noqa: S101 - a runner was given
            done = flash(bundle, board)
            replayed = [f"{row['format']}/{row['precision']} {row['golden']}" for row in done.rows]
            print(f"{cpu}: golden {', '.join(replayed)}", flush=True)
            for precision in ("fp32", "int8"):
                bad = unlike(board, bundle, precision, scratch / f"{cpu}-{precision}")
                wrong += len(bad)
                print(
                    f"{cpu} {precision}: {len(bad)} of {2 * len(PROMPTS)} answers differ", *bad, sep="\n  ", flush=True
                )
            board.close()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
