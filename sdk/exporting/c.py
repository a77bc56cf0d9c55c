"""A C project: an artifact for ONNX Runtime or LiteRT with a tokenizer and the tasks in C99, without Python.

The engine is loaded when a model is opened, through its C interface; its header is not needed, and nothing of it is in
the project.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgewright.bundle.bundle import Bundle
from edgewright.bundle.external_data import candidates_of, encoder_of, narrow_of, weights_of
from edgewright.bundle.head_first import head_first
from edgewright.errors import SourceError, UnsupportedConversion
from edgewright.exporting.chat_form import chat_form
from edgewright.exporting.tokenizer_file import tokenizer_file
from edgewright.exporting.weights_aside import weights_aside
from edgewright.generation.defaults import Defaults, translation_defaults
from edgewright.system.atomic import staged
from edgewright.system.licences import licences_of, own_licences
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edgewright.bundle.manifest import Artifact, Manifest, TensorSpec
    from edgewright.tasks import Task

__all__ = ["SOURCES", "TASKS", "chat_notes", "export_c", "fit", "write_assets", "write_licences"]

_MARKER = "edgewright.h"
"""What a directory must hold to be replaced."""
_SETTINGS = "model.txt"
"""Of the files that the C core opens, the one that says what the model is."""
SOURCES = Path(__file__).with_name("c_project")
"""The C core and its project."""
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What the C core can give a model."""
TASKS = (
    "text-classification",
    "token-classification",
    "fill-mask",
    "question-answering",
    "feature-extraction",
    "text-ranking",
    "zero-shot-classification",
    "text-generation",
    "translation",
)
"""What `edgewright.c` answers; the last two are written, by `ew_stream` and `ew_translate`."""
_CACHE = "past_key_values."
"""How the names of a decoder's keys and values begin."""
_STATE = "past_conv."
"""And those of the states of its short convolutions."""
_LITERT_CACHE = "kv_cache_"
"""The same in a file for LiteRT, which beside them takes these:"""
_LITERT_GIVEN = {"tokens": "int32", "input_pos": "int32"}
"""Their types."""
_EXECUTORCH_GIVEN = ("input_ids", "start")
"""What a decoder for ExecuTorch takes, which only the Kotlin library opens; its cache lies in the program."""
_CACHE_RANK = 4
"""Their dimensions: texts, heads, tokens, width."""
_CACHED = ("float32", "float16", "int8")
"""What they can be."""
_TRANSLATOR_GIVEN = {
    "input_ids": "int64",
    "position": "int64",
    "ends": "int32",
    "total": "int32",
    "attention_mask": "int64",
}
"""What a translator's decoder takes beside keys and values, and their types."""
_OWN, _CROSS = ".decoder.", ".encoder."
"""Parts of the names of a translator's keys and values: those of what is written, and of what was read."""
_LITERT_TRANSLATOR_GIVEN = {**_LITERT_GIVEN, "attention_mask": "int32"}
"""What it takes in a file for LiteRT, beside such keys and values, and those of what was read:"""
_LITERT_CROSS = "cross_"
"""How their names begin."""
_WHOLE = ("top_k", "no_repeat_ngram_size")
"""The settings of sampling that are counts."""


def export_c(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    format: Literal["onnx", "ort", "tflite"] = "onnx",  # noqa: A002
    precision: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Artifact:
    """Write a CMake project whose program answers as the bundle does, and give the artifact that is in it.

    Beside the sources stands `assets`: the model, `tokenizer.bin`, `model.txt` with the settings, and `vectors.json`,
    the bundle's golden cases with offsets, for tests on the far side.

    Args:
        bundle: a bundle with such an artifact, of a task that is answered by one run, of a decoder, whose template
            for chats comes along where it is no more than texts around messages, or of a translator in ONNX or TFLite.
        out: the directory to write.
        format: of the artifact; the program maps an `ort` file, whose weights the engine then uses where they lie. The
            weights of an `onnx` file are put beside it, and the engine maps those. For a `tflite` file it is LiteRT.
        precision: which artifact; by default the smallest that passed its gates.
        force: replace such a project that is at `out` already.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: there is no such artifact, or its file is not what the manifest says.
        UnsupportedConversion: the task, the tokenizer or an input is none that the C core has.
        StorageError: `out` exists, or cannot be written.
    """
    opened, artifact = fit(bundle, format=format, precision=precision, translators=("onnx", "tflite"))
    with staged(Path(out), marker=_MARKER, force=force) as work:
        shutil.copytree(SOURCES, work, dirs_exist_ok=True)
        write_licences(opened, work)
        write_assets(opened, artifact, work / "assets", progress=progress, maps=True)
    return artifact


def write_licences(bundle: Bundle, project: Path) -> None:
    """Into a project's directory: edgewright's own, whose sources are in it, and what the bundle has of its model's."""
    for name, text in own_licences().items():
        (project / name).write_text(text, encoding="utf-8", newline="\n")
    for path in licences_of(bundle.directory):
        shutil.copyfile(path, project / f"MODEL_{path.name}")


def chat_notes(exported: str | Path) -> list[str]:
    """What to say of an export whose model writes after prompts, and takes no messages; nothing of any other."""
    lines = [line for path in Path(exported).rglob(_SETTINGS) for line in path.read_text(encoding="utf-8").splitlines()]
    refused = (line.partition(" ")[2] for line in lines if line.startswith("chat_refused "))
    return [f"it takes prompts and no messages: {why}" for why in refused]


def fit(
    bundle: Bundle | str | Path,
    *,
    format: str,  # noqa: A002
    precision: str | None,
    translators: Sequence[str] = ("onnx",),
) -> tuple[Bundle, Artifact]:
    """The bundle, and its artifact that apps can answer with, every file of both checked.

    `translators` are the formats with which they can translate. Raises BundleError and UnsupportedConversion, as
    `export_c` does.
    """
    opened = Bundle.of(bundle)
    artifact = opened.choose(format=format, precision=precision)
    _check(opened.manifest, artifact, translators)
    for path in (*opened.parts(artifact), *opened.text_files()):
        opened.checked(path)
    return opened, artifact


def write_assets(
    opened: Bundle, artifact: Artifact, assets: Path, *, progress: Callable[[str], None], maps: bool = False
) -> None:
    """Make the directory that the C core opens. Raises UnsupportedConversion for the tokenizer.

    An ONNX graph that `maps` what lies beside it has its weights there, and a decoder's the order that ONNX Runtime
    opens in the least memory.
    """
    progress("asking the tokenizer of every character")
    data = tokenizer_file((opened.directory / "tokenizer.json").read_bytes(), offsets=not opened.task().generates)
    assets.mkdir()
    shortlist = {candidates_of(artifact.path), narrow_of(artifact.path)}  # the core has the whole vocabulary
    for path in (path for path in opened.parts(artifact) if path not in shortlist):
        shutil.copyfile(opened.directory / path, assets / Path(path).name)
    if maps and artifact.format == "onnx" and opened.manifest.task != "translation":  # whose graphs share a file
        _lay_out(assets / Path(artifact.path).name)
    (assets / "tokenizer.bin").write_bytes(data)
    (assets / _SETTINGS).write_text(_settings(opened, artifact), encoding="utf-8", newline="\n")
    vectors = list(_vectors(opened, artifact))
    (assets / "vectors.json").write_text(json.dumps(vectors, indent=1, ensure_ascii=False), encoding="utf-8")


def _lay_out(graph: Path) -> None:
    """Have ONNX Runtime open a graph in less memory."""
    beside = graph.with_name(weights_of(graph.name))
    if beside.exists():
        graph.write_bytes(head_first(graph.read_bytes()))
        return
    model, weights = weights_aside(graph.read_bytes(), beside.name)
    if weights:
        graph.write_bytes(model)
        beside.write_bytes(weights)


def _check(manifest: Manifest, artifact: Artifact, translators: Sequence[str]) -> None:
    if manifest.task not in TASKS:
        hint = f"it answers {', '.join(TASKS)}"
        raise UnsupportedConversion(f"the C core has no task {manifest.task}", hint=hint)
    if any(one.name.startswith(_STATE) for one in artifact.inputs):
        what = f"the C core keeps keys and values alone, {artifact.path} has short convolutions too"
        raise UnsupportedConversion(
            what, hint="edgewright run and serve write with it, as transformers.js does in a page"
        )
    if manifest.task == "translation" and artifact.format not in translators:
        what = f"such an app translates with {' and '.join(translators)} alone, {artifact.path} is {artifact.format}"
        raise UnsupportedConversion(what, hint="take --format onnx")
    looks = {"text-generation": _strange_of_decoder, "translation": _strange_of_translator}
    strange = looks.get(manifest.task, _strange)(artifact)
    if strange:
        names = ", ".join(f"{one.name} ({one.dtype})" for one in strange)
        raise UnsupportedConversion(f"the C core neither gives nor reads {names} of {artifact.path}")


def _strange(artifact: Artifact) -> list[TensorSpec]:
    """What of an artifact the C core neither gives nor reads."""
    inputs = [one for one in artifact.inputs if one.name not in _INPUTS or one.dtype not in ("int64", "int32")]
    return inputs + [one for one in artifact.outputs if one.dtype != "float32"]


def _strange_of_decoder(artifact: Artifact) -> list[TensorSpec]:
    if artifact.format == "tflite":
        known = _LITERT_GIVEN | {one.name: "float32" for one in artifact.inputs if one.name.startswith(_LITERT_CACHE)}
        return [one for one in artifact.inputs if one.dtype != known.get(one.name)]
    given: tuple[str, ...] = ("input_ids", "attention_mask", "position_ids", "num_logits_to_keep")
    given = _EXECUTORCH_GIVEN if artifact.format == "executorch" else given
    cached = [one for one in artifact.inputs if one.name.startswith(_CACHE)]
    strange = [one for one in artifact.inputs if one not in cached and (one.name not in given or one.dtype != "int64")]
    strange += [one for one in cached if one.dtype not in _CACHED or len(one.shape) != _CACHE_RANK]
    logits = [one for one in artifact.outputs if one.name == "logits"]
    return strange + [one for one in logits if one.dtype != "float32" or not isinstance(one.shape[-1], int)]


def _strange_of_translator(artifact: Artifact) -> list[TensorSpec]:
    if artifact.format == "tflite":
        kept = [one for one in artifact.inputs if one.name.startswith((_LITERT_CACHE, _LITERT_CROSS))]
        known = _LITERT_TRANSLATOR_GIVEN | {one.name: "float32" for one in kept}
        return [one for one in artifact.inputs if one.dtype != known.get(one.name)]
    caches = [one for one in artifact.inputs if one.name.startswith(_CACHE)]
    strange = [one for one in artifact.inputs if one not in caches and one.dtype != _TRANSLATOR_GIVEN.get(one.name)]
    strange += [one for one in caches if one.dtype != "float32" or len(one.shape) != _CACHE_RANK]
    logits = [one for one in artifact.outputs if one.name == "logits"]
    return strange + [one for one in logits if one.dtype != "float32" or not isinstance(one.shape[-1], int)]


def _settings(opened: Bundle, artifact: Artifact) -> str:
    """model.txt: a word and a value a line; line breaks and backslashes are escaped."""
    if opened.manifest.task == "text-generation":
        return _lines([*_of_decoder(opened, artifact), *_of_chat(opened)])
    if opened.manifest.task == "translation":
        return _lines(_of_translator(opened, artifact))
    task, tokenizer, settings = opened.task(), opened.tokenizer(), opened.manifest.settings
    said = {
        "task": task.name,
        "model": Path(artifact.path).name,
        "max_length": settings.max_length,
        "characters": settings.characters,
        "problem": settings.problem,
        "activation": settings.activation,
        "pooling": settings.pooling,
        "normalize": int(settings.normalize),
        "prompt": settings.prompt,
        "cut_left": int(tokenizer.cuts_left),
        "pads_left": int(tokenizer.pads_left),
        "pad_id": tokenizer.pad_id,
        "mask": tokenizer.mask_token if task.name == "fill-mask" else "",
        "unknown": tokenizer.token(tokenizer.unknown_id) if tokenizer.unknown_id >= 0 else "",
    }
    lists = [("label", label) for label in settings.labels]
    lists += [("input", f"{one.dtype} {one.name}") for one in artifact.inputs]
    return _lines([*said.items(), *lists, *(("output", name) for name in task.outputs)])


def _of_decoder(opened: Bundle, artifact: Artifact) -> list[tuple[str, Any]]:
    defaults = Defaults.of(opened.directory)
    given = {name: value for name, value in asdict(defaults.sampling).items() if value is not None}
    sampling = {name: (int if name in _WHOLE else float)(value) for name, value in given.items()}
    logits = next(one for one in artifact.outputs if one.name == "logits")
    said: list[tuple[str, Any]] = [
        ("task", opened.manifest.task),
        ("model", Path(artifact.path).name),
        ("max_length", min([opened.manifest.settings.max_length, *_slots(artifact)])),
        ("vocabulary", logits.shape[-1]),
        ("places", int(any(one.name == "position_ids" for one in artifact.inputs))),
        ("sampling", json.dumps(sampling)),
    ]
    said += [("end", end) for end in sorted(defaults.ends)]
    for one in artifact.inputs:
        if one.name.startswith(_CACHE):
            said.append(("cache", f"{one.dtype} {one.shape[1]} {one.shape[3]} {one.name}"))
    return said


def _of_translator(opened: Bundle, artifact: Artifact) -> list[tuple[str, Any]]:
    settings = opened.manifest.settings
    rules, search = translation_defaults(opened.directory, settings.max_length)
    asked = asdict(search)
    del asked["max_new_tokens"]  # which is as many as the model reads
    logits = next(one for one in artifact.outputs if one.name == "logits")
    said: list[tuple[str, Any]] = [
        ("task", opened.manifest.task),
        ("model", Path(artifact.path).name),
        *([("encoder", Path(encoder_of(artifact.path)).name)] if artifact.format == "onnx" else ()),
        ("max_length", min([settings.max_length, *_slots(artifact)])),
        ("prompt", settings.prompt),
        ("vocabulary", logits.shape[-1]),
        ("places", int(any(one.name == "position" for one in artifact.inputs))),
        ("search", json.dumps(asked)),
        ("start", rules.start),
        ("forced", -1 if rules.forced is None else rules.forced),
        ("renormalize", int(rules.renormalize)),
        ("letter", _ranges("letter")),
        ("lower", _ranges("lower")),
    ]
    said += [("end", end) for end in sorted(rules.ends)]
    said += [("banned", one) for one in rules.banned]
    for one in artifact.inputs:
        if _OWN in one.name:
            said.append(("cache", f"{one.dtype} {one.shape[1]} {one.shape[3]} {one.name}"))
    return said + [("cross", one.name) for one in artifact.inputs if _CROSS in one.name]


@cache
def _ranges(kind: Literal["letter", "lower"]) -> str:
    """The characters that sentences are told apart by, as `edgewright.text.sentences` asks Python: `61-7a,aa`."""
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    if kind == "lower":
        every = "".join("a" if one.islower() else " " for one in every)
    spans = (match.span() for match in re.finditer(r"[^\W\d_]+", every))
    return ",".join(f"{begin:x}-{end - 1:x}" if end - begin > 1 else f"{begin:x}" for begin, end in spans)


def _slots(artifact: Artifact) -> list[int]:
    """The tokens that each cache has room for, where a file has a fixed number of them."""
    cached = [one for one in artifact.inputs if one.name.startswith(_LITERT_CACHE)]
    return [one.shape[2] for one in cached if isinstance(one.shape[2], int)]


def _of_chat(opened: Bundle) -> list[tuple[str, Any]]:
    try:
        form = chat_form(opened.directory, opened.tokenizer().special_tokens)
    except (SourceError, UnsupportedConversion) as error:
        return [("chat_refused", error.message.replace(str(opened.directory), "the bundle"))]
    around = [
        (f"chat_{place}_{role}", text)
        for role, texts in form.around.items()
        for place, text in zip(("before", "after"), texts, strict=True)
    ]
    said = [("chat_begin", form.begin), ("chat_unsaid", form.unsaid), ("chat_answer", form.answer), *around]
    return [*said, ("chat_trims", int(form.trims)), ("chat_in_turns", int(form.in_turns))]


def _lines(said: Iterable[tuple[str, Any]]) -> str:
    return "\n".join(["edgewright 1", *(f"{name} {_escaped(str(value))}" for name, value in said), ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _vectors(opened: Bundle, artifact: Artifact) -> Iterator[dict[str, Any]]:
    task: Task = opened.task()
    tokenizer = opened.tokenizer()
    for case in opened.golden().cases:
        encoding = task.encode(tokenizer, [case.text])
        rows = zip(encoding.feeds["input_ids"], encoding.feeds["attention_mask"], strict=True)
        yield {
            "text": case.text,
            "ids": [ids[mask > 0].tolist() for ids, mask in rows],
            "offsets": [list(row) for row in encoding.offsets],
            "outputs": case.outputs.get(artifact.path, ()),
            "answer": case.answer,
            **({"tokens": case.tokens[artifact.path]} if case.tokens and artifact.path in case.tokens else {}),
        }
