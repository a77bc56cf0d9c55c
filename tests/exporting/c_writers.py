"""What of the C core writes, asked as a program: for tests and `tools/c_writing.py`; `writing.c` says the forms."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import c_machines
import c_programs
import numpy as np
import token_texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from c_machines import Machine

REASONS = ("", "end", "stop", "length", "context", "cancelled")


@dataclass
class Answer:
    """What came of one request."""

    code: int
    why: str
    reason: str
    prompt_tokens: int
    reused: int
    tokens: list[int]
    pieces: list[str]

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Answers:
    """The bytes that a program wrote, from front to end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, form: str = "<I") -> int:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += 4
        return int(value)

    def text(self) -> str:
        size = self.number()
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def numbers(self, count: int) -> list[int]:
        self.at += 4 * count
        return [int(one) for one in np.frombuffer(self.data, "<i4", count, self.at - 4 * count)]


def compiled(out: Path, *flags: str, machine: Machine = c_machines.HERE) -> Path:
    libraries, sources = ("-lm", "-ldl"), ("writing.c", "ew_tokenizer.c")
    return token_texts.compiled(out, *sources, flags=flags, libraries=libraries, compiler=machine.compiler)


def ran(given: bytes, *argv: Any, machine: Machine = c_machines.HERE) -> Answers:
    done = machine.ran(argv, given)
    assert done.returncode == 0, (done.returncode, done.stderr.decode()[-3000:])
    return Answers(done.stdout)


def _text(text: str | bytes | None) -> bytes:
    data = b"\1" if text is None else text.encode() if isinstance(text, str) else text
    return struct.pack("<I", len(data)) + data


def _ids(ids: Sequence[int]) -> bytes:
    return struct.pack(f"<I{len(ids)}i", len(ids), *ids)


def _asked(prompt: Any) -> bytes:
    """A prompt, or messages: as a list, or as JSON that may be none."""
    if isinstance(prompt, str):
        return _text(prompt) + _text(None)
    return _text(None) + _text(prompt if isinstance(prompt, bytes) else json.dumps(prompt))


def written(
    program: Path,
    assets: Path,
    prompts: Sequence[Any],
    settings: Any = None,
    until: int = -1,
    machine: Machine = c_machines.HERE,
) -> list[Answer]:
    """The answers of one process to prompts, with settings: a dictionary, JSON that may be none, or a list."""
    each = settings if isinstance(settings, list) else [settings] * len(prompts)
    said = [one if one is None or isinstance(one, str) else json.dumps(one) for one in each]
    given = b"".join(
        _asked(prompt) + _text(one) + struct.pack("<i", until) for prompt, one in zip(prompts, said, strict=True)
    )
    got = ran(given, program, "write", assets, machine.engine(assets), machine=machine)
    found = []
    for _ in prompts if until != -2 else prompts[:1]:
        code, why = got.number("<i"), got.text()
        reason, read, reused = (got.number() for _ in range(3))
        tokens = got.numbers(got.number())
        pieces = [got.text() for _ in range(got.number())]
        found.append(Answer(code, why, REASONS[reason], read, reused, tokens, pieces))
    assert got.at == len(got.data)
    return found


def ids(program: Path, assets: Path, prompts: Sequence[Any]) -> list[list[int]]:
    """The token ids of prompts and conversations; of one that is refused, the code."""
    got = ran(b"".join(map(_asked, prompts)), program, "ids", assets, c_programs.engine(assets))
    found = []
    for _ in prompts:
        code = got.number("<i")
        count = got.number()
        found.append(got.numbers(count) if not code else [-code])
    return found


def sampled(program: Path, cases: Sequence[tuple[dict[str, Any], list[int], Any]]) -> list[list[int]]:
    """The tokens that follow, for settings, the tokens before, and logits (steps, words)."""
    given = b"".join(
        _text(json.dumps(how)) + struct.pack("<2I", logits.shape[1], logits.shape[0]) + _ids(before)
        + logits.astype("<f4").tobytes()
        for how, before, logits in cases
    )  # fmt: skip
    got = ran(given, program, "sample")
    return [got.numbers(len(logits)) for _, _, logits in cases]


def streamed(
    program: Path, tokenizer: Path, cases: Sequence[tuple[Sequence[str], Sequence[int], Sequence[int]]]
) -> list[tuple[list[str], bool]]:
    """The piece of each token and the rest, and whether a stop string was found: for stops, a prompt's ids, and ids."""
    given = b"".join(
        struct.pack("<I", len(stops)) + b"".join(map(_text, stops)) + _ids(after) + _ids(ids)
        for stops, after, ids in cases
    )
    got = ran(given, program, "stream", tokenizer)
    found = [([got.text() for _ in range(len(ids) + 1)], got.number() == 1) for _, _, ids in cases]
    assert got.at == len(got.data)
    return found
