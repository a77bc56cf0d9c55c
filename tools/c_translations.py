"""What the C core translates held against Python's translator, token by token.

    tools/c_translations.py [BUNDLE...] [--emulated [CPU...]]

Made for it are tiny random translators of Marian's and T5's kinds, and one with an OPUS-MT's two tokenizers, each for
ONNX Runtime and for LiteRT; bundles that are given are asked in the same way. A hundred sentences each, at every
precision: greedy, with 4 beams, with 3 that stop early, with 5 that never do and a penalty, cut short, and by whole
lines. Sentences are of Tatoeba, where ../shared has it; beside them stand texts whose punctuation is made up, and long
ones. KINDS=t5,opus makes these alone, EVERY_NTH=5 asks so many fewer texts. What an emulated board does not translate
as here is asked of its own Python too. docs/apps.md has the last result.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c_machines import Machine

    from edgewright.bundle.manifest import Artifact

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
FORMATS = ("onnx", "tflite")
SENTENCES = 100
HARD = 40
EVERY_NTH = int(os.environ.get("EVERY_NTH", "1"))
EVERY = 1777
"""Of Tatoeba's pairs, which rise by length, one in so many."""
WAYS: tuple[dict[str, Any], ...] = (
    {"num_beams": 1},
    {"num_beams": 4},
    {"num_beams": 3, "early_stopping": True},
    {"num_beams": 5, "early_stopping": "never", "length_penalty": 0.6},
    {"num_beams": 4, "max_new_tokens": 6},
    {"num_beams": 1, "max_new_tokens": 6},
    {"num_beams": 1, "max_new_tokens": 6, "split": False},
)
TEXTS = (
    "",
    " \n\t",
    "  Turn on the lights.\r\n\n\u2003Lock it.\u2028x ",
    "é 😀 </s> the <unk>",
    "\ufeff¿Qué?\x1cNo\x85",
)
"""Of which lines, white space and tokens that are written are the point."""
LANGUAGE = "\n >>es<<  Turn on the lights.\nLock the door."
"""For a model that has it."""
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "exporting")]

import c_machines  # noqa: E402
import c_writers as core  # noqa: E402
import numpy as np  # noqa: E402
import translators  # noqa: E402
from c_machines import HERE  # noqa: E402

import edgewright  # noqa: E402
from edgewright.bundle.bundle import Bundle  # noqa: E402
from edgewright.exporting.c import export_c  # noqa: E402
from edgewright.text.sentences import _WORDS  # noqa: E402

PARTS = (
    *(f" {word}. " for word in _WORDS.split("|")), *(" ." * 8 + "!?\u2026\u3002\uff1f"), *" \n\u2003\u00a0" * 3,
    *"\"')]\u201d\u300d([\u00bf\u201c\u00ab", "A.", "e.g.", "p.m.", "\u00c9.", "\u00aa.", "2.", "22", "no", "Yes",
    "\u00e9l", "\u03a9", "\u0431", "\U0001d400",
)  # fmt: skip
"""Of which texts are made that are hard to cut into sentences: what ends one, what stands around it, what does not."""


def bundles(scratch: Path, formats: Sequence[str] = ("onnx",)) -> list[Path]:
    """What is made for it."""
    made = []
    named = os.environ.get("KINDS", "")
    for kind in named.split(",") if named else (*translators.KINDS, "opus"):
        source = scratch / "sources" / kind
        if kind == "opus":
            translators.opus(source)
        else:
            translators.saved(source, kind)
        edgewright.build(
            source, out=scratch / kind, formats=formats, precisions=["fp32", "int8"], allow_divergence=True
        )
        made.append(scratch / kind)
    return made


def sentences() -> list[str]:
    """Real ones, short and long, or where there are none those of the tests."""
    path = DATA / "tatoeba" / "eng-spa.tsv.gz"
    if not path.is_file():
        return (translators.TEXT * SENTENCES)[:SENTENCES]
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [row.split("\t")[0] for row in file]
    return rows[::EVERY][:SENTENCES] if len(rows) >= EVERY * SENTENCES else rows[:: len(rows) // SENTENCES][:SENTENCES]


def compared(program: Path, bundle: Path, artifact: Artifact, assets: Path, texts: list[str]) -> tuple[int, int]:
    """How many translations there were of a program of this machine, and how many are not Python's."""
    count, _, wrong = held(HERE, program, bundle, artifact, assets, texts)
    return count, wrong


def held(
    machine: Machine, program: Path, bundle: Path, artifact: Artifact, assets: Path, texts: list[str]
) -> tuple[int, int, int]:
    """How many translations there were, how many are not Python's here, and how many not the machine's Python's.

    Compared are the text, its pieces and the tokens.
    """
    wrong = others = count = 0
    ways = {"format": artifact.format, "precision": artifact.precision, "threads": 1}
    with edgewright.load(bundle, careful=False, **ways) as translator:
        asked = asked_of(translator, texts)
    for way in WAYS:
        found = core.written(program, assets, asked, way, machine=machine)
        mine = [one.why if one.code else [one.tokens, one.pieces] for one in found]
        unlike, bad, theirs = c_machines.unlike(machine, "translated", bundle, asked, mine, way, **ways)
        count, others, wrong = count + len(asked), others + len(unlike), wrong + len(bad)
        for at in unlike:
            whose = "" if at in bad or machine is HERE else "here, not of its own Python"
            print(f"  unlike {whose}:", way, repr(asked[at])[:60], mine[at], theirs[at], flush=True)
    return count, others, wrong


def asked_of(translator: Any, texts: list[str]) -> list[str]:
    """The sentences, and those texts that are asked of every model."""
    draws = np.random.default_rng(7)
    hard = ["".join(draws.choice(PARTS, 30)) for _ in range(HARD)]
    long = [" ".join(texts)[: 4 * translator.model.context].replace(".", ","), "x" * 3 * translator.model.context]
    asked = [*texts, *TEXTS, *hard, *long] + [LANGUAGE] * (">>es<<" in translator.tokenizer.vocabulary)
    return asked[::EVERY_NTH]


def main() -> int:
    logging.disable()  # what is cut is told of every text
    args, wrong = options(), 0
    texts = sentences()
    with tempfile.TemporaryDirectory() as scratch:
        machines = c_machines.machines(args)
        programs = [core.compiled(Path(scratch, f"writing-{one.name}"), machine=one) for one in machines]
        for bundle in [*bundles(Path(scratch), FORMATS), *args.bundle]:
            for artifact in Bundle.open(bundle).manifest.artifacts:
                if artifact.format not in FORMATS:
                    continue
                out = Path(scratch, "c", f"{bundle.name}-{artifact.key.replace('/', '-')}")
                out.parent.mkdir(exist_ok=True)
                export_c(bundle, out=out, format=artifact.format, precision=artifact.precision, force=True)  # type: ignore[arg-type]
                for machine, program in zip(machines, programs, strict=True):
                    count, others, bad = held(machine, program, bundle, artifact, out / "assets", texts)
                    wrong += bad
                    said = f"{machine.name}: {bundle.name} {artifact.key}: {others} of {count} translations differ"
                    print(said, "" if machine is HERE else f"from Python here, {bad} from its own", flush=True)
    return int(wrong > 0)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="*", type=Path)
    c_machines.add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
