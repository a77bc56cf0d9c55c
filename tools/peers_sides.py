"""The ways from a text to its answer that tools/peers compares: where each runs, and on which files."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peers_environments import python_of

from edgewright.errors import EdgewrightError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peers_files import Files

    from edgewright.bundle.bundle import Bundle

OURS = {"edgewright, ONNX int8": "onnx", "edgewright, TFLite int8": "tflite"}
REFERENCE = "transformers pipeline, fp32"


@dataclass
class Side:
    """How to run one way to the answer, and what its processes said."""

    name: str
    python: Path
    kind: str
    files: dict[str, str]
    size_bytes: int
    first: dict[str, Any] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    agreement: dict[str, float] = field(default_factory=dict)


def sides_of(files: Files) -> tuple[list[Side], dict[str, str]]:
    """Every side that can be made ready for a model, and why the others cannot."""
    found, left_out = [], {}
    for name, make in MAKERS.items():
        try:
            found.append(make(name, files))
        except (EdgewrightError, OSError, ValueError, subprocess.SubprocessError) as error:
            left_out[name] = reason_of(error)
            say(f"{files.name}: {name} is left out: {left_out[name]}")
    if lost := {*OURS, REFERENCE} & left_out.keys():
        raise SystemExit(f"{' and '.join(sorted(lost))} cannot be left out")
    return found, left_out


def reason_of(error: Exception) -> str:
    """One line: the last that a process wrote, or what the error says."""
    said = getattr(error, "stderr", None) or ""
    lines = (said if isinstance(said, str) else said.decode(errors="replace")).strip().splitlines()
    return lines[-1] if lines else str(error)


def _ours(name: str, files: Files) -> Side:
    format_, bundle = OURS[name], files.bundle()
    given = {"bundle": str(bundle.directory), "format": format_}
    return Side(name, python_of("edgewright", files.work), "edgewright", given, _size(bundle, format_))


def _size(bundle: Bundle, format_: str) -> int:
    return bundle.choose(format=format_, precision="int8").size_bytes


def _bare(kind: str, format_: str) -> Callable[[str, Files], Side]:
    """The engine with a bare tokenizer, on the file of our bundle."""

    def make(name: str, files: Files) -> Side:
        bundle = files.bundle()
        model = bundle.directory / bundle.choose(format=format_, precision="int8").path
        return Side(name, python_of("bare", files.work), kind, _bare_files(files, model), model.stat().st_size)

    return make


def _bare_optimum(name: str, files: Files) -> Side:
    """The bare engine on Optimum's file: what the files alone make out."""
    model = files.optimum() / "model_quantized.onnx"
    given = _bare_files(files, model)
    return Side(name, python_of("bare", files.work), "onnxruntime", given, model.stat().st_size)


def _bare_files(files: Files, model: Path) -> dict[str, str]:
    beside = {name: str(files.model / f"{name}.json") for name in ("tokenizer", "config")}
    return {"model": str(model), **beside}


def _optimum(file: str) -> Callable[[str, Files], Side]:
    def make(name: str, files: Files) -> Side:
        home = files.optimum()
        given = {"model": str(home), "name": file, "config": str(files.model / "config.json")}
        return Side(name, python_of("optimum", files.work), "optimum", given, (home / file).stat().st_size)

    return make


def _pipeline(name: str, files: Files) -> Side:
    size = (files.model / "model.safetensors").stat().st_size
    return Side(name, python_of("transformers", files.work), "transformers", {"model": str(files.model)}, size)


def _llama(file: str) -> Callable[[str, Files], Side]:
    def make(name: str, files: Files) -> Side:
        path = files.llama() / file
        return Side(name, python_of("llama", files.work), "llama", {"model": str(path)}, path.stat().st_size)

    return make


MAKERS: dict[str, Callable[[str, Files], Side]] = {
    **dict.fromkeys(OURS, _ours),
    "bare onnxruntime, our int8": _bare("onnxruntime", "onnx"),
    "bare LiteRT, our int8": _bare("litert", "tflite"),
    "bare onnxruntime, Optimum's int8": _bare_optimum,
    "Optimum, int8": _optimum("model_quantized.onnx"),
    "Optimum, fp32": _optimum("model.onnx"),
    REFERENCE: _pipeline,
    "llama.cpp, q8_0": _llama("q8_0.gguf"),
    "llama.cpp, f32": _llama("f32.gguf"),
}


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
