"""The C core's answers held against Python's: 100 items of each task, through the real engine, for three tokenizers.

    tools/c_answers.py [FORMAT]

Makes tiny models with random weights, builds and exports them in a format, onnx where none is said, and asks both.
docs/apps.md has the last result.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

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

import c_programs  # noqa: E402
import tiny_models  # noqa: E402

import edgewright  # noqa: E402
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


def main() -> int:
    wrong, kind = 0, (sys.argv[1:] or ["onnx"])[0]
    with tempfile.TemporaryDirectory() as scratch:
        program = c_programs.compiled(Path(scratch, "answers"))
        for family in FAMILIES:
            for task, every in TASKS.items():
                place = Path(scratch, family, task)
                source = tiny_models.make(
                    family, task, place / "source", labels=LABELS.get(task, ()), length=96, std=0.3
                )
                edgewright.build(
                    source,
                    task=task,
                    formats=[kind],
                    precisions=["fp32"],
                    out=place / "bundle",
                    progress=lambda _: None,
                )
                export_c(place / "bundle", out=place / "c", format=kind)
                with edgewright.load(place / "bundle", careful=False) as pipeline:
                    asked = items(task, pipeline.tokenizer.mask_token if task == "fill-mask" else "")
                    for options in every:
                        mine = c_programs.answers(program, place / "c" / "assets", asked, **options)
                        asking = pipeline.asking(**options)
                        theirs = [asking.answered([asking.task.taken(one)])[0] for one in asked]
                        bad = [
                            (one, said)
                            for one, a, b in zip(asked, mine, theirs, strict=True)
                            if (said := c_programs.unlike(task, a, b, TOLERANCE))
                        ]
                        wrong += len(bad)
                        print(family, task, options, f"{len(bad)} of {len(asked)} differ", *bad[:2], flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
