"""A trimmed translator beside the whole one: size, time, scores, and the very same translations.

    .venv/bin/python tools/translation_trimmed.py SOURCE PAIRS OTHERS [SIZE]

SOURCE is a translator's directory, PAIRS a table of a domain's pairs, which says what is kept, OTHERS more of them
in a table; SIZE is how many tokens stay, by default all that the pairs use. Both models are built in ONNX; the first
100 of OTHERS are translated by one thread each, in turn, by the processor's time, and with transformers, where the
whole model is held to the tokens that were kept. All of OTHERS are scored at int8, with the difference's 95 % interval.
docs/translation.md has the last result.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from translation_peer import timed

import edgewright
from edgewright.bundle.bundle import Bundle
from edgewright.compression.chain import compress
from edgewright.data.rows import rows
from edgewright.statistics import translations

SENTENCES, ROUNDS, DRAWS = 100, 5, 1000
WAYS = {"greedy": 1, "4 beams": 4}
KINDS = ("fp32", "int8")
NOTHING = -1e9
"""Of a logit, as transformers has it."""


def equal(source: Path, trimmed: Path, texts: list[str]) -> None:
    """How many translations of the trimmed model are those of the whole one that is held to the same tokens."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    (whole, before), (less, after) = (
        (AutoModelForSeq2SeqLM.from_pretrained(home).eval(), AutoTokenizer.from_pretrained(home))
        for home in (source, trimmed)
    )
    pieces = {piece.removeprefix("\ue000"): at for piece, at in after.get_vocab().items()}
    old = {at: before.get_vocab()[piece] for piece, at in pieces.items()}
    held = torch.full((whole.config.vocab_size,), NOTHING)
    held[list(old.values())] = 0
    whole.get_output_embeddings().register_forward_hook(lambda _, __, logits: logits + held)
    cut = [(before(text)["input_ids"], after(text)["input_ids"]) for text in texts]
    kept = [(a, b) for a, b in cut if {*a} <= {*old.values()}]
    print(f"{len(kept)} of {len(cut)} texts have kept tokens alone, ", end="")
    print(f"{sum([old[at] for at in b] == a for a, b in kept)} of them the same ones", flush=True)
    for way, beams in WAYS.items():
        found = [
            [
                model.generate(torch.tensor([ids]), num_beams=beams, do_sample=False)[0].tolist()
                for model, ids in ((whole, a), (less, b))
            ]
            for a, b in kept
        ]
        same = sum(a == [old[at] for at in b] for a, b in found)
        print(f"transformers, {way}: {same} of {len(kept)} translations are the same", flush=True)


def compared(bundles: dict[str, Path], kind: str, texts: list[str], pairs: list[tuple[str, str]]) -> None:
    """Sizes, times and scores of one precision."""
    opened = {name: edgewright.load(path, precision=kind, threads=1) for name, path in bundles.items()}
    for name, bundle in ((name, Bundle.open(path)) for name, path in bundles.items()):
        (artifact,) = bundle.artifacts("onnx", kind)
        size = sum((bundle.directory / part).stat().st_size for part in bundle.parts(artifact))
        print(f"{kind}, {name}: {size / 1e6:.1f} MB", flush=True)
    for way, beams in WAYS.items():
        works = [partial(one.translate, texts, one.options(num_beams=beams)) for one in opened.values()]
        taken = [[timed(work) / len(texts) for work in works] for _ in range(ROUNDS)]
        a, b = (median(times) for times in zip(*taken, strict=True))
        print(f"{kind}, {way}: {a:.2f} ms a sentence, trimmed {b:.2f}: {b / a:.2f}", flush=True)
    if kind != "int8":
        return
    weights = np.concatenate([np.ones((1, len(pairs))), drawn(len(pairs))])
    for way, beams in WAYS.items():
        found = []
        for name, one in opened.items():
            said, wanted = one.translate([a for a, _ in pairs], one.options(num_beams=beams)), [b for _, b in pairs]
            found.append([metric(said, wanted)(weights) for metric in (translations.bleu, translations.chrf)])
            bleu, chrf = (values[0] for values in found[-1])
            print(f"{kind}, {way}, {name}: BLEU {bleu:.2f}, chrF {chrf:.2f} on {len(pairs)} sentences", flush=True)
        for metric, (a, b) in zip(("BLEU", "chrF"), zip(*found, strict=True), strict=True):
            low, high = np.quantile((b - a)[1:], [0.025, 0.975])
            print(f"{kind}, {way}: trimmed has {(b - a)[0]:+.2f} {metric} ({low:+.2f} to {high:+.2f})", flush=True)


def drawn(count: int) -> np.ndarray:
    """How often each of so many sentences is drawn, with replacement, a row each time (Koehn 2004)."""
    return np.random.default_rng(0).multinomial(count, [1 / count] * count, size=DRAWS).astype(float)


def main() -> None:
    """Trim, build, compare."""
    source, pairs, others = map(Path, sys.argv[1:4])
    size = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    given = [(str(row["source"]), str(row["target"])) for _, row in rows(others)]
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "recipe.toml").write_text(f'[[step]]\nuse = "trim-vocabulary"\nsize = {size}\n')
        stages: Any = compress(source, home / "recipe.toml", home / "trimmed", train=pairs, threads=1)
        for stage in stages:
            print(f"{stage.step}: {stage.parameters:,} parameters, {stage.size_bytes / 1e6:.1f} MB", flush=True)
        equal(source, home / "trimmed", [a for a, _ in given[:SENTENCES]])
        bundles = {"whole": home / "whole", "trimmed": home / "less"}
        for origin, bundle in zip((source, home / "trimmed"), bundles.values(), strict=True):
            edgewright.build(origin, out=bundle, formats=["onnx"], precisions=list(KINDS))
        for kind in KINDS:
            compared(bundles, kind, [a for a, _ in given[:SENTENCES]], given)


if __name__ == "__main__":
    main()
