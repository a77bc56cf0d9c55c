"""Tokens and time beside ctranslate2's.

    .venv/bin/python tools/translation_peer.py [--time] [--wide]

Needs ctranslate2 (pip install ctranslate2), which is no part of the project. Marians with random weights, of the tests'
tiny shape or with --wide of OPUS-MT's; greedy and with 4 beams, in fp32. With --time also int8 and fp32, one thread,
interleaved, medians of ten rounds over twenty sources, each cut at 25 tokens. docs/translation.md has the last result.
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

import translators

from edgewright.generation.beams import Search, write

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 10
MOST = 25
WAYS = {"greedy": 1, "4 beams": 4}
TINY = 128
"""Tokens of the tiny shape: some more than the tests' tokenizer has, of which padding is the last, as in OPUS-MT."""
WIDE = {
    "vocabulary": 32000,
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
}
"""OPUS-MT's sizes."""


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
    tokens = [[names[one] for one in source] for source in sources]
    every = [
        found.translate_batch(
            [one], beam_size=beams, min_decoding_length=0, max_decoding_length=MOST, length_penalty=1.0
        )[0].hypotheses[0]
        for one in tokens
    ]
    return [[names.index(token) for token in one] for one in every]


def ours(opened: Any, beams: int) -> list[list[int]]:
    """The same of edgewright."""
    search = Search(num_beams=beams, max_new_tokens=MOST)
    # ctranslate2 has no padding among its tokens: probabilities sum up without it, as with transformers' option
    rules = replace(opened.rules, renormalize=True)
    found = [write(opened.model, [source], search, rules)[0].tokens for source in opened.sources]
    return [[token for token in tokens if token not in opened.rules.ends] for tokens in found]


def shaped(seed: int, precision: str = "fp32") -> Any:
    """A Marian of the wanted size, with its artifact, in a directory that goes with the process."""
    sizes = WIDE if "--wide" in sys.argv else {"vocabulary": TINY}
    pad = sizes["vocabulary"] - 1
    scratch = tempfile.TemporaryDirectory()
    more = {"pad_token_id": pad, "decoder_start_token_id": pad, "forced_eos_token_id": None}
    opened = translators.opened(Path(scratch.name), "marian", seed=seed, precision=precision, **sizes, **more)
    opened.scratch = scratch
    return opened


def main() -> None:
    """Compare, and time."""
    for seed in range(2):
        opened = shaped(seed)
        theirs, names = peer(opened.eager, Path(opened.scratch.name) / "ct2", "float32")
        for name, beams in WAYS.items():
            a, b = ours(opened, beams), said(theirs, names, beams, opened.sources)
            same = sum(x == y for x, y in zip(a, b, strict=True))
            print(f"seed {seed}, {name}: {same} of {len(a)} texts have the tokens of ctranslate2", flush=True)
    if "--time" in sys.argv:
        for kind, precision in (("int8", "int8"), ("float32", "fp32")):
            opened = shaped(0, precision)
            theirs, names = peer(opened.eager, Path(opened.scratch.name) / "ct2", kind)
            for name, beams in WAYS.items():
                works = (partial(ours, opened, beams), partial(said, theirs, names, beams, opened.sources))
                rounds = [[timed(work) / len(opened.sources) for work in works] for _ in range(ROUNDS)]
                mine, other = (median(times) for times in zip(*rounds, strict=True))
                print(f"{precision}, {name}: {mine:.2f} ms a sentence, ctranslate2 {other:.2f}: {mine / other:.2f}")


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of this process's time, all its threads together."""
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * 1000


if __name__ == "__main__":
    main()
