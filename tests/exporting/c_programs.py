"""The C core asked as a program, and its answers beside those of Python: for tests and `tools/c_answers.py`."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import c_machines
import numpy as np
import token_texts

if TYPE_CHECKING:
    from pathlib import Path

    from c_machines import Machine

AGGREGATION = ("", "none", "simple", "first", "average", "max")


def engine(assets: Path | None = None) -> Path:
    """The library of ONNX Runtime that the wheel for this machine has, or LiteRT's where the model is for it."""
    return c_machines.HERE.engine(assets)


def compiled(out: Path, *flags: str, machine: Machine = c_machines.HERE) -> Path:
    libraries = ("-lm", "-ldl", "-pthread")
    sources = ("answers.c", "edgewright.c", "ew_tokenizer.c")
    return token_texts.compiled(out, *sources, flags=flags, libraries=libraries, compiler=machine.compiler)


def request(item: Any, options: dict[str, Any]) -> bytes:
    """An item of a task, and options by transformers' names, as `answers.c` reads them."""
    parts = {"text": item} if isinstance(item, str) else dict(item)
    text = next(parts[name] for name in ("text", "question", "query", "sequence") if name in parts)
    pair = next((parts[name] for name in ("text_pair", "context") if name in parts), "")
    choices = next((parts[name] for name in ("texts", "candidate_labels") if name in parts), ())
    ways = (
        options.get("top_k") or 0,
        AGGREGATION.index(options.get("aggregation_strategy", "")),
        int(options.get("multi_label", False)),
        options.get("max_answer_len", 0),
        int(options.get("handle_impossible_answer", False)),
    )
    texts = [one.encode() for one in (text, pair, *choices)]
    return struct.pack("<I5i", len(texts), *ways) + b"".join(struct.pack("<I", len(t)) + t + b"\0" for t in texts)


def answers(
    program: Path,
    assets: Path,
    items: list[Any],
    threads: int = 0,
    machine: Machine = c_machines.HERE,
    **options: Any,
) -> list[dict[str, Any]]:
    """Each item's code, items and vector."""
    given = b"".join(request(item, options) for item in items)
    done = machine.ran([program, assets, machine.engine(assets), threads], given)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    data, at, found = done.stdout, 0, []

    def take(form: str) -> Any:
        nonlocal at
        values = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return values if len(values) > 1 else values[0]

    def text() -> str:
        nonlocal at
        size = take("<I")
        at += size
        return data[at - size : at].decode()

    for _ in items:
        one: dict[str, Any] = {"code": take("<i")}
        one["why"] = text() if one["code"] else ""
        rows = []
        for _ in range(take("<I")):
            score, token, index, start, end = take("<d4I")
            rows.append(
                {
                    "score": score,
                    "id": token,
                    "index": index,
                    "start": start,
                    "end": end,
                    "label": text(),
                    "text": text(),
                }
            )
        width = take("<I")
        one |= {"items": rows, "vector": np.frombuffer(data, "<f4", width, at)}
        at += 4 * width
        found.append(one)
    assert at == len(data)
    return found


def rows(task: str, answer: Any) -> list[dict[str, Any]]:
    """An answer of Python's pipeline, by the names of the C core, those that it fills."""
    if task == "zero-shot-classification":
        return [{"label": a, "score": b} for a, b in zip(answer["labels"], answer["scores"], strict=True)]
    every = answer if isinstance(answer, list) else [answer]
    if task == "fill-mask":
        masks = every if isinstance(every[0], list) else [every]
        return [
            {"label": f["token_str"], "text": f["sequence"], "score": f["score"], "id": f["token"], "index": at}
            for at, mask in enumerate(masks)
            for f in mask
        ]
    names = {"answer": "text", "word": "text", "entity": "label", "entity_group": "label", "corpus_id": "index"}
    return [{names.get(name, name): value for name, value in one.items()} for one in every]


def unlike(task: str, mine: dict[str, Any], theirs: Any, tolerance: float, *, whole: bool = False) -> str:
    """What is different about the answers to an item, "" for nothing; a NUL ends a text that is not `whole`."""
    if mine["code"]:
        return str(mine["why"])
    if task == "feature-extraction":
        apart = float(np.abs(mine["vector"] - theirs).max())
        return "" if apart <= tolerance else f"vectors are {apart} apart"
    wanted = rows(task, theirs)
    if len(wanted) != len(mine["items"]):
        return f"{len(mine['items'])} items, not {len(wanted)}"
    for got, want in zip(mine["items"], wanted, strict=True):
        for name, value in want.items():
            text = value.split("\0")[0] if isinstance(value, str) and not whole else value
            same = math.isclose(got[name], value, abs_tol=tolerance) if name == "score" else got[name] == text
            if not same:
                return f"{name} is {got[name]!r}, not {value!r}"
    return ""


def farthest(task: str, mine: dict[str, Any], theirs: Any) -> float:
    """How far scores, or the numbers of a vector, are apart at most, of an answer that has the same items."""
    if task == "feature-extraction":
        return float(np.abs(mine["vector"] - theirs).max())
    pairs = zip(mine["items"], rows(task, theirs), strict=True)
    return max((abs(got["score"] - want["score"]) for got, want in pairs), default=0.0)
