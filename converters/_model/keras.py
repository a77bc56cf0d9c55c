"""The eager fp32 model of a Keras source: a `.keras` file or a SavedModel, loaded and run by TensorFlow.

It has the inputs and outputs of `_eager.Eager`. Each row of a batch runs by itself, without its padding, or padded with
zeros where the model has one fixed length: what a Keras model makes of padding is its own affair, and an artifact is
run in the same way.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright import registry
from edgewright.errors import SourceError, UnsupportedConversion
from edgewright.text.buckets import pad, rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.model.source import SourceJob

__all__ = ["Keras", "load", "load_to_convert", "run", "run_all"]

_FEEDS = {
    "attention_mask": ("mask",),
    "token_type_ids": ("token_type", "segment", "type_ids"),
    "input_ids": ("input_ids", "word_ids", "token_ids", "ids"),
}
"""What each of the tokenizer's arrays is called in others' models, the more telling words first."""


class Keras:
    """A model reduced to the inputs that it takes and the outputs that its task needs.

    Attributes:
        inputs: names of the tokenizer's arrays, in the order of the model's inputs.
        outputs: names of its outputs.
        length: the number of tokens that it takes, None for any.
        function: int32 (1, length) tensors in the order of `inputs` -> a tuple of tensors, a `tf.function`.
        model: the loaded object.
        variables: its weights, TensorFlow variables.
    """

    def __init__(
        self, model: Any, variables: Sequence[Any], given: Sequence[tuple[str, Any]], outputs: Sequence[str], call: Any
    ) -> None:
        self.model, self.variables, self.outputs = model, list(variables), tuple(outputs)
        self.inputs = _feed_names([name for name, _ in given])
        self.length = _length(given)
        self.function = _function(self, given, call)

    def parameters_count(self) -> int:
        """Number of weights."""
        return sum(int(np.prod(variable.shape)) for variable in self.variables)

    def row(self, feeds: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        """Arrays (1, n) as the function takes them: int32, and of the one length that the model has."""
        wanted = self.length or next(iter(feeds.values())).shape[1]
        return tuple(pad(feeds[name], wanted, np.int32) for name in self.inputs)


def load(source: SourceJob) -> Keras:
    """Load a source's Keras model.

    Raises:
        SourceError: it does not load, holds code, or its inputs, outputs or labels do not fit.
    """
    if source.keras is None:
        raise SourceError(f"{source.directory} is no Keras model")
    path, outputs = source.keras, registry.load("tasks", source.task).outputs
    with _quiet():
        model = _file(path, outputs) if path.suffix == ".keras" else _saved_model(path, outputs)
    if model.length and source.settings.max_length > model.length:
        what = f"{path.name} takes {model.length} tokens, the largest length is {source.settings.max_length}"
        raise SourceError(what, hint=f"give --max-length {model.length}")
    _check(model, path, len(source.settings.labels))
    return model


load_to_convert = load


def run(model: Keras, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """One batch: int64 (batch, length) arrays by name -> float32 arrays by output name."""
    given = [model.function(*model.row(row)) for row in rows(feeds)]
    return {
        name: np.concatenate([np.asarray(row[at], np.float32) for row in given])
        for at, name in enumerate(model.outputs)
    }


def run_all(model: Keras, batches: Sequence[Mapping[str, NDArray[Any]]], threads: int) -> list[dict[str, NDArray[Any]]]:
    """`run` on every batch, with TensorFlow's own threads."""
    del threads
    return [run(model, batch) for batch in batches]


def _file(path: Path, outputs: Sequence[str]) -> Keras:
    import tensorflow as tf

    try:
        model = tf.keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        hint = "a layer of your own is code that this file does not hold; save with model.export() as a SavedModel"
        raise SourceError(f"{path} does not load: {type(error).__name__}: {error}", hint=hint) from error
    _end_in_logits(model)
    named = model.input if isinstance(model.input, dict) else {}
    given = [(tensor.name, tensor) for tensor in (named.values() or model.inputs)]

    def call(*tensors: Any) -> Any:
        if named:
            return model(dict(zip(named, tensors, strict=True)), training=False)
        return model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)

    return Keras(model, [variable.value for variable in model.variables], given, outputs, call)


def _saved_model(path: Path, outputs: Sequence[str]) -> Keras:
    import tensorflow as tf

    try:
        model = tf.saved_model.load(path)
    except Exception as error:
        raise SourceError(f"{path} does not load: {type(error).__name__}: {error}", hint="copy it again") from error
    if "serving_default" not in model.signatures:
        has = ", ".join(model.signatures) or "none"
        raise SourceError(f"{path} has no signature serving_default, it has {has}", hint="save it with model.export()")
    signature = model.signatures["serving_default"]
    given = sorted(signature.structured_input_signature[1].items())

    def call(*tensors: Any) -> Any:
        return signature(**{name: t for (name, _), t in zip(given, tensors, strict=True)})

    return Keras(model, signature.variables, given, outputs, call)


def _function(model: Keras, given: Sequence[tuple[str, Any]], call: Any) -> Any:
    import tensorflow as tf

    count, wanted = len(model.outputs), set(model.outputs)

    def body(*ids: Any) -> tuple[Any, ...]:
        found = call(*(tf.cast(t, spec.dtype) for t, (_, spec) in zip(ids, given, strict=True)))
        if isinstance(found, dict):
            found = [found[name] for name in (model.outputs if wanted <= set(found) else list(found)[:count])]
        found = list(found) if isinstance(found, list | tuple) else [found]
        return tuple(tf.cast(t, tf.float32) for t in found[:count])

    return tf.function(
        body, input_signature=[tf.TensorSpec((1, model.length), tf.int32, name=name) for name in model.inputs]
    )


def _feed_names(names: Sequence[str]) -> tuple[str, ...]:
    """The tokenizer's name of each input; a single input is the token ids whatever it is called."""
    if len(names) == 1:
        return ("input_ids",)
    found = tuple(next((k for k, words in _FEEDS.items() if any(w in name for w in words)), name) for name in names)
    if not set(found) <= set(_FEEDS) or len(set(found)) < len(found):
        hint = f"name them {', '.join(sorted(_FEEDS))}"
        raise SourceError(f"the model's inputs are called {', '.join(names)}", hint=hint)
    return found


def _length(given: Sequence[tuple[str, Any]]) -> int | None:
    shapes = {name: tuple(spec.shape) for name, spec in given}
    lengths = {shape[1] for shape in shapes.values() if len(shape) == 2}
    if any(len(shape) != 2 for shape in shapes.values()) or len(lengths) != 1:
        words = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise SourceError(f"the model's inputs are {words}", hint="token ids of shape (batch, length) are wanted")
    (length,) = lengths
    return None if length is None else int(length)


def _end_in_logits(model: Any) -> None:
    """Leave out a softmax of the last layer: a task takes logits and makes the scores itself."""
    import tensorflow as tf

    last = model.layers[-1]
    if getattr(last, "activation", None) is tf.keras.activations.softmax:
        last.activation = tf.keras.activations.linear


def _check(model: Keras, path: Path, labels: int) -> None:
    """Run it once: outputs of the right number and size, finite, and no probabilities."""
    zeros = np.zeros((1, model.length or 8), np.int64)
    try:
        found = run(model, dict.fromkeys(("attention_mask", *model.inputs), zeros + 1))
    except Exception as error:
        raise SourceError(f"{path} does not run: {type(error).__name__}: {error}") from error
    first = found[model.outputs[0]]
    if labels and first.shape[-1] != labels:
        hint = "name one label for each output" + (", and give two outputs to two classes" * (first.shape[-1] == 1))
        raise SourceError(f"{labels} labels were given, {path.name} has {first.shape[-1]} outputs", hint=hint)
    if not all(bool(np.isfinite(array).all()) for array in found.values()):
        raise SourceError(f"{path} gives NaN or infinity", hint="the training diverged; take an earlier checkpoint")
    if labels > 1 and first.min() >= 0 and abs(float(first.sum(-1).max()) - 1) < 1e-4:
        hint = "save it as a .keras file that ends in the Dense layer, or without the softmax"
        raise UnsupportedConversion(f"{path.name} gives probabilities, the task takes logits", hint=hint)


@contextlib.contextmanager
def _quiet() -> Any:
    """TensorFlow on the CPU, without its greetings."""
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    yield
