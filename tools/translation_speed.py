"""Time and memory of a trained translator beside ctranslate2's.

    .venv/bin/python tools/translation_speed.py SOURCE BUNDLE PAIRS

SOURCE is a directory of a Marian that edgewright trained, BUNDLE what was built of it with fp32 and int8, PAIRS a table
whose first 100 sources are translated, by one thread each, interleaved, by the processor's time. Needs ctranslate2 (pip
install ctranslate2), which is no part of the project. docs/translation.md has the last result.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from translation_peer import peer, timed

import edgewright
from edgewright.data.rows import rows
from edgewright.generation.beams import Search, write

SENTENCES, ROUNDS, STARTS, BATCH = 100, 5, 5, 64
MOST = 64
"""Tokens of a translation: ctranslate2 ends with an error where a model's positions do."""
KINDS = {"int8": "int8", "fp32": "float32"}
WAYS = {"greedy": (1, False), "4 beams": (4, False), "4 beams, early_stopping": (4, True)}
"""Beams, and whether a search ends as soon as as many texts have ended, as ctranslate2's does."""
ENDED = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"


def moved(source: Path) -> tuple[Any, np.ndarray]:
    """The model with padding as its last token, as ctranslate2 expects it, and each token's new place."""
    import torch
    from transformers import MarianMTModel

    model = MarianMTModel.from_pretrained(source).eval()
    pad, size = model.config.pad_token_id, model.config.vocab_size
    order = torch.tensor([*(at for at in range(size) if at != pad), pad])
    with torch.no_grad():
        for table in (model.model.shared.weight, model.final_logits_bias.T):
            table.copy_(table[order].clone())
    model.config.pad_token_id = model.config.decoder_start_token_id = size - 1
    return model, np.argsort(order.numpy())


def compared(kind: str, source: Path, bundle: Path, texts: list[str], scratch: Path) -> None:
    """Times of one precision."""
    eager, places = moved(source)
    theirs, names = peer(eager, scratch / kind, KINDS[kind])
    with edgewright.load(bundle, precision=kind, format="onnx", threads=1) as opened:
        ids = [opened.sources(text)[0] for text in texts]
        tokens = [[names[places[one]] for one in sentence] for sentence in ids]

        def ours(beams: int, early: bool) -> list[tuple[int, ...]]:  # noqa: FBT001
            search = Search(num_beams=beams, max_new_tokens=MOST, early_stopping=early)
            return [
                write(opened.model, [one], search, opened.rules, shortlist=opened.shortlist)[0].tokens for one in ids
            ]

        def other(beams: int) -> list[list[str]]:
            given = {"beam_size": beams, "length_penalty": 1.0, "max_decoding_length": MOST}
            return [theirs.translate_batch([one], **given)[0].hypotheses[0] for one in tokens]

        for way, (beams, early) in WAYS.items():
            a = [[names[places[one]] for one in said if one not in opened.rules.ends] for said in ours(beams, early)]
            same = sum(x == y for x, y in zip(a, other(beams), strict=True))
            works = partial(ours, beams, early), partial(other, beams)
            taken = [[timed(work) / len(ids) for work in works] for _ in range(ROUNDS)]
            mine, its = (median(times) for times in zip(*taken, strict=True))
            print(f"{kind}, {way}: {mine:.2f} ms a sentence, ctranslate2 {its:.2f}: {mine / its:.2f}; ", end="")
            print(f"{same} of {len(ids)} with the same tokens", flush=True)
        options = [opened.options(num_beams=1, batch_size=size) for size in (1, BATCH)]
        alone, together = (median(elapsed(partial(opened.translate, texts, one)) for _ in range(3)) for one in options)
        print(f"{kind}, batches of {BATCH}: {alone / together:.1f} times the sentences of one by one", flush=True)
    started(kind, bundle, texts[0], scratch, tokens[0])


def started(kind: str, bundle: Path, text: str, scratch: Path, tokens: list[str]) -> None:
    """A whole process to its first translation: seconds, and the most memory."""
    ours = f"import edgewright; edgewright.load({str(bundle)!r}, precision={kind!r}, format='onnx')({text!r}); {ENDED}"
    theirs = f"import ctranslate2; ctranslate2.Translator({str(scratch / kind)!r}, compute_type={KINDS[kind]!r}, "
    theirs += f"intra_threads=1).translate_batch([{tokens!r}], beam_size=1); {ENDED}"
    for name, program in (("edgewright", ours), ("ctranslate2, which tokenizes nothing", theirs)):
        runs = [measured(program) for _ in range(STARTS)]
        seconds, mib = (median(values) for values in zip(*runs, strict=True))
        print(f"{kind}, a process of {name}: {seconds:.2f} s to its first sentence, {mib:.0f} MiB", flush=True)


def measured(program: str) -> tuple[float, float]:
    """Seconds and MiB."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, int(done.stdout.splitlines()[-1]) / 1024


def elapsed(work: partial[Any]) -> float:
    """Seconds."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    """Compare."""
    source, bundle, pairs = map(Path, sys.argv[1:])
    texts = [str(row["source"]) for _, row in islice(rows(pairs), SENTENCES)]
    with tempfile.TemporaryDirectory() as scratch:
        for kind in KINDS:
            compared(kind, source, bundle, texts, Path(scratch))


if __name__ == "__main__":
    main()
