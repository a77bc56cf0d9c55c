"""What a model's own files say of it: config.json, and what sentence-transformers and the tokenizer put beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from edgewright.bundle.manifest import Settings
from edgewright.errors import SourceError, UnsupportedConversion

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FIRST_TOKEN", "Config", "read_json", "read_settings"]

FIRST_TOKEN = ("bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")
"""Families whose classifiers read the first token alone: the converters cut their last layer to it."""

# These models count positions from the padding id + 1, so that many rows of the position table are never used.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "longformer", "ibert"}
_MOST_LABELS = 10**6
"""A choice: above every vocabulary, and little enough to be counted."""
_NO_LENGTH = 10**6
"""Above every model's context; transformers writes 10**30 where a tokenizer knows no length."""
# Models that answer questions are trained on windows of so many tokens (BERT's run_squad.py, transformers' pipeline).
_LONGEST_WINDOW = 384
_POOLING: dict[str, Literal["mean", "cls", "max"]] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}


class Config(Struct, frozen=True):
    """The fields of config.json that matter before the model is loaded; null counts as absent."""

    model_type: str
    architectures: list[str] | None = None
    id2label: dict[int, str] | None = None
    num_labels: int | None = None
    problem_type: str | None = None
    max_position_embeddings: int | None = None
    n_positions: int | None = None
    pad_token_id: int | None = None
    vocab_size: int | None = None


class _Module(Struct, frozen=True):
    """One step of a sentence-transformers model, as modules.json lists it."""

    type: str
    path: str = ""


def read_json(path: Path, kind: Any) -> Any:
    """A JSON file of the source as a value of `kind`. Raises SourceError, which names the field."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise SourceError(
            f"{path} cannot be read: {error}", hint="is it a Hugging Face model, whole and undamaged?"
        ) from error


def read_settings(directory: Path, config: Config, task: str) -> Settings:
    """Labels, largest length and pooling. Raises SourceError and UnsupportedConversion."""
    pooling, normalize = _pooling(directory)
    return Settings(
        max_length=min(_max_length(directory, config), _LONGEST_WINDOW if task == "question-answering" else _NO_LENGTH),
        labels=_labels(config) if task.endswith("classification") else (),
        problem=_problem(config),
        pooling=pooling,
        normalize=normalize,
    )


def _problem(config: Config) -> Literal["single_label", "multi_label", "regression"]:
    """Transformers' own rule: one output is a regression, several are classes, unless the configuration says more."""
    if config.problem_type == "multi_label_classification":
        return "multi_label"
    alone = config.problem_type is None and len(_labels(config)) == 1
    return "regression" if alone or config.problem_type == "regression" else "single_label"


def _labels(config: Config) -> tuple[str, ...]:
    count = 2 if config.num_labels is None else config.num_labels
    if not 0 < count <= _MOST_LABELS:
        raise SourceError(f"num_labels in config.json is {count}, expected 1 to {_MOST_LABELS}")
    names = config.id2label or {at: f"LABEL_{at}" for at in range(count)}
    if sorted(names) != list(range(len(names))):
        raise SourceError(f"id2label in config.json has the ids {sorted(names)}, expected 0..{len(names) - 1}")
    return tuple(names[at] for at in range(len(names)))


def _max_length(directory: Path, config: Config) -> int:
    """The least of what the position table, the tokenizer and sentence-transformers allow; 512 if none says so."""
    positions = config.max_position_embeddings or config.n_positions or _NO_LENGTH
    if config.model_type in _OFFSET_POSITIONS:
        positions -= (1 if config.pad_token_id is None else config.pad_token_id) + 1
    bounds = [positions, _optional(directory, "tokenizer_config.json").get("model_max_length")]
    bounds.append(_optional(directory, "sentence_bert_config.json").get("max_seq_length"))
    real = [int(bound) for bound in bounds if isinstance(bound, int | float) and 0 < bound < _NO_LENGTH]
    return min(real, default=512)


def _optional(directory: Path, name: str) -> dict[str, Any]:
    path = directory / name
    return dict(read_json(path, dict[str, Any])) if path.is_file() else {}


def _pooling(directory: Path) -> tuple[Literal["mean", "cls", "max"], bool]:
    """Pooling and normalisation as sentence-transformers saves them; the mean, not normalised, for any other model."""
    if not (directory / "modules.json").is_file():
        return "mean", False
    modules: list[_Module] = read_json(directory / "modules.json", list[_Module])
    kinds = {module.type.rsplit(".", 1)[-1]: module.path for module in modules}
    known = {"Transformer", "Pooling", "Normalize"}
    if not kinds.keys() <= known:
        strangers = ", ".join(sorted(kinds.keys() - known))
        raise UnsupportedConversion(f"modules.json has {strangers}", hint=f"known: {', '.join(sorted(known))}")
    if "Pooling" not in kinds:
        return "mean", "Normalize" in kinds
    config = _optional(directory, f"{kinds['Pooling'] or '1_Pooling'}/config.json")
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    if len(modes) != 1 or modes[0] not in _POOLING:
        raise UnsupportedConversion(
            f"pooling {' + '.join(modes) or 'of an unknown kind'}", hint="known: mean, cls, max"
        )
    return _POOLING[modes[0]], "Normalize" in kinds
