"""Tokens and time beside ctranslate2's.

    .venv/bin/python tools/translation_peer.py [--time] [--wide VOCABULARY]

Needs ctranslate2 (pip install ctranslate2), which is no part of the project. Marians with random weights, of the
tests' tiny shape or with --wide of OPUS-MT's and so many tokens; greedy and with 4 beams, in fp32, of two thousand
random sources; with beams as transformers ends a search, and with early_stopping, as ctranslate2 does; where two
texts differ transformers scores both. With --time instead int8 and fp32, one thread, interleaved, the processor's
time, medians of ten rounds over five sources, after each of which both write 25 tokens. docs/translation.md has the
last result.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import translators

from edgewright.generation.beams import Search, write

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 10
MOST = 25
TIMED = 5
"""Sources of a round."""
NEVER = -1e4
"""Added to the end's logit where both shall write as many tokens."""
WAYS = {"greedy": 1, "4 beams": 4}
TINY = 128
"""Tokens of the tiny shape, of which padding is the last, as in OPUS-MT."""
SOURCES, LONGEST = 1000, 24
"""Random ones of a seed, whose translations are compared: their number, and the most tokens of one."""
WIDE = {
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
}
"""OPUS-MT's sizes but for the vocabulary, of 58,000 to 65,000 tokens."""


def peer(eager: Any, directory: Path, kind: str) -> tuple[Any, list[str]]:
    """Ctranslate2's translator of the same weights; tokens are named by their ids."""
    import ctranslate2
    from ctranslate2.converters.transformers import MarianMTLoader

    spec = MarianMTLoader().get_model_spec(eager)
    names = ["</s>", "<unk>", *(f"t{at}" for at in range(2, eager.config.pad_token_id))]
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    config = spec.config
    config.eos_token, config.unk_token, config.bos_token, config.decoder_start_token = "</s>", "<unk>", "</s>", "</s>"
    config.add_source_eos = False
    spec.validate()
    spec.optimize(quantization=kind)
    directory.mkdir()
    spec.save(str(directory))
    return ctranslate2.Translator(str(directory), compute_type=kind, inter_threads=1, intra_threads=1), names


def said(found: Any, names: list[str], beams: int, sources: list[list[int]]) -> list[list[int]]:
    """What it writes after each source, without the end."""
    places = {name: at for at, name in enumerate(names)}
    tokens = [[names[one] for one in source] for source in sources]
    every = [
        found.translate_batch(
            [one], beam_size=beams, min_decoding_length=0, max_decoding_length=MOST, length_penalty=1.0
        )[0].hypotheses[0]
        for one in tokens
    ]
    return [[places[token] for token in one] for one in every]


def ours(opened: Any, beams: int, sources: list[list[int]], *, early: bool, renormalize: bool) -> list[list[int]]:
    """The same of edgewright."""
    search = Search(num_beams=beams, max_new_tokens=MOST, early_stopping=early)
    rules = replace(opened.rules, renormalize=renormalize)
    found = [write(opened.model, [source], search, rules)[0].tokens for source in sources]
    return [[token for token in tokens if token not in opened.rules.ends] for tokens in found]


def score(opened: Any, source: list[int], tokens: list[int]) -> float:
    """The mean log probability of a text's tokens and of its end by the eager model, padding left out."""
    import torch

    whole = [*tokens, *[0] * (len(tokens) < MOST)]
    given = torch.tensor([source]), torch.tensor([[opened.rules.start, *whole[:-1]]])
    with torch.no_grad():
        logits = opened.eager(input_ids=given[0], decoder_input_ids=given[1]).logits[0].double()
    logits[:, opened.rules.start] = -np.inf
    return float(logits.log_softmax(-1)[range(len(whole)), whole].mean())


def shaped(seed: int, precision: str = "fp32", **options: Any) -> Any:
    """A Marian of the wanted size, with its artifact, in a directory that goes with the process."""
    wide = "--wide" in sys.argv
    sizes = {**WIDE, "vocabulary": int(sys.argv[sys.argv.index("--wide") + 1])} if wide else {"vocabulary": TINY}
    pad = sizes["vocabulary"] - 1
    scratch = tempfile.TemporaryDirectory()
    more = {"pad_token_id": pad, "decoder_start_token_id": pad, "forced_eos_token_id": None}
    opened = translators.opened(
        Path(scratch.name), "marian", seed=seed, precision=precision, **sizes, **more, **options
    )
    opened.scratch = scratch
    return opened


def same() -> None:
    """Compare tokens."""
    for seed in range(2):
        opened = shaped(seed)
        theirs, names = peer(opened.eager, Path(opened.scratch.name) / "ct2", "float32")
        rng = np.random.default_rng(seed)
        lengths = rng.integers(1, LONGEST, SOURCES).tolist()
        sources = [[*rng.integers(2, len(names), length).tolist(), 0] for length in lengths]
        for name, beams in WAYS.items():
            b = said(theirs, names, beams, sources)
            for early in (False, True) if beams > 1 else (False,):
                # ctranslate2 has no padding among its tokens: probabilities sum up without it, as with renormalize
                a = ours(opened, beams, sources, early=early, renormalize=True)
                equal = sum(x == y for x, y in zip(a, b, strict=True))
                how = f"{name}{', early_stopping' * early}"
                print(f"seed {seed}, {how}: {equal} of {SOURCES} texts have the tokens of ctranslate2", end="")
                others = [three for three in zip(sources, a, b, strict=True) if three[1] != three[2]]
                better = sum(score(opened, source, x) > score(opened, source, y) for source, x, y in others)
                print(f", {better} of the others have a better score of transformers", flush=True)


def times() -> None:
    """Compare times, and tell how many bytes both have."""
    for kind, precision in (("int8", "int8"), ("float32", "fp32")):
        opened = shaped(0, precision, end=NEVER)
        home = Path(opened.scratch.name)
        theirs, names = peer(opened.eager, home / "ct2", kind)
        chosen = opened.sources[:TIMED]
        sizes = [sum(path.stat().st_size for path in paths) for paths in (home.glob("*.onnx*"), home.glob("ct2/*"))]
        print(f"{precision}: {sizes[0] / 1e6:.1f} MB, ctranslate2 {sizes[1] / 1e6:.1f}", flush=True)
        for name, beams in WAYS.items():
            works = (
                partial(ours, opened, beams, chosen, early=True, renormalize=False),
                partial(said, theirs, names, beams, chosen),
            )
            written = [sum(map(len, work())) / TIMED for work in works]
            rounds = [[timed(work) / TIMED for work in works] for _ in range(ROUNDS)]
            mine, other = (median(values) for values in zip(*rounds, strict=True))
            print(f"{precision}, {name}: {mine:.1f} ms a sentence, ctranslate2 {other:.1f}: {mine / other:.2f}", end="")
            print(f"; {written[0]:.1f} and {written[1]:.1f} tokens each", flush=True)


def main() -> None:
    """Compare."""
    (times if "--time" in sys.argv else same)()


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of this process's time, all its threads together."""
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * 1000


if __name__ == "__main__":
    main()
