"""Python's answers, what it writes and what it translates, as plain data: for the tools that ask the C core the same.

A board's Python runs it as a program: JSON of a function's name and arguments comes in, JSON of what it gave goes out.
Named may be a directory with a LiteRT that has no library for GPUs, which is compiled for Armv8.1: without it a
compiled model, which the C core always has, opens on a Cortex-A53 or A72 too, where Python has the interpreter instead.
At int8 these two do not round alike.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import edgewright

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def answers(bundle: Path, asked: Sequence[Any], settings: dict[str, Any], **ways: Any) -> list[Any]:
    """The answer to each item, asked by itself."""
    with edgewright.load(bundle, careful=False, **ways) as pipeline:
        asking = pipeline.asking(**settings)
        return [asking.answered([asking.task.taken(one)])[0] for one in asked]


def written(bundle: Path, asked: Sequence[Any], settings: dict[str, Any], **ways: Any) -> list[list[Any]]:
    """After each prompt: tokens, pieces, why it ended, and how many tokens it was and the cache already had."""
    found = []
    with edgewright.load(bundle, careful=False, **ways) as writer:
        for prompt in asked:
            pieces, last = list(writer.stream(prompt, **settings)), writer.last
            found.append([list(last.tokens), pieces, last.reason, last.prompt_tokens, last.reused])
    return found


def translated(bundle: Path, asked: Sequence[str], settings: dict[str, Any], **ways: Any) -> list[list[Any]]:
    """Of each text the tokens of every sentence, and its pieces."""
    with edgewright.load(bundle, careful=False, **ways) as translator:
        return [list(translation(translator, text, settings)) for text in asked]


def translation(translator: Any, text: str, settings: dict[str, Any]) -> tuple[list[int], list[str]]:
    """The tokens of every sentence of a text, and its pieces."""
    options = translator.options(**settings)
    sources = translator.asking(**settings).sources(text)
    tokens = [token for ids in sources for token in translator.write([ids], options)[0].tokens]
    return tokens, [piece for piece in translator.stream(text, **settings) if piece]


def main() -> None:
    if sys.argv[1:]:
        from edgewright.runtimes import litert

        sys.path.insert(0, sys.argv[1])
        litert._compiles = lambda: True
    side, bundle, asked, settings, ways = json.load(sys.stdin)
    gave = {"answers": answers, "written": written, "translated": translated}[side](bundle, asked, settings, **ways)
    print(json.dumps(gave, default=lambda array: array.tolist()))


if __name__ == "__main__":
    main()
