"""The C core's answers held against Python's: 100 items of each task, through the real engine, for three tokenizers.

    tools/c_answers.py [FORMAT] [--precision NAME...] [--family NAME...] [--plain] [--emulated [CPU...]]

Makes tiny models with random weights, builds and exports them in a format, onnx where none is said, and asks both.
On an emulated board the core runs with the engine's aarch64 library. Its answers are held against those of Python on
this machine; each that is another one by more than the tolerance is asked of the board's own Python, with the same
library: what remains unlike is the core's fault, the rest is how an engine's kernels round. docs/apps.md has the last
result.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c_machines import Machine

ROOT = Path(__file__).parents[1]
ITEMS = 100
TOLERANCE = 2e-6
"""The same engine on the same feeds: what is left is the order of sums in float32."""
FAMILIES = ("bert", "roberta", "xlm-roberta")
TASKS: dict[str, tuple[dict[str, Any], ...]] = {
    "text-classification": ({}, {"top_k": 3}),
    "token-classification": (
        {}, *({"aggregation_strategy": one} for one in ("none", "simple", "first", "average", "max")),
    ),
    "fill-mask": ({}, {"top_k": 2}),
    "question-answering": ({}, {"top_k": 3}, {"handle_impossible_answer": True, "max_answer_len": 5}),
    "feature-extraction": ({},),
    "text-ranking": ({},),
    "zero-shot-classification": ({}, {"multi_label": True}),
}  # fmt: skip
LABELS = {
    "token-classification": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"),
    "text-classification": ("no", "maybe", "yes"),
    "zero-shot-classification": ("contradiction", "neutral", "entailment"),
    "text-ranking": ("relevant",),
}
sys.path[:0] = [str(ROOT / "tests" / "exporting"), str(ROOT / "tools")]

import c_machines  # noqa: E402
import c_programs  # noqa: E402
import tiny_models  # noqa: E402
from c_machines import HERE  # noqa: E402

import edgewright  # noqa: E402
from edgewright.bundle.bundle import Bundle  # noqa: E402
from edgewright.exporting.c import export_c  # noqa: E402


def items(task: str, mask: str) -> list[Any]:
    texts = [text for text in tiny_models.texts() if text.strip()]
    texts = [*texts, *(text[: len(text) // 2] for text in texts if len(text.split()) > 3)]
    texts = (texts * (ITEMS // len(texts) + 1))[:ITEMS]
    long = " ".join(texts[:12])
    if task == "fill-mask":
        return [f"{mask} {text}" if at % 2 else f"a {mask} of {mask} {text}" for at, text in enumerate(texts)]
    if task == "question-answering":
        return [
            {"question": " ".join(text.split()[:3]) or "who", "context": long if at % 5 == 0 else text}
            for at, text in enumerate(texts)
        ]
    if task == "text-ranking":
        return [{"query": text, "texts": texts[at : at + 1 + at % 4] or ["a"]} for at, text in enumerate(texts)]
    if task == "zero-shot-classification":
        return [
            {"sequence": text, "candidate_labels": ["good", "bad", "naïve"][: 1 + at % 3]}
            for at, text in enumerate(texts)
        ]
    if task == "text-classification":
        return [text if at % 3 else {"text": text, "text_pair": long} for at, text in enumerate(texts)]
    return texts


def made(family: str, task: str, kind: str, precisions: list[str], place: Path) -> Path:
    """A bundle of a tiny model."""
    source = tiny_models.make(family, task, place / "source", labels=LABELS.get(task, ()), length=96, std=0.3)
    edgewright.build(
        source,
        task=task,
        formats=[kind],
        precisions=precisions,
        out=place / "bundle",
        allow_divergence=precisions != ["fp32"],
        progress=lambda _: None,
    )
    return place / "bundle"


def held(machine: Machine, bundle: Path, ways: dict[str, str], found: list[Any], asked: list[Any], options: Any) -> int:
    """How many answers are not Python's; says so of them, and of an emulated board whose Python they are."""
    task = Bundle.open(bundle).manifest.task
    theirs = HERE.python("answers", bundle, asked, options, **ways)
    bad = unlike(task, asked, found, theirs, TOLERANCE)
    said = f"{len(bad)} of {len(asked)} differ"
    if machine is HERE:
        print(f"  {options} {said}", *((asked[at], why) for at, why in bad[:2]), flush=True)
        return len(bad)
    others = unlike(task, asked, found, theirs, math.inf)
    same = sorted({*range(len(asked))} - {at for at, _ in others})
    most = max((c_programs.farthest(task, found[at], theirs[at]) for at in same), default=0.0)
    some = [at for at, _ in bad]
    asked, found = [asked[at] for at in some], [found[at] for at in some]
    there = machine.python("answers", bundle, asked, options, **ways) if some else []
    wrong = unlike(task, asked, found, there, TOLERANCE)
    said += f" from Python here, {len(others)} by more than a score; scores {most:.1e} apart; {len(wrong)} from its own"
    print(f"  {options} {said}", *((asked[at], why) for at, why in wrong[:2]), flush=True)
    for at, why in others[:3]:
        print(f"    {why}: here {theirs[at]}", flush=True)
    return len(wrong)


def unlike(task: str, asked: list[Any], mine: list[Any], theirs: list[Any], tolerance: float) -> list[tuple[int, str]]:
    """Which answers are other ones, and why."""
    return [
        (at, why)
        for at, (_, a, b) in enumerate(zip(asked, mine, theirs, strict=True))
        if (why := c_programs.unlike(task, a, b, tolerance))
    ]


def main() -> int:
    args = options()
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        machines = c_machines.machines(args)
        programs = [c_programs.compiled(Path(scratch, one.name), machine=one) for one in machines]
        for family in args.family or FAMILIES:
            for task, every in TASKS.items():
                bundle = made(family, task, args.format, args.precision, Path(scratch, "made", family, task))
                with edgewright.load(bundle, careful=False, precision=args.precision[0]) as pipeline:
                    asked = items(task, pipeline.tokenizer.mask_token if task == "fill-mask" else "")
                for precision in args.precision:
                    ways = {"format": args.format, "precision": precision}
                    out = bundle.parent / f"c-{precision}"
                    export_c(bundle, out=out, **ways)
                    for machine, program in zip(machines, programs, strict=True):
                        print(f"{machine.name}: {family} {task} {args.format}/{precision}", flush=True)
                        for way in every[:1] if args.plain else every:
                            found = c_programs.answers(program, out / "assets", asked, machine=machine, **way)
                            wrong += held(machine, bundle, ways, found, asked, way)
    return int(wrong > 0)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", nargs="?", default="onnx", choices=("onnx", "tflite"))
    parser.add_argument("--precision", nargs="+", default=["fp32"], metavar="NAME")
    parser.add_argument("--plain", action="store_true", help="ask each task without options alone")
    parser.add_argument("--family", nargs="+", choices=FAMILIES, metavar="NAME")
    c_machines.add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
