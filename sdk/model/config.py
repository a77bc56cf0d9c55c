"""What a model's own files say of it: config.json, and what sentence-transformers and the tokenizer put beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from edgewright.bundle.manifest import Settings
from edgewright.errors import SourceError, UnsupportedConversion
from edgewright.model.sentence import activation

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.sentence import Sentence
    from edgewright.model.settle import SettleAnswer

__all__ = ["FIRST_TOKEN", "GIVE_VECTORS", "Config", "read_settings"]

FIRST_TOKEN = ("bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")
"""Families whose classifiers read the first token alone: the converters cut their last layer to it."""

GIVE_VECTORS = ("static", "clip", "clip_text_model")
"""Families that give one vector of a text themselves: there is nothing left to pool."""

_MOST_LABELS = 10**6
"""A choice: above every vocabulary, and little enough to be counted."""
_NO_LENGTH = 10**6
"""Above every model's context; transformers writes 10**30 where a tokenizer knows no length."""
# Models that answer questions are trained on windows of so many tokens (BERT's run_squad.py, transformers' pipeline).
_LONGEST_WINDOW = 384
_LONGEST_STATIC = 8192
"""A choice: a mean over a table takes any number of tokens, formats of fixed shapes do not."""
_UNSAID = 512
"""A choice where neither the model nor the tokenizer says a length: BERT's, and that of most encoders."""


class Config(Struct, frozen=True):
    """The fields of config.json that matter before the model is loaded; null counts as absent."""

    model_type: str
    architectures: list[str] | None = None
    id2label: dict[int, str] | None = None
    label2id: dict[str, int | float | str | None] | None = None
    num_labels: int | None = None
    problem_type: str | None = None
    max_position_embeddings: int | None = None
    n_positions: int | None = None
    pad_token_id: int | None = None
    vocab_size: int | None = None
    task_specific_params: dict[str, Any] | None = None
    sentence_transformers: dict[str, Any] | None = None
    sbert_ce_default_activation_function: str | None = None


def read_settings(
    directory: Path, config: Config, task: str, sentence: Sentence | None, found: SettleAnswer
) -> Settings:
    """Labels, largest length, pooling, prompts and activation.

    Args:
        directory: of config.json.
        config: what it says.
        task: the task's key.
        sentence: what sentence-transformers saved beside it, None where it did not.
        found: what transformers makes of the files.

    Raises:
        SourceError: settings that contradict each other.
        UnsupportedConversion: one that is not carried out.
    """
    _check_own_settings(directory, config, task)
    labels = (found.labels or _labels(config)) if task.endswith("classification") else ()
    vectors = sentence if sentence and task == "feature-extraction" else None
    problem = "single_label" if found.labels else _problem(config)
    return Settings(
        max_length=_max_length(config, task, sentence, found),
        characters=found.characters,
        labels=labels,
        problem=problem,
        pooling=_pooling(config, vectors),
        normalize=bool(vectors and vectors.plain and vectors.normalized),
        prompt=sentence.prompt if sentence else "",
        prompts=dict(vectors.prompts) if vectors else _prefixes(config) if task == "translation" else {},
        activation=_activation(directory, config, task, sentence),
        table=config.model_type == "static"
        and all(step.kind == "Normalize" for step in (vectors.steps if vectors else ())),
    )


def _check_own_settings(directory: Path, config: Config, task: str) -> None:
    """Refuse settings that transformers' pipelines take for this very task, and that nothing here carries out."""
    own = (config.task_specific_params or {}).get(task)
    if own:
        what = f"task_specific_params of {task} in {directory / 'config.json'} is {own}"
        raise UnsupportedConversion(what, hint="take it out if it changes no answer")


def _prefixes(config: Config) -> dict[str, str]:
    """What T5 puts before a text for each language, by the name of that task."""
    own = {name: params.get("prefix") for name, params in (config.task_specific_params or {}).items() if params}
    return {name: prefix for name, prefix in own.items() if isinstance(prefix, str) and name.startswith("translation")}


def _pooling(config: Config, vectors: Sentence | None) -> Literal["mean", "cls", "max", "model"]:
    """Who makes one vector of a text, and how: the mean for a model that says nothing of it."""
    if config.model_type in GIVE_VECTORS:
        return "model"
    return (vectors.plain or "model") if vectors else "mean"


def _activation(
    directory: Path, config: Config, task: str, sentence: Sentence | None
) -> Literal["identity", "sigmoid"]:
    """What the one output of a classifier goes through.

    The saved activation of a cross-encoder, by whichever of its names; else transformers' own rule for one label
    without a problem_type, which is sentence-transformers' default as well: the sigmoid.

    Raises:
        UnsupportedConversion: a saved activation that would change the scores of several labels, or is another one.
    """
    if task != "text-classification":
        return "identity"
    saved = config.sentence_transformers or {}
    names = (saved.get("activation_fn"), config.sbert_ce_default_activation_function)
    found = [one for name in names if (one := activation(name, directory / "config.json"))]
    found += [sentence.activation] if sentence and sentence.activation else []
    if len(set(found)) > 1:
        raise SourceError(f"{directory} saves the activations {' and '.join(found)}", hint="leave one")
    if len(_labels(config)) > 1:
        if found and found[0] not in ("Identity", "Softmax"):
            what = f"{directory} saves the activation {found[0]} over {len(_labels(config))} labels"
            hint = 'for labels that exclude nothing write "problem_type": "multi_label_classification"'
            raise UnsupportedConversion(what, hint=hint)
        return "identity"
    if found and found[0] not in ("Identity", "Sigmoid"):
        hint = "known for one output: Identity, Sigmoid"
        raise UnsupportedConversion(f"{directory} saves the activation {found[0]}", hint=hint)
    if found:
        return "sigmoid" if found[0] == "Sigmoid" else "identity"
    return "sigmoid" if config.problem_type is None else "identity"


_PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")
"""Of transformers' heads for sequences."""


def _problem(config: Config) -> Literal["single_label", "multi_label", "regression"]:
    """Transformers' own rule: one output is a regression, several are classes, unless the configuration says more.

    Raises:
        UnsupportedConversion: a kind of problem that it does not know either.
    """
    if config.problem_type not in (*_PROBLEMS, None):
        what = f"config.json has the problem_type {config.problem_type!r}"
        raise UnsupportedConversion(what, hint=f"known: {', '.join(_PROBLEMS)}")
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
    other = {name: at for at, name in names.items() if (config.label2id or {}).get(name, at) not in (at, str(at))}
    if other and len({*names.values()}) == len(names):
        name, at = next(iter(other.items()))
        what = f"config.json has {name!r} as label {at} in id2label and {(config.label2id or {})[name]} in label2id"
        raise SourceError(what, hint="correct the one that is wrong: answers follow the first, training the second")
    return tuple(names[at] for at in range(len(names)))


def _max_length(config: Config, task: str, sentence: Sentence | None, found: SettleAnswer) -> int:
    """Where the source's own library cuts, and never beyond the model's table of positions.

    sentence-transformers' max_seq_length takes the place of the tokenizer's own length (`Transformer.__init__`).
    """
    if config.model_type == "static":
        return min(_LONGEST_STATIC, found.length or _LONGEST_STATIC)
    said = sentence.max_length if sentence and sentence.max_length is not None else found.length
    bounds = [bound for bound in (said, found.positions) if bound is not None and 0 < bound < _NO_LENGTH]
    bounds += [_LONGEST_WINDOW] if task == "question-answering" else []
    return min(bounds, default=_UNSAID)
