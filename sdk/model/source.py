"""Sources: a Hugging Face directory or hub id, read without torch, and checked before any heavy work starts."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec import Struct

from edgewright import registry
from edgewright.bundle.manifest import Settings  # noqa: TC001 - msgspec reads annotations
from edgewright.errors import SourceError, UnsupportedConversion
from edgewright.model.config import Config, read_json, read_settings
from edgewright.system.files import read_capped, sha256
from edgewright.system.untrusted import MAX_JSON_BYTES
from edgewright.text.tokenizer import Tokenizer

__all__ = ["EAGER", "Source", "SourceJob", "open_source"]

EAGER = ("torch", "transformers.modeling_utils")
"""What a child that loads a model needs, unless it is a Keras model: seconds of imports."""

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_MOST_NAME = 60
"""Characters of four bytes, as a file's name has 255 bytes at most (NAME_MAX of limits.h); those of shards have 40."""
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "*.bin", "README.md"]


class SourceJob(Struct, frozen=True):
    """A source for a child that loads it: its fields are those of `Source`.

    Attributes:
        largest_id: of the tokenizer, which the embedding must have a row for.
    """

    directory: Path
    task: str
    settings: Settings
    largest_id: int
    exported: Path | None = None
    keras: Path | None = None

    @property
    def preload(self) -> tuple[str, ...]:
        """What the child needs that takes long to import."""
        return () if self.keras else EAGER


@dataclass(frozen=True)
class Source:
    """A model to convert.

    Attributes:
        directory: where its configuration, weights and tokenizer lie.
        task: the key of its task.
        architecture: the class that it was saved from, such as `BertForSequenceClassification`.
        settings: labels, largest length and pooling as the model's own files give them.
        model_type: the family of its architecture as config.json names it, such as `bert`; empty for a module.
        keras: for a Keras source, its `.keras` file or SavedModel directory, else None.
        exported: for a `torch.nn.Module`, the file of its `torch.export` program, else None.
        origin: the file that `directory` was unpacked from, or None.
        grid: the kind of grid of fewer bits that its weights lie on, such as GGUF's `Q4_1`, "" for none.
    """

    directory: Path
    task: str
    architecture: str
    settings: Settings
    model_type: str = ""
    exported: Path | None = None
    keras: Path | None = None
    origin: Path | None = None
    grid: str = ""

    def tokenizer(self) -> Tokenizer:
        """The source's tokenizer, cutting at the model's length."""
        return Tokenizer(self.directory, self.settings.max_length)

    @cached_property
    def largest_id(self) -> int:
        """The tokenizer's largest id: a file of megabytes is read for it, and once."""
        return self.tokenizer().largest_id

    def job(self) -> SourceJob:
        """What a child needs to load it."""
        return SourceJob(self.directory, self.task, self.settings, self.largest_id, self.exported, self.keras)

    def files(self) -> list[Path]:
        """Everything that the artifacts depend on, sorted by path."""
        if self.origin:
            return [self.origin]
        if self.exported:
            return [self.exported, self.directory / "tokenizer.json"]
        if self.keras:
            own = [self.keras] if self.keras.is_file() else [p for p in self.keras.rglob("*") if p.is_file()]
            return [*sorted(own), self.directory / "tokenizer.json"]
        kinds = ("*.json", "*.safetensors", "pytorch_model*.bin", "1_Pooling/config.json")
        return sorted({path for kind in kinds for path in self.directory.glob(kind)})

    def sha256(self) -> str:
        """One hash over the names and contents of `files`."""
        total = hashlib.sha256()
        for path in self.files():
            total.update(f"{path.name}\0{sha256(path)}\n".encode())
        return total.hexdigest()

    def weight_bytes(self) -> int:
        """The bytes of the files that hold its weights."""
        return sum(path.stat().st_size for path in self.weight_files())

    def weight_files(self) -> list[Path]:
        """The files that hold its weights, sorted by path."""
        return [path for path in self.files() if path.suffix != ".json"]

    def licence(self) -> str | None:
        """The licence that the front matter of the model card (README.md) names. Raises SourceError: it is too large.

        Lists of benchmark results before it can be long.
        """
        card = self.directory / "README.md"
        text = read_capped(card, MAX_JSON_BYTES, SourceError).decode(errors="replace") if card.is_file() else ""
        front = re.match(r"---\r?\n(.*?)^---\s*$", text, re.DOTALL | re.MULTILINE)
        found = (
            re.search(r"^license:[ \t]*([\"']?)([\w.+-]+)\1[ \t]*\r?$", front.group(1), re.MULTILINE) if front else None
        )
        return found.group(2) if found else None


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
    architecture = (config.architectures or ["unknown"])[0]
    found = task or _task_of(architecture)
    registry.load("tasks", found)
    _check_weights(directory)
    source = Source(directory, found, architecture, read_settings(directory, config, found), config.model_type)
    _check_tokenizer(source, config)
    return source


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


def _config(directory: Path) -> Config:
    if not (directory / "config.json").is_file():
        what = "is empty" if not any(directory.iterdir()) else "has no config.json"
        raise SourceError(f"{directory} {what}", hint="save a model there with save_pretrained")
    config: Config = read_json(directory / "config.json", Config)
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
    if found.suffix == ".json":
        _check_shards(found)
    registry.require(("safetensors", "torch", "transformers"), "convert")
    from safetensors import SafetensorError, safe_open

    for path in sorted(directory.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise SourceError(f"{path} is corrupt: {error}", hint="copy or download it again") from error


def _check_shards(index: Path) -> None:
    found = read_json(index, dict[str, Any]).get("weight_map", {})
    named = set(map(str, found.values())) if isinstance(found, dict) else set()
    missing = sorted(name for name in named if len(name) > _MOST_NAME or not (index.parent / name).is_file())
    if missing or not named:
        words = f"{len(missing)} of {len(named)} weight files that it names are missing: {', '.join(missing[:3])}"
        raise SourceError(f"{index}: {words}", hint="copy or download the model again")


def _check_tokenizer(source: Source, config: Config) -> None:
    largest, rows = source.largest_id, config.vocab_size
    if rows is not None and largest >= rows:
        hint = "the tokenizer belongs to another model"
        raise SourceError(f"tokenizer.json has token id {largest}, the embedding has {rows} rows", hint=hint)
