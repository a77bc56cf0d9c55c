"""The same questions, asked of every artifact of a decoder's bundle: their answers side by side, as they are.

.venv/bin/python tools/chat_answers.py BUNDLE --out docs/chats.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

import edgewright as ew
from edgewright.bundle.manifest import Decoding

QUESTIONS = (
    "What is the capital of France?",
    "How many legs does a spider have?",
    "Name three colours.",
    "What is 7 plus 5?",
    "Write a haiku about rain.",
    "Translate 'good morning' into Spanish.",
    "Who wrote Romeo and Juliet?",
    "What is the boiling point of water in Celsius?",
    "Give me one tip for sleeping better.",
    "Explain in two sentences why the sky is blue.",
    "What is the opposite of hot?",
    "List the days of the weekend.",
    "Is a tomato a fruit or a vegetable?",
    "What does a thermostat do?",
    "Summarise: The river rose in the night and the lower path was gone by morning.",
    "What is the largest planet in the solar system?",
    "Write one sentence about a red kite.",
    "How do I turn off the lights before I leave?",
    "What should I do if the smoke alarm beeps?",
    "Say hello to Anna.",
)
MOST = 48
"""Tokens of an answer: enough to see whether it goes wrong."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    bundle = ew.Bundle.of(given.bundle)
    lines = ["# Answers, as they are", "", _head(bundle), ""]
    answers: dict[str, list[str]] = {question: [] for question in QUESTIONS}
    for artifact in bundle.manifest.artifacts:
        with ew.load(bundle, format=artifact.format, precision=artifact.precision) as chat:
            for question, found in answers.items():
                text = chat([{"role": "user", "content": question}], max_new_tokens=MOST, return_full_text=False)
                found.append(text[0]["generated_text"] + ("" if chat.last.reason == "end" else " …"))
    names = [artifact.key for artifact in bundle.manifest.artifacts]
    for question, found in answers.items():
        lines.append(f"**{question}**")
        lines.append("")
        for name, text in zip(names, found, strict=True):
            lines.append(f"- {name}: {' / '.join(text.split(chr(10)))}")
        lines.append("")
    given.out.write_text("\n".join(lines), encoding="utf-8")


def _head(bundle: ew.Bundle) -> str:
    """What was asked, and what the gate said of each artifact."""
    source, rows = bundle.manifest.source, []
    for artifact in bundle.manifest.artifacts:
        found = artifact.decoding
        if not isinstance(found, Decoding):
            raise SystemExit(f"{artifact.key} is no decoder")
        carried = f", the source's own {artifact.carried} codes" if isinstance(artifact.carried, str) else ""
        rows.append(
            f"- {artifact.key}{carried}: {artifact.total_bytes / 1e6:.0f} MB, perplexity {found.perplexity:.2f} "
            f"(eager {found.reference:.2f}) over {found.tokens} tokens of the gate's texts, divergence {found.kl:.3g} "
            f"nats, {found.top1:.1%} equal successors, {found.equal} of {found.prompts} prompts continued as by eager"
        )
    what = f"{source.architecture} with {source.parameters:,} parameters, greedy, at most {MOST} tokens."
    how = "`tools/chat_answers.py BUNDLE --out docs/chats.md` wrote this page; nothing was picked."
    return "\n".join([f"{what} fp32 writes what the eager model writes. {how}", "", *rows])


if __name__ == "__main__":
    main()
