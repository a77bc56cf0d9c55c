"""Sixty texts of tiny encoder-decoders in every format, token by token beside transformers' own `generate`.

    .venv/bin/python tools/translation_formats.py [FORMAT ...]

Random weights of the tests' Marian, T5 1.0 and T5 1.1 at fp32: greedy, with 4 beams, and with 6 that stop early; and
whether a batch of twenty has the tokens of each text alone. docs/translation.md has the last result.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import translators

from edgewright.generation.beams import Search, write

FORMATS = ("onnx", "tflite", "executorch", "torchscript")
TEXTS, BATCH, MOST = 60, 20, 40
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"num_beams": 1},
    "4 beams": {"num_beams": 4},
    "6 beams, early": {"num_beams": 6, "early_stopping": True, "length_penalty": 0.6},
}


def held(made_as: str, kind: str) -> None:
    """Print what came of one model in one format."""
    with tempfile.TemporaryDirectory() as scratch:
        begin = time.process_time()
        opened = translators.opened(scratch, kind, count=TEXTS, made_as=made_as)
        print(f"{made_as}, {kind}: made and opened in {time.process_time() - begin:.1f} s of the processor", flush=True)
        for name, way in WAYS.items():
            wanted = translators.generated(opened.eager, opened.sources, max_new_tokens=MOST, **way)
            search = Search(max_new_tokens=MOST, **way)
            found = [write(opened.model, [source], search, opened.rules)[0].tokens for source in opened.sources]
            same = sum(list(one) == other for one, other in zip(found, wanted.tokens, strict=True))
            batch = [one.tokens for one in write(opened.model, opened.sources[:BATCH], search, opened.rules)]
            together = sum(one == other for one, other in zip(batch, found[:BATCH], strict=True))
            print(f"  {name}: {same} of {TEXTS}; in a batch as alone {together} of {BATCH}", flush=True)
        opened.model.close()


def main() -> None:
    """All formats, or those that are named."""
    for made_as in sys.argv[1:] or FORMATS:
        for kind in translators.KINDS:
            held(made_as, kind)


if __name__ == "__main__":
    main()
