"""Texts that tokenizers differ on, and the C tokenizer run on them: for tests and `tools/tokens.py`."""

from __future__ import annotations

import random
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "sdk" / "exporting" / "c_project"
FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def compiled(
    out: Path,
    *sources: str,
    flags: tuple[str, ...] = (),
    libraries: tuple[str, ...] = (),
    compiler: str = "gcc",
) -> Path:
    """A program of the C core's sources and one of ours."""
    paths = [str(path) for name in sources for path in [HERE / name if (HERE / name).exists() else SOURCES / name]]
    argv = [compiler, *FLAGS, *flags, f"-I{SOURCES}", "-o", str(out), *paths, *libraries]
    subprocess.run(argv, check=True, capture_output=True, text=True)
    return out


def tokens(program: Path, file: Path, texts: list[bytes]) -> list[tuple[list[int], list[tuple[int, int]]]]:
    """The ids and offsets of each text by the C tokenizer; of one that it refuses, the code."""
    given = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    done = subprocess.run([program, file], input=given, capture_output=True, check=True)
    return parsed(done.stdout, len(texts))


def parsed(data: bytes, count_of_texts: int) -> list[tuple[list[int], list[tuple[int, int]]]]:
    """Of each text its ids and offsets: a count, or less than 0 of one that is refused, and three numbers a token."""
    numbers = np.frombuffer(data, "<i4")
    found, at = [], 0
    for _ in range(count_of_texts):
        count = int(numbers[at])
        rows = numbers[at + 1 : at + 1 + 3 * max(count, 0)].reshape(-1, 3)
        found.append((rows[:, 0].tolist() if count >= 0 else [count], [tuple(row) for row in rows[:, 1:].tolist()]))
        at += 1 + 3 * max(count, 0)
    assert at == len(numbers)
    return found


def differences(program: Path, file: Path, backend: Any, texts: list[str]) -> list[str]:
    """The texts of which the C tokenizer gives other ids or offsets than `tokenizers`."""
    found = tokens(program, file, [text.encode() for text in texts])
    wanted = backend.encode_batch(texts)
    return [
        text
        for text, (ids, offsets), right in zip(texts, found, wanted, strict=True)
        if ids != right.ids or offsets != right.offsets
    ]


def fuzzed(count: int, seed: int, added: list[str]) -> list[str]:
    """Texts of pieces that tokenizers trip over: special tokens, marks, spaces of all kinds, any code point."""
    rng = random.Random(seed)
    marks = "\u0300\u0301\u0316\u0323\u0344\u0345\u0f71\u0f73\u05b0\u3099\u093c\u094d\u0915\u0937"
    joiners = "\u200d\u200c\u00ad\ufe0f\u20e3\u0600\u0085\u00a0\u2028\u3000\ufeff\u0000\ufffd\u0e33\U000e0041"
    others = "éèÅß\u0131İ\u017fǅﬁﬃ①㍿ｶﾞ가각각中文字☺👩👨❤🏽🇩🇪" + joiners
    words = (
        "'s",
        "n't",
        "'LL",
        "  ",
        "\n\n",
        "ing",
        "The",
        "un",
        "##",
        "▁",
        "Ġ",
        "ﷺ",
        "Straße",
        "naïve",
        "Ελλάς",
        "ДА",
    )
    pieces = [*added, *"aeiouAEIOU  \t\n\r.,!?'-_#@1234567890", *words, *marks, *others]
    made = []
    for _ in range(count):
        n = rng.choice((3, 8, 20, 60))
        made.append(
            "".join(rng.choice(pieces) if rng.random() < 0.85 else chr(rng.choice(CODE_POINTS)) for _ in range(n))
        )
    return made


def long_ones() -> list[str]:
    """Half a megabyte without a space, in several ways."""
    return [
        "a" * 500_000,
        "ab1" * 160_000,
        "é" * 200_000,
        "中" * 160_000,
        " " * 500_000,
        "!?" * 250_000,
        "\u0301" * 200_000,
        "\u0301\u0316" * 120_000,
    ]


def every_code_point() -> list[str]:
    """`good`, a code point, `bad`: for all of them."""
    return [f"good{chr(code)}bad" for code in CODE_POINTS]
