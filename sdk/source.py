"""Sources: a Hugging Face directory or hub id, read without torch, and checked before any heavy work starts."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.errors import SourceError, UnsupportedConversion, UsageError
from edgewright.files import sha256
from edgewright.manifest import Settings
from edgewright.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Source", "export_module", "open_source"]

# These models count positions from the padding id + 1, so that many rows of the position table are never used.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "longformer", "ibert"}
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "*.bin", "README.md"]
_NO_LENGTH = 10**6


@dataclass(frozen=True)
class Source:
    """A model to convert.

    Attributes:
        directory: where its configuration, weights and tokenizer lie.
        task: the key of its task.
        architecture: the class that it was saved from, such as `BertForSequenceClassification`.
        settings: labels, largest length and pooling as the model's own files give them.
        exported: for a `torch.nn.Module`, the file of its `torch.export` program, else None.
    """

    directory: Path
    task: str
    architecture: str
    settings: Settings
    exported: Path | None = None

    def tokenizer(self) -> Tokenizer:
        """The source's tokenizer, cutting at the model's length."""
        return Tokenizer(self.directory, self.settings.max_length)

    def job(self) -> dict[str, Any]:
        """The source as plain values, for a child that loads it."""
        return {
            "directory": str(self.directory),
            "task": self.task,
            "exported": str(self.exported or ""),
            "largest_id": self.tokenizer().largest_id,
            "labels": len(self.settings.labels),
        }

    def files(self) -> list[Path]:
        """Everything that the artifacts depend on, sorted by path."""
        if self.exported:
            return [self.exported, self.directory / "tokenizer.json"]
        kinds = ("*.json", "*.safetensors", "pytorch_model*.bin", "1_Pooling/config.json")
        return sorted({path for kind in kinds for path in self.directory.glob(kind)})

    def sha256(self) -> str:
        """One hash over the names and contents of `files`."""
        total = hashlib.sha256()
        for path in self.files():
            total.update(f"{path.name}\0{sha256(path)}\n".encode())
        return total.hexdigest()

    def licence(self) -> str | None:
        """The licence that the model card's front matter names."""
        card = self.directory / "README.md"
        text = card.read_text(errors="replace")[:8192] if card.is_file() else ""
        found = re.search(r"^license:\s*([\w.+-]+)\s*$", text, re.MULTILINE)
        return found.group(1) if found else None


def open_source(model: str | Path, *, task: str | None = None) -> Source:
    """Read and check a model directory, or fetch a hub id first.

    Args:
        model: a directory, or `owner/name` on the Hugging Face hub.
        task: the task's key; by default the one that the saved architecture belongs to.

    Raises:
        SourceError: not there, empty, no configuration, weights or tokenizer, corrupt weights, labels that do not fit.
        UnsupportedConversion: no task takes this architecture.
    """
    directory = _directory(model)
    config = _config(directory)
    architecture = (config.get("architectures") or ["unknown"])[0]
    found = task or _task_of(architecture)
    registry.load("tasks", found)
    _check_weights(directory)
    source = Source(directory, found, architecture, _settings(directory, config, found))
    _check_tokenizer(source, config)
    return source


def export_module(
    module: Any,
    example_inputs: Mapping[str, Any] | None,
    scratch: Path,
    *,
    tokenizer: str | Path | None,
    task: str | None,
    labels: Sequence[str],
    max_length: int,
) -> Source:
    """A `torch.nn.Module` as a source: a `torch.export` program, which no class of the caller's is needed to load.

    Every dimension of the inputs that the module lets vary does vary.

    Raises:
        UsageError: something that a bundle needs was not given.
        SourceError: the module cannot be exported; the exporter's own words.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"cannot build from a {type(module).__name__}", hint="give a directory, a hub id or a torch.nn.Module"
        )
    if not example_inputs or tokenizer is None or task is None:
        raise UsageError("a module needs example_inputs, tokenizer and task", hint="see help(edgewright.build)")
    shapes = {
        name: dict.fromkeys(range(tensor.dim()), torch.export.Dim.AUTO) for name, tensor in example_inputs.items()
    }
    try:
        program = torch.export.export(module.eval(), (), dict(example_inputs), dynamic_shapes=shapes)
    except Exception as error:
        raise SourceError(f"{type(module).__name__} cannot be exported: {type(error).__name__}: {error}") from error
    path = scratch / "module.pt2"
    torch.export.save(program, path)
    settings = Settings(max_length=max_length, labels=tuple(labels))
    return Source(Path(tokenizer), task, type(module).__name__, settings, path)


def _read_json(path: Path) -> Any:
    """A JSON object of the source. Raises SourceError."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not readable JSON: {error}") from error


def _directory(model: str | Path) -> Path:
    path = Path(model)
    if path.is_dir():
        return path
    if path.exists():
        raise SourceError(f"{path} is a file", hint="give the directory that holds config.json and the weights")
    if isinstance(model, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", model):
        return _from_hub(model)
    raise SourceError(f"{path} does not exist", hint="give a model directory or a hub id such as owner/name")


def _from_hub(model: str) -> Path:
    registry.require(("huggingface_hub",), "convert")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=_HUB_FILES))
    except Exception as error:
        hint = "not a directory here either; check the name, the network and HF_TOKEN"
        raise SourceError(f"cannot fetch {model} from the hub: {type(error).__name__}: {error}", hint=hint) from error


def _config(directory: Path) -> dict[str, Any]:
    if not (directory / "config.json").is_file():
        what = "is empty" if not any(directory.iterdir()) else "has no config.json"
        raise SourceError(f"{directory} {what}", hint="save a model there with save_pretrained")
    config = _read_json(directory / "config.json")
    if not isinstance(config, dict) or "model_type" not in config:
        raise SourceError(f"{directory}/config.json names no model_type", hint="is it a Hugging Face model?")
    return config


def _task_of(architecture: str) -> str:
    kinds = {name: registry.load("tasks", name) for name in registry.names("tasks")}
    for name, kind in kinds.items():
        if architecture.endswith(kind.heads):
            return name
    hint = f"name one with --task: {', '.join(kinds)}"
    raise UnsupportedConversion(f"architecture {architecture!r} belongs to no known task", hint=hint)


def _check_weights(directory: Path) -> None:
    found = next((directory / name for name in _WEIGHTS if (directory / name).is_file()), None)
    if found is None:
        raise SourceError(f"{directory} has no weights", hint=f"expected one of {', '.join(_WEIGHTS)}")
    registry.require(("safetensors", "torch", "transformers"), "convert")
    from safetensors import SafetensorError, safe_open

    for path in sorted(directory.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise SourceError(f"{path} is corrupt: {error}", hint="copy or download it again") from error


def _settings(directory: Path, config: dict[str, Any], task: str) -> Settings:
    pooling, normalize = _pooling(directory)
    return Settings(
        max_length=_max_length(directory, config),
        labels=_labels(config) if task.endswith("classification") else (),
        problem=_problem(config),
        pooling=pooling,
        normalize=normalize,
    )


def _problem(config: dict[str, Any]) -> str:
    named = {"single_label_classification": "single_label", "multi_label_classification": "multi_label"}
    given = config.get("problem_type")
    alone = len(_labels(config)) == 1
    return (
        "regression" if given == "regression" or (given is None and alone) else named.get(given or "", "single_label")
    )


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label") or {str(i): f"LABEL_{i}" for i in range(config.get("num_labels", 2))}
    try:
        ordered = {int(key): str(value) for key, value in names.items()}
    except (ValueError, AttributeError) as error:
        raise SourceError(f"id2label in config.json has keys that are not numbers: {names!r}") from error
    if sorted(ordered) != list(range(len(ordered))):
        raise SourceError(f"id2label has the ids {sorted(ordered)}, expected 0..{len(ordered) - 1}")
    return tuple(ordered[i] for i in range(len(ordered)))


def _max_length(directory: Path, config: dict[str, Any]) -> int:
    positions = config.get("max_position_embeddings", _NO_LENGTH)
    if config["model_type"] in _OFFSET_POSITIONS:
        positions -= config.get("pad_token_id", 1) + 1
    bounds = [positions, _optional(directory, "tokenizer_config.json").get("model_max_length")]
    bounds.append(_optional(directory, "sentence_bert_config.json").get("max_seq_length"))
    real = [int(bound) for bound in bounds if isinstance(bound, int | float) and 0 < bound < _NO_LENGTH]
    return min(real, default=512)


def _optional(directory: Path, name: str) -> dict[str, Any]:
    path = directory / name
    found = _read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _pooling(directory: Path) -> tuple[str, bool]:
    """Pooling and normalisation as sentence-transformers saves them; the mean, not normalised, for any other model."""
    if not (directory / "modules.json").is_file():
        return "mean", False
    modules = _read_json(directory / "modules.json")
    kinds = [str(m.get("type", "")).rsplit(".", 1)[-1] for m in modules]
    known = {"Transformer", "Pooling", "Normalize"}
    if not set(kinds) <= known:
        raise UnsupportedConversion(
            f"modules.json has {', '.join(sorted(set(kinds) - known))}", hint=f"known: {sorted(known)}"
        )
    if "Pooling" not in kinds:
        return "mean", "Normalize" in kinds
    config = _optional(directory, f"{modules[kinds.index('Pooling')].get('path') or '1_Pooling'}/config.json")
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"}
    if len(modes) != 1 or modes[0] not in names:
        raise UnsupportedConversion(
            f"pooling {' + '.join(modes) or 'of an unknown kind'}", hint="known: mean, cls, max"
        )
    return names[modes[0]], "Normalize" in kinds


def _check_tokenizer(source: Source, config: dict[str, Any]) -> None:
    largest, rows = source.tokenizer().largest_id, config.get("vocab_size")
    if isinstance(rows, int) and largest >= rows:
        hint = "the tokenizer belongs to another model"
        raise SourceError(f"tokenizer.json has token id {largest}, the embedding has {rows} rows", hint=hint)
