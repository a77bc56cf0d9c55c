"""TFLite metadata: what MediaPipe's text classifier reads of a model, and the vocabulary and labels packed behind it.

The tables are those of TensorFlow Lite's public metadata_schema.fbs, identifier M001, by the numbers of their fields.
MediaPipe 1.2 takes files of one subgraph only, so what it shall open is cut out of an artifact: the longest length with
its weights. The model has three inputs (ids, mask, segment ids) and a lower-case WordPiece vocabulary, as BERT and
ELECTRA have; DistilBERT and RoBERTa take two inputs, which it refuses. It shows scores as they come, so that a softmax
stands behind the logits. An encoder's output, a vector for each token, is no embedding of a text to it.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgewright.converters._tflite import file
from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edgewright.bundle.manifest import Settings
    from edgewright.exporting.mediapipe import MediapipeRequest

__all__ = ["export", "for_mediapipe"]

_FIELD, _IDENTIFIER, _PARSER = "TFLITE_METADATA", b"M001", "1.2.0"
_NAMES = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "segment_ids"}
_VOCABULARY, _LABELS = "vocab.txt", "labels.txt"
_VALUE_LABELS, _VOCABULARY_FILE, _BERT_TOKENIZER, _FEATURE = 2, 5, 4, 1
"""Values of the enum AssociatedFileType and of the unions ProcessUnitOptions and ContentProperties."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date a ZIP file can hold: the same inputs build the same bytes."""


def export(request: MediapipeRequest, progress: Callable[[str], None]) -> None:
    """Make of the artifact what `for_mediapipe` gives, and write it to `out`."""
    progress("add vocabulary and labels")
    request.out.write_bytes(for_mediapipe(request.artifact.read_bytes(), request.settings, request.tokenizer))


def for_mediapipe(data: bytes, settings: Settings, tokenizer: Path) -> bytes:
    """The longest length of a classifier's file alone, with metadata, vocabulary and labels.

    Args:
        data: an artifact of this converter, the longest length first.
        settings: the labels are taken from it.
        tokenizer: the directory with tokenizer.json.

    Raises:
        UnsupportedConversion: the inputs or the tokenizer are of a kind that MediaPipe does not take.
    """
    words, model = _vocabulary(tokenizer), file.read(data)
    first = model.subgraphs[0]
    order = _order([first.tensors[at].name.decode() for at in first.inputs])
    model.subgraphs = [first]
    model.signatureDefs = [s for s in model.signatureDefs if s.subgraphIndex == 0]
    _give_probabilities(model, first, settings.problem)
    _add(model, _tables(order, len(first.outputs)))
    return _packed(file.write(model), {_VOCABULARY: words, _LABELS: settings.labels})


def _give_probabilities(model: Any, graph: Any, problem: str) -> None:
    """Put a softmax behind the logits, or a sigmoid where labels exclude nothing."""
    logits = graph.tensors[graph.outputs[0]]
    found, step = schema.TensorT(), schema.OperatorT()
    found.name, found.shape, found.type, found.buffer = b"probabilities", logits.shape, logits.type, 0
    found.shapeSignature = logits.shapeSignature
    graph.tensors.append(found)
    at = len(graph.tensors) - 1
    if problem == "multi_label":
        step.opcodeIndex = file.operator_code(model, schema.BuiltinOperator.LOGISTIC)
    else:
        step.opcodeIndex = file.operator_code(model, schema.BuiltinOperator.SOFTMAX)
        step.builtinOptionsType, step.builtinOptions = schema.BuiltinOptions.SoftmaxOptions, schema.SoftmaxOptionsT()
        step.builtinOptions.beta = 1.0
    step.inputs, step.outputs = [graph.outputs[0]], [at]
    graph.operators.append(step)
    graph.outputs = [at]
    for signature in model.signatureDefs:
        for output in signature.outputs:
            output.name, output.tensorIndex = found.name, at


def _order(inputs: Sequence[str]) -> list[str]:
    """MediaPipe's words for the inputs of a file, in their order. Raises UnsupportedConversion."""
    known = [known for name in inputs for known in _NAMES if name.endswith(known)]
    if len(inputs) != len(_NAMES) or sorted(known) != sorted(_NAMES):
        raise UnsupportedConversion(
            f"MediaPipe takes models of the inputs {', '.join(_NAMES)}; this one has {', '.join(known or inputs)}",
            hint="BERT and ELECTRA have the three, DistilBERT and RoBERTa no token types",
        )
    return [_NAMES[name] for name in known]


def _add(model: Any, tables: bytes) -> None:
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(tables, np.uint8)
    entry.name, entry.buffer = _FIELD, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    file.without_unused(model)


def _vocabulary(directory: Path) -> list[str]:
    """The words of a lower-case WordPiece tokenizer in the order of their ids. Raises UnsupportedConversion."""
    tokenizer = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    kind, normalizer = tokenizer["model"].get("type"), tokenizer.get("normalizer") or {}
    if kind != "WordPiece" or not normalizer.get("lowercase"):
        case = "" if kind != "WordPiece" else " that keeps upper case"
        raise UnsupportedConversion(
            f"MediaPipe's tokenizer is a lower-case WordPiece one, the model's is {kind}{case}",
            hint="`edgewright run` runs every tokenizer",
        )
    ids: dict[str, int] = {**tokenizer["model"]["vocab"], **{t["content"]: t["id"] for t in tokenizer["added_tokens"]}}
    words = sorted(ids, key=ids.__getitem__)
    if [ids[word] for word in words] != list(range(len(words))):
        raise UnsupportedConversion(
            f"the vocabulary's {len(words)} words have ids up to {max(ids.values())}, with gaps"
        )
    return words


def _packed(data: bytes, files: Mapping[str, Sequence[str]]) -> bytes:
    """The file with a zip archive behind it, uncompressed and of a fixed date."""
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as archive:
        for name, lines in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), "\n".join(lines) + "\n")
    return out.getvalue()


def _tables(inputs: Sequence[str], outputs: int) -> bytes:
    """The ModelMetadata of a classifier."""
    builder = flatbuffers.Builder(1024)
    vocabulary = _file(builder, _VOCABULARY, _VOCABULARY_FILE)
    tokenizer = _table(builder, {0: _vector(builder, [vocabulary])})
    unit = _table(builder, {1: tokenizer}, {0: _BERT_TOKENIZER})
    given = [_tensor(builder, name, []) for name in inputs]
    labels = _file(builder, _LABELS, _VALUE_LABELS)
    found = [_tensor(builder, "scores", [labels]) for _ in range(outputs)]
    graph = _table(builder, {2: _vector(builder, given), 3: _vector(builder, found), 5: _vector(builder, [unit])})
    name, parser = builder.CreateString("edgewright"), builder.CreateString(_PARSER)
    root = _table(builder, {0: name, 3: _vector(builder, [graph]), 7: parser})
    builder.Finish(root, file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _file(builder: Any, name: str, kind: int) -> int:
    return _table(builder, {0: builder.CreateString(name)}, {2: kind})


def _tensor(builder: Any, name: str, files: Sequence[int]) -> int:
    content = _table(builder, {1: _table(builder, {})}, {0: _FEATURE})
    return _table(builder, {0: builder.CreateString(name), 3: content, 6: _vector(builder, files)})


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _table(builder: Any, offsets: Mapping[int, int], numbers: Mapping[int, int] | None = None) -> int:
    """A table of references and one-byte numbers by the number of the field."""
    builder.StartObject(8)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, number in (numbers or {}).items():
        builder.PrependUint8Slot(field, number, 0)
    return int(builder.EndObject())
