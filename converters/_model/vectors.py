"""Models that give one vector of a text themselves: sentence-transformers' modules, static embeddings, CLIP's text.

What sentence-transformers puts behind a transformer becomes part of the graph, in its order: pooling in all modes
(Reimers and Gurevych 2019, arXiv 1908.10084, section 3; weighted mean: Muennighoff 2022, arXiv 2202.08904, section 3),
Dense, LayerNorm, Normalize; of SetFit the linear head as well.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgewright.errors import SourceError
from edgewright.model.known import read_json
from edgewright.model.settle import HEAD, TABLE

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.sentence import Modes, Step
    from edgewright.model.source import SourceJob

__all__ = ["Pooled", "StaticEmbedding", "TextTower", "around"]

_LEAST = 1e-9
"""Of the number of tokens, as sentence-transformers has it."""
_LEAST_NORM = 1e-12
"""torch.nn.functional.normalize's own."""


def around(source: SourceJob, body: nn.Module | None) -> nn.Module | None:
    """The module that gives the vectors of `source`, or its logits; None where `body` does what its task needs.

    Args:
        source: read from its plain directory.
        body: the transformer, None for static embeddings.

    Raises:
        SourceError: weights of a module are missing, or do not fit.
    """
    if source.kind == "static":
        table: nn.Module = StaticEmbedding(source.directory)
        return _behind(source, table, ())
    if body is not None and source.settings.pooling == "model" and source.sentence is None:
        return TextTower(body)
    if body is None or source.sentence is None or source.sentence.cross:
        return None
    needed = source.kind == "setfit" or source.settings.pooling == "model"
    return _behind(source, body, source.sentence.modes) if needed else None


def _behind(source: SourceJob, body: nn.Module, modes: Modes) -> nn.Module:
    steps = source.sentence.steps if source.sentence else ()
    parts = [_module(step, source.directory) for step in steps]
    if source.kind == "setfit":
        parts += _head(source.directory / HEAD)
    pooled = Pooled(body, modes, nn.Sequential(*parts), "logits" if source.kind == "setfit" else "sentence_embedding")
    _check_widths(pooled, source)
    return pooled


class Pooled(nn.Module):  # type: ignore[misc]  # torch is not followed
    """A body, its tokens pooled to one vector, and what comes behind: (batch, length) ids -> {name: (batch, width)}."""

    def __init__(self, body: nn.Module, modes: Modes, behind: nn.Module, name: str) -> None:
        super().__init__()
        self.body, self.modes, self.behind, self.name = body, modes, behind, name
        self.config = getattr(body, "config", None)

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> dict[str, Any]:
        """Run it; segment ids for bodies that take them."""
        more = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        given = self.body(input_ids=input_ids, attention_mask=attention_mask, **more)
        if isinstance(given, torch.Tensor):
            vector = given
        else:
            hidden = given.last_hidden_state
            mask = attention_mask.to(hidden.dtype).unsqueeze(-1)
            vector = torch.cat([_POOLINGS[mode](hidden, mask) for mode in self.modes], dim=-1)
        return {self.name: self.behind(vector)}

    def get_input_embeddings(self) -> Any:
        """The table of tokens."""
        return self.body.get_input_embeddings()

    def set_attn_implementation(self, name: str) -> None:
        """As transformers' models take it."""
        if hasattr(self.body, "set_attn_implementation"):
            self.body.set_attn_implementation(name)


class StaticEmbedding(nn.Module):  # type: ignore[misc]  # torch is not followed
    """The mean of the tokens' rows of a table: int64 (batch, length) ids and mask -> float32 (batch, width)."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        from safetensors.torch import load_file

        config = read_json(directory / "config.json", dict[str, Any])
        table = load_file(directory / "model.safetensors")[TABLE]
        self.embedding = nn.Embedding.from_pretrained(table, freeze=True)
        self.unknown, self.normalize = config.get("unknown_id"), bool(config.get("normalize"))

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Run it."""
        mask = attention_mask if self.unknown is None else attention_mask * (input_ids != self.unknown).long()
        weights = mask.to(self.embedding.weight.dtype).unsqueeze(-1)
        mean = (self.embedding(input_ids) * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=_LEAST)
        return nn.functional.normalize(mean, dim=-1, eps=_LEAST_NORM) if self.normalize else mean

    def get_input_embeddings(self) -> nn.Embedding:
        """The table."""
        return self.embedding


class TextTower(nn.Module):  # type: ignore[misc]  # torch is not followed
    """CLIP's text model with its own pooling, projected where it has a projection."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower, self.config = tower, tower.config

    def forward(self, input_ids: Any, attention_mask: Any) -> dict[str, Any]:
        """Run it."""
        given = self.tower(input_ids=input_ids, attention_mask=attention_mask)
        found = getattr(given, "text_embeds", None)
        return {"sentence_embedding": given.pooler_output if found is None else found}

    def get_input_embeddings(self) -> Any:
        """The table of tokens."""
        return self.tower.get_input_embeddings()

    def set_attn_implementation(self, name: str) -> None:
        """As transformers' models take it."""
        self.tower.set_attn_implementation(name)


class _Normalize(nn.Module):  # type: ignore[misc]  # torch is not followed
    def forward(self, vector: Any) -> Any:
        return nn.functional.normalize(vector, p=2.0, dim=-1, eps=_LEAST_NORM)


class _Dense(nn.Module):  # type: ignore[misc]  # torch is not followed
    def __init__(self, weights: dict[str, Any], step: Step) -> None:
        super().__init__()
        self.linear = _linear(weights["linear.weight"], weights.get("linear.bias"))
        named = getattr(nn, step.activation)
        self.activation = named(dim=-1) if step.activation == "Softmax" else named()
        own = weights.get("residual.weight")
        self.residual = nn.Identity() if own is None else _linear(own, None)
        self.adds = step.residual

    def forward(self, vector: Any) -> Any:
        out = self.activation(self.linear(vector))
        return out + self.residual(vector) if self.adds else out


def _module(step: Step, directory: Path) -> nn.Module:
    """A module behind the pooling, with its weights. Raises SourceError."""
    if step.kind == "Normalize":
        return _Normalize()
    home = directory / step.path
    weights, wanted = _weights(home), ("linear.weight",) if step.kind == "Dense" else ("norm.weight", "norm.bias")
    missing = [name for name in wanted if name not in weights]
    if missing:
        raise SourceError(f"weights {', '.join(missing)} are missing from {home}", hint="copy the model again")
    if step.kind == "Dense":
        return _Dense(weights, step)
    norm = nn.LayerNorm(weights["norm.weight"].shape[0])
    norm.load_state_dict({"weight": weights["norm.weight"].float(), "bias": weights["norm.bias"].float()})
    return norm


def _weights(home: Path) -> dict[str, Any]:
    """The weights of a module: safetensors, or a pickle that torch reads as weights alone. Raises SourceError."""
    from safetensors.torch import load_file

    try:
        if (home / "model.safetensors").is_file():
            return dict(load_file(home / "model.safetensors"))
        return dict(torch.load(home / "pytorch_model.bin", map_location="cpu", weights_only=True))
    except Exception as error:
        what = f"the weights in {home} cannot be read: {type(error).__name__}: {error}"
        raise SourceError(what, hint="copy or download the model again") from error


def _linear(weight: Any, bias: Any) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight = nn.Parameter(weight.float())
    if bias is not None:
        linear.bias = nn.Parameter(bias.float())
    return linear


def _head(path: Path) -> list[nn.Module]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        head = _linear(file.get_tensor("weight"), file.get_tensor("bias"))
        normalized = json.loads((file.metadata() or {}).get("normalize", "false"))
    return [_Normalize(), head] if normalized else [head]


def _check_widths(pooled: Pooled, source: SourceJob) -> None:
    """Refuse modules that do not fit each other, by one row of tokens."""
    row = torch.ones((1, 2), dtype=torch.long)
    try:
        with torch.inference_mode():
            pooled.eval()(row, row)
    except RuntimeError as error:
        what = f"the modules of {source.origin} do not fit each other: {error}"
        raise SourceError(what, hint="are in_features and the pooling's width those of the model?") from error


def _cls(hidden: Any, mask: Any) -> Any:
    first = mask.squeeze(-1).argmax(dim=1)
    return _row(hidden, first)


def _row(hidden: Any, at: Any) -> Any:
    """Hidden states (batch, length, width), at (batch,) -> (batch, width)."""
    return hidden.gather(1, at[:, None, None].expand(-1, 1, hidden.shape[-1])).squeeze(1)


def _max(hidden: Any, mask: Any) -> Any:
    return hidden.masked_fill(mask == 0, torch.finfo(hidden.dtype).min).amax(dim=1)


def _mean(hidden: Any, mask: Any) -> Any:
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=_LEAST)


def _mean_sqrt(hidden: Any, mask: Any) -> Any:
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=_LEAST).sqrt()


def _weighted(hidden: Any, mask: Any) -> Any:
    """Weights 1, 2, 3 and so on from the first real token."""
    weights = mask.cumsum(dim=1) * mask
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=_LEAST)


def _last(hidden: Any, mask: Any) -> Any:
    """The last real token: the one at which the number of real tokens is first reached."""
    counted = mask.squeeze(-1).cumsum(dim=1)
    return _row(hidden * mask, counted.argmax(dim=1))


_POOLINGS = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted,
    "lasttoken": _last,
}
