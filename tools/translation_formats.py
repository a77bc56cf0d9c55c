"""Sixty texts of tiny encoder-decoders in every format, token by token beside transformers' own `generate`.

    .venv/bin/python tools/translation_formats.py [--int8] [FORMAT ...]

Random weights of the tests' Marian, T5 1.0 and T5 1.1 at fp32 or int8, and how far a step's logits are from the eager
model's: greedy, with 4 beams, and with 6 that stop early; and
whether a batch of twenty has the tokens of each text alone. docs/translation.md has the last result.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import translators

from edgewright.generation.beams import Search, write

FORMATS = ("onnx", "tflite", "executorch", "torchscript")
TEXTS, BATCH, MOST = 60, 20, 40
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"num_beams": 1},
    "4 beams": {"num_beams": 4},
    "6 beams, early": {"num_beams": 6, "early_stopping": True, "length_penalty": 0.6},
}


def noise(opened: Any) -> float:
    """The SQNR of the logits of a dozen tokens by chance behind a source, in dB."""
    import torch

    target = [opened.rules.start, *np.random.default_rng(3).integers(3, opened.model.vocabulary, 11).tolist()]
    with torch.inference_mode():
        given = {"input_ids": torch.tensor([opened.sources[0]]), "decoder_input_ids": torch.tensor([target])}
        wanted = opened.eager(**given).logits[0].numpy()
    opened.model.begin([opened.sources[0]])
    found = np.array([opened.model.step([token])[0].copy() for token in target])
    return float(20 * np.log10(wanted.std() / (found - wanted).std()))


def held(made_as: str, kind: str, precision: str) -> None:
    """Print what came of one model in one format."""
    with tempfile.TemporaryDirectory() as scratch:
        begin = time.process_time()
        opened = translators.opened(scratch, kind, count=TEXTS, made_as=made_as, precision=precision)
        took = time.process_time() - begin
        print(f"{made_as} {precision}, {kind}: made and opened in {took:.1f} s, {noise(opened):.1f} dB", flush=True)
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
    for made_as in [word for word in sys.argv[1:] if word != "--int8"] or FORMATS:
        for kind in translators.KINDS:
            held(made_as, kind, "int8" if "--int8" in sys.argv else "fp32")


if __name__ == "__main__":
    main()
