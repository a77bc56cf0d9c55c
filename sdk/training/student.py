"""Students: layers taken from a model, or a model of another size that begins at random."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.errors import UsageError
from edgewright.model.sizes import NAMES, Sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.model.source import Source
    from edgewright.tasks import Task

__all__ = ["Shape", "check_sizes", "student_of", "take_layers"]

_FIELDS = {"width": "width", "heads": "heads", "feed_forward": "inner", "embedding": "embedding"}
"""What the sizes of a shape are in `edgewright.model.sizes`."""


@dataclass(frozen=True)
class Shape:
    """What a student looks like; what is not given is as in the model that it comes from.

    Attributes:
        take: layers to take over, counted from 0, in order; empty for all of them.
        layers: their number, for a student that begins at random.
        width: of the hidden states; with any of the sizes the student begins at random.
        heads: of attention, in each layer.
        feed_forward: neurons of each layer.
        embedding: width of a factorised embedding, for architectures that have one.
    """

    take: tuple[int, ...] = ()
    layers: int = 0
    width: int = 0
    heads: int = 0
    feed_forward: int = 0
    embedding: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError for a shape that cannot be."""
        if self.take and self.at_random:
            raise UsageError("layers are taken over, or the student has sizes of its own, not both", hint="leave one")
        if list(self.take) != sorted(set(self.take)):
            raise UsageError(f"layers {', '.join(map(str, self.take))} are not in order", hint="such as 0,2,5")

    @property
    def at_random(self) -> bool:
        """Whether the student begins at random."""
        return any((self.layers, self.width, self.heads, self.feed_forward, self.embedding))


def check_sizes(config: Mapping[str, Any], shape: Shape) -> None:
    """Raise UsageError where heads do not divide the width, with what `config`, a config.json, says of the others."""
    known = Sizes.of(config)
    width, heads = shape.width or known.width, shape.heads or known.heads
    if width and heads and width % heads:
        raise UsageError(f"width {width} is no multiple of {heads} heads", hint="change --width or --heads")


def student_of(source: Source, task: Task, shape: Shape, seed: int) -> Any:
    """A student with the head of `task`.

    Raises:
        UsageError: the model has no such layer, or its architecture no such size.
    """
    from edgewright.training._models import Model, load

    if shape.at_random:
        return Model(_at_random(source, task, shape, seed), task.outputs)
    model = load(source, task, seed=seed)
    if shape.take:
        take_layers(model.inner, shape.take)
    return model


def take_layers(model: Any, take: tuple[int, ...]) -> None:
    """Keep these layers of a model of transformers, and say so in its configuration."""
    from torch import nn

    count = model.config.num_hidden_layers
    if take[-1] >= count:
        raise UsageError(f"layer {take[-1]} is asked, the model has {count}", hint=f"count from 0 to {count - 1}")
    stacks = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == count
    ]
    if len(stacks) != 1:
        raise UsageError(f"{type(model).__name__} has {len(stacks)} stacks of {count} layers, one is needed")
    parent, name = stacks[0]
    setattr(parent, name, nn.ModuleList([getattr(parent, name)[at] for at in take]))
    model.config.num_hidden_layers = len(take)
    if hasattr(model.config, "layer_types") and model.config.layer_types:
        model.config.layer_types = [model.config.layer_types[at] for at in take]


def _at_random(source: Source, task: Task, shape: Shape, seed: int) -> Any:
    import torch
    import transformers

    from edgewright.training._models import load

    config = copy.deepcopy(load(source, task).inner.config)
    if shape.layers:
        config.num_hidden_layers = shape.layers
    for field, size in _FIELDS.items():
        wanted = getattr(shape, field)
        known = next((name for name in NAMES[size] if hasattr(config, name)), None)
        if wanted and known is None:
            raise UsageError(f"{config.model_type} has no size that {field} sets", hint="leave it out")
        if wanted:
            setattr(config, str(known), wanted)
    check_sizes(config.to_dict(), shape)
    torch.manual_seed(seed)
    return getattr(transformers, task.auto_class).from_config(config)
