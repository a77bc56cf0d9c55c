"""What sentence-transformers saves beside a model: modules, prompts and lengths, carried out or refused by name.

Read as sentence-transformers 6.2 does (`SentenceTransformer`, `CrossEncoder`): in the old layout, where every module
has a directory, and in the new one, where the transformer lies in the root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from edgewright.errors import SourceError, UnsupportedConversion
from edgewright.model.known import check_keys, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ACTIVATIONS", "Modes", "Sentence", "Step", "activation", "read_sentence", "transformer_options"]

_Mode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
Modes = tuple[_Mode, ...]

_FLAGS: dict[str, _Mode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The spelling before sentence-transformers 5.4, in the order in which several are joined."""
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU", "Softmax")
"""Classes of torch.nn that a module may end in: each has one meaning without arguments."""
_BEHIND = ("Dense", "LayerNorm", "Normalize")
_IDLE = ("Dropout",)
"""Modules that do nothing when a model answers."""
_OPTIONS = "sentence_bert_config.json"
_OLD_OPTIONS = ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")


class Step(Struct, frozen=True):
    """A module behind the pooling: what it is, where its weights lie, and its own configuration."""

    kind: str
    path: str
    activation: str = "Identity"
    residual: bool = False


class Sentence(Struct, frozen=True):
    """A model of sentence-transformers.

    Attributes:
        modes: how tokens become one vector; several are joined. Empty for static embeddings, which are a mean.
        steps: what follows, in order.
        prompts: texts that may be put before a text, by name.
        prompt: the one that `encode` puts there unless another is asked for.
        lower: whether texts are lower-cased before anything else.
        max_length: where texts are cut, None where the tokenizer says it.
        cross: whether it is a cross-encoder: its one module is a classifier.
        activation: of a cross-encoder's scores, a name out of `ACTIVATIONS`, "" where none was saved.
    """

    modes: Modes = ("mean",)
    steps: tuple[Step, ...] = ()
    prompts: dict[str, str] = {}
    prompt: str = ""
    lower: bool = False
    max_length: int | None = None
    cross: bool = False
    activation: str = ""

    @property
    def plain(self) -> Literal["mean", "cls", "max"] | None:
        """The pooling that is done outside of the artifact, None where the artifact gives the vector itself."""
        simple = all(step.kind == "Normalize" for step in self.steps)
        only = self.modes[0] if len(self.modes) == 1 else None
        return only if simple and only in ("mean", "cls", "max") else None

    @property
    def normalized(self) -> bool:
        """Whether it ends in vectors of length 1."""
        return bool(self.steps) and self.steps[-1].kind == "Normalize"


class _Module(Struct, frozen=True):
    """One line of modules.json."""

    type: str
    path: str = ""

    @property
    def kind(self) -> str:
        return self.type.rsplit(".", 1)[-1]


def read_sentence(directory: Path) -> Sentence | None:
    """What modules.json and the files around it say; None where there is no modules.json.

    Raises:
        SourceError: a file is not what sentence-transformers writes, or contradicts another one.
        UnsupportedConversion: a module, or a setting with consequences, that is not carried out.
    """
    if not (directory / "modules.json").is_file():
        return None
    modules: list[_Module] = read_json(directory / "modules.json", list[_Module])
    own = _own(directory)
    if own["cross"] or (len(modules) == 1 and modules[0].kind == "Transformer" and _classifies(directory, modules[0])):
        return _cross(directory, modules, own)
    return _embedding(directory, modules, own)


def _embedding(directory: Path, modules: list[_Module], own: dict[str, Any]) -> Sentence:
    first, *others = [module for module in modules if module.kind not in _IDLE]
    strangers = [one.kind for one in others if one.kind not in ("Pooling", *_BEHIND)]
    if strangers or first.kind not in ("Transformer", "StaticEmbedding"):
        what = ", ".join(strangers or [first.kind])
        raise UnsupportedConversion(
            f"modules.json in {directory} has {what}", hint=f"known: Transformer, Pooling, {', '.join(_BEHIND)}"
        )
    pooling = [at for at, one in enumerate(others) if one.kind == "Pooling"]
    if first.kind == "Transformer" and pooling != [0]:
        what = f"modules.json in {directory} has {len(pooling)} poolings, one is needed, behind the transformer"
        raise UnsupportedConversion(what, hint="is the file whole?")
    options = transformer_options(directory / first.path) if first.kind == "Transformer" else {}
    modes = _modes(directory / others[0].path, own["prompt"]) if pooling else ()
    steps = tuple(_step(directory, one) for one in others if one.kind != "Pooling")
    return Sentence(
        modes=modes,
        steps=steps,
        prompts=own["prompts"],
        prompt=own["prompt"],
        lower=bool(options.get("do_lower_case", False)),
        max_length=options.get("max_seq_length"),
    )


def _cross(directory: Path, modules: list[_Module], own: dict[str, Any]) -> Sentence:
    kinds = [module.kind for module in modules]
    if kinds != ["Transformer"] or own["prompt"]:
        what = f"{' and '.join(kinds[1:]) or 'a prompt'} of a cross-encoder"
        raise UnsupportedConversion(f"{directory} has {what}", hint="known: one Transformer, without a prompt")
    options = transformer_options(directory / modules[0].path)
    return Sentence(
        modes=(),
        lower=bool(options.get("do_lower_case", False)),
        max_length=options.get("max_seq_length"),
        cross=True,
        activation=own["activation"],
    )


def _classifies(directory: Path, module: _Module) -> bool:
    options = _options(directory / module.path)
    return options.get("transformer_task") == "sequence-classification"


def _own(directory: Path) -> dict[str, Any]:
    """What config_sentence_transformers.json says: prompts, the kind of model, a cross-encoder's activation."""
    path = directory / "config_sentence_transformers.json"
    config: dict[str, Any] = read_json(path, dict[str, Any]) if path.is_file() else {}
    check_keys("config_sentence_transformers.json", config, path)
    prompts = {name: text for name, text in (config.get("prompts") or {}).items() if text}
    if not all(isinstance(text, str) for text in prompts.values()):
        raise SourceError(f"{path} has prompts that are no texts", hint="each is a text by its name")
    name = config.get("default_prompt_name")
    if name is not None and name not in (config.get("prompts") or {}):
        known = ", ".join(config.get("prompts") or {}) or "none"
        raise SourceError(f"{path} names the default prompt {name!r}, its prompts are: {known}")
    kind = config.get("model_type", "SentenceTransformer")
    if kind not in ("SentenceTransformer", "CrossEncoder"):
        raise UnsupportedConversion(f"{path} is of a {kind}", hint="known: SentenceTransformer, CrossEncoder")
    return {
        "prompts": prompts,
        "prompt": prompts.get(name, "") if name is not None else "",
        "cross": kind == "CrossEncoder",
        "activation": activation(config.get("activation_fn"), path),
    }


def activation(name: Any, path: Path) -> str:
    """The class of torch.nn that a saved dotted name means, "" for none. Raises UnsupportedConversion."""
    if name is None:
        return ""
    last = str(name).rpartition(".")[2]
    if not str(name).startswith("torch.nn.") or last not in ACTIVATIONS:
        hint = f"known, of torch.nn: {', '.join(ACTIVATIONS)}"
        raise UnsupportedConversion(f"{path} has the activation {name}", hint=hint)
    return last


def _options(directory: Path) -> dict[str, Any]:
    names = (_OPTIONS, *(f"sentence_{name}_config.json" for name in _OLD_OPTIONS))
    path = next((directory / name for name in names if (directory / name).is_file()), None)
    return dict(read_json(path, dict[str, Any])) if path else {}


def transformer_options(directory: Path) -> dict[str, Any]:
    """The file of the Transformer module, by whichever of its names. Raises UnsupportedConversion."""
    options = _options(directory)
    check_keys(_OPTIONS, options, directory / _OPTIONS)
    length = options.get("max_seq_length")
    if length is not None and (type(length) is not int or length < 1):
        raise SourceError(f"max_seq_length in {directory / _OPTIONS} is {length!r}, a number from 1 is wanted")
    return options


def _modes(directory: Path, prompt: str) -> Modes:
    path = directory / "config.json"
    config: dict[str, Any] = read_json(path, dict[str, Any])
    check_keys("Pooling", config, path)
    given = config.get("pooling_mode")
    told = given if isinstance(given, list) else [given] if given is not None else []
    found = told or [mode for key, mode in _FLAGS.items() if config.get(key)] or ["mean"]
    flagged = [mode for key, mode in _FLAGS.items() if config.get(key)]
    strangers = [mode for mode in found if mode not in _FLAGS.values()]
    if strangers:
        known = ", ".join(_FLAGS.values())
        raise UnsupportedConversion(f"{path} has the pooling {strangers[0]!r}", hint=f"known: {known}")
    if told and flagged and sorted(told) != sorted(flagged):
        raise SourceError(f"{path} says pooling {told} and {flagged}", hint="leave one of the two spellings")
    if config.get("include_prompt") is False and prompt:
        what = f"{path} leaves the prompt {prompt!r} out of the pooling (include_prompt false)"
        raise UnsupportedConversion(what, hint="a model whose pooling includes its prompt is built")
    return tuple(found)


def _step(directory: Path, module: _Module) -> Step:
    path = directory / module.path / "config.json"
    config: Mapping[str, Any] = read_json(path, dict[str, Any]) if path.is_file() else {}
    check_keys(module.kind, config, path)
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, "sentence_embedding"):
            hint = "known: sentence_embedding, the vector of a text"
            raise UnsupportedConversion(f"{path} has {key} {config[key]!r}", hint=hint)
    # sentence-transformers' own default where a Dense module names none
    own = "torch.nn.modules.activation.Tanh" if module.kind == "Dense" else "torch.nn.Identity"
    return Step(
        module.kind,
        module.path,
        activation(config.get("activation_function", own), path) or "Identity",
        bool(config.get("use_residual", False)),
    )
