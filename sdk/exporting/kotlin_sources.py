"""What of the Kotlin library some tasks need: files, regions of files, and lines.

A region begins with a line `//region NAME, NAME` and ends with `//endregion`; a name is that of a task, or `answers`
for the tasks that are answered by one run, or `encrypted` for models that open with a key. A line that begins with a
task's name in quotes is that task's alone, as in a `when`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgewright.exporting.c import TASKS

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

__all__ = ["ENCRYPTED", "keep_tasks", "public_classes"]

ENCRYPTED = "encrypted"
"""Beside tasks: models that open with a key."""

_WRITTEN = ("text-generation", "translation")
_ANSWERED = tuple(task for task in TASKS if task not in _WRITTEN)
_NEEDED_BY = {
    **dict.fromkeys(("Engine", "GoldenCases", "Runner"), _ANSWERED),
    **dict.fromkeys(("ExecuTorchEngine", "LiteRtEngine", "OnnxEngine"), _ANSWERED),
    "Numbers": (*_ANSWERED, "text-generation"),
    "Label": ("text-classification", "zero-shot-classification"),
    "Text": ("token-classification", "question-answering"),
    "WhiteSpace": ("token-classification", "question-answering", *_WRITTEN),
    "FeatureExtraction": ("feature-extraction",),
    "FillMask": ("fill-mask",),
    "QuestionAnswering": ("question-answering",),
    "TextClassification": ("text-classification",),
    "TextRanking": ("text-ranking",),
    "TokenClassification": ("token-classification",),
    "ZeroShotClassification": ("zero-shot-classification",),
    **dict.fromkeys(("GoldenPrompts", "Layer", "OnnxCache", "Written"), _WRITTEN),
    **dict.fromkeys(("Chat", "Decoding", "Generation", "Sampler", "TextStream", "Writer"), ("text-generation",)),
    **dict.fromkeys(("ExecuTorchDecoding", "LiteRtDecoding", "OnnxDecoding"), ("text-generation",)),
    **dict.fromkeys(("Beams", "OnnxTranslating", "Search", "Sentences"), ("translation",)),
    **dict.fromkeys(("Translating", "Translator"), ("translation",)),
    **dict.fromkeys(("Encrypted", "KeptKey", "OpenEncrypted"), (ENCRYPTED,)),
}
"""Of a file the tasks that it is for; any other one is for all of them."""
_REGION = re.compile(r"^ *//region (.*)\n((?:.*\n)*?) *//endregion\n", re.MULTILINE)
_GAPS = re.compile(r"\n{3,}")
_OWN_LINE = re.compile(r'^ *"([a-z-]+)".*\n', re.MULTILINE)
_CLASS = re.compile(r"^(?:(?:data|enum|open|sealed) )*(?:class|interface|object) (\w+)", re.MULTILINE)
"""A class that callers can name: nothing stands before it that hides it."""
_FUNCTION = re.compile(r"^(?:suspend )?(?:fun|val) ", re.MULTILINE)


def keep_tasks(project: Path, tasks: AbstractSet[str]) -> None:
    """Leave what these tasks need of the library and the sample in `project`; `ENCRYPTED` may be among them."""
    for path in project.rglob("*.kt"):
        if tasks.isdisjoint(_NEEDED_BY.get(path.stem, tasks)):
            path.unlink()
        else:
            path.write_text(_kept(path.read_text(encoding="utf-8"), tasks), encoding="utf-8", newline="\n")


def public_classes(directory: Path) -> set[str]:
    """The classes of the JVM that callers of these sources can name."""
    found = set()
    for path in directory.rglob("*.kt"):
        text = path.read_text(encoding="utf-8")
        found |= set(_CLASS.findall(text))
        if _FUNCTION.search(text):
            found.add(f"{path.stem}Kt")
    return found


def _kept(text: str, tasks: AbstractSet[str]) -> str:
    def region(match: re.Match[str]) -> str:
        names = set(match[1].split(", "))
        named = names | set(_ANSWERED) if "answers" in names else names
        return "" if named.isdisjoint(tasks) else match[2]

    def line(match: re.Match[str]) -> str:
        return "" if match[1] in TASKS and match[1] not in tasks else match[0]

    return _GAPS.sub("\n\n", _OWN_LINE.sub(line, _REGION.sub(region, text)))
