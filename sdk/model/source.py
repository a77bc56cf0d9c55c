"""Sources: a Hugging Face directory or hub id, read without torch, and checked before any heavy work starts."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgewright import registry
from edgewright.bundle.manifest import Settings  # noqa: TC001 - msgspec reads annotations
from edgewright.errors import SourceError, UnsupportedConversion
from edgewright.model.card import read_card
from edgewright.model.config import Config, read_settings
from edgewright.model.identify import identify, task_of
from edgewright.model.known import read_json
from edgewright.model.sentence import Sentence, read_sentence
from edgewright.model.settle import settled
from edgewright.system.files import is_lfs_pointer, sha256
from edgewright.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgewright.model.card import SourceCard

__all__ = ["EAGER", "Source", "SourceJob", "beyond", "check_fetched", "open_source"]

EAGER = ("torch", "transformers.modeling_utils")
"""What a child that loads a model needs, unless it is a Keras model: seconds of imports."""
_SENTENCES = "sentence_transformers"
"""What a model's own vectors are asked of where it was saved by it; scikit-learn and pandas come with it."""

_TRIED_LENGTH = 512
"""Any number will do to see whether a tokenizer loads; this one leaves room for special tokens."""
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_MOST_NAME = 60
"""Characters of four bytes, as a file's name has 255 bytes at most (NAME_MAX of limits.h); those of shards have 40."""
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.spm", "*.safetensors", "*.bin", "model_head.npz", "README.md"]


class SourceJob(Struct, frozen=True):
    """A source for a child that loads it: its fields are those of `Source`.

    Attributes:
        largest_id: of the tokenizer, which the embedding must have a row for.
        sentence: what sentence-transformers saved beside the model.
        kind: of `edgewright.model.identify.Identity`.
        origin: what the user gave, for whoever reads it in another way.
    """

    directory: Path
    task: str
    settings: Settings
    largest_id: int
    exported: Path | None = None
    keras: Path | None = None
    sentence: Sentence | None = None
    kind: str = "model"
    origin: Path = Path()

    @property
    def preload(self) -> tuple[str, ...]:
        """What the child needs that takes long to import."""
        if self.keras:
            return ()
        vectors = self.task == "feature-extraction" and not self.exported  # which lies in no directory of a user's
        saved = vectors and (self.origin / "modules.json").is_file()
        return (*EAGER, _SENTENCES) if saved and importlib.util.find_spec(_SENTENCES) else EAGER


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
        packed: the file that `directory` was unpacked from, or None.
        grid: the kind of grid of fewer bits that its weights lie on, such as GGUF's `Q4_1`, "" for none.
        sentence: what sentence-transformers saved beside the model, else None.
        kind: of `edgewright.model.identify.Identity`.
        origin: the directory as the user gave it; `directory` is another one where something had to be made plain.
        unread: keys of its config.json that neither transformers nor edgewright knows.
    """

    directory: Path
    task: str
    architecture: str
    settings: Settings
    model_type: str = ""
    exported: Path | None = None
    keras: Path | None = None
    packed: Path | None = None
    grid: str = ""
    sentence: Sentence | None = None
    kind: str = "model"
    origin: Path = Path()
    unread: tuple[str, ...] = ()

    def tokenizer(self) -> Tokenizer:
        """The source's tokenizer, cutting at the model's length."""
        return Tokenizer(self.directory, self.settings.max_length)

    @cached_property
    def largest_id(self) -> int:
        """The tokenizer's largest id: a file of megabytes is read for it, and once."""
        return self.tokenizer().largest_id

    def job(self) -> SourceJob:
        """What a child needs to load it."""
        given = (self.directory, self.task, self.settings, self.largest_id, self.exported, self.keras)
        return SourceJob(*given, self.sentence, self.kind, self.origin)

    def files(self) -> list[Path]:
        """Everything that the artifacts depend on, sorted by path."""
        if self.packed:
            return [self.packed]
        if self.exported:
            return [self.exported, self.directory / "tokenizer.json"]
        if self.keras:
            own = [self.keras] if self.keras.is_file() else [p for p in self.keras.rglob("*") if p.is_file()]
            return [*sorted(own), self.directory / "tokenizer.json"]
        kinds = ("*.json", "*.safetensors", "pytorch_model*.bin")
        return sorted({path for kind in kinds for path in (*self.directory.glob(kind), *self._of_modules(kind))})

    def _of_modules(self, kind: str) -> list[Path]:
        """The files of sentence-transformers' modules, which lie in directories of their own."""
        listed = self.directory / "modules.json"
        paths = [one.get("path") for one in read_json(listed, list[dict[str, Any]])] if listed.is_file() else []
        return [file for path in paths if path for file in (self.directory / str(path)).glob(kind)]

    def sha256(self) -> str:
        """One hash over the names and contents of `files`."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        total = hashlib.sha256()
        for path in self.files():
            total.update(f"{path.name}\0{sha256(path)}\n".encode())
        if self.origin not in (Path(), self.directory):
            for path in sorted(self.origin.glob("*.json")):  # what `directory` was made of
                total.update(f"{path.name}\0{sha256(path)}\n".encode())
        return total.hexdigest()

    def weight_bytes(self) -> int:
        """The bytes of the files that hold its weights."""
        return sum(path.stat().st_size for path in self.weight_files())

    def weight_files(self) -> list[Path]:
        """The files that hold its weights, sorted by path."""
        return [path for path in self.files() if path.suffix != ".json"]

    def card(self) -> SourceCard:
        """What its model card says. Raises SourceError: it is too large."""
        given = () if self.origin == Path() else (self.origin,)
        return read_card(*given, self.directory)

    def licence(self) -> str | None:
        """The licence that the front matter of the model card names. Raises SourceError: the card is too large."""
        return self.card().licence


def open_source(model: str | Path, *, task: str | None = None) -> Source:
    """Read and check a model directory, or fetch a hub id first.

    Args:
        model: a directory, or `owner/name` on the Hugging Face hub.
        task: the task's key; by default the one that the saved architecture belongs to.

    Raises:
        SourceError: not there, empty, no configuration, weights or tokenizer, corrupt weights, labels that do not fit.
        UnsupportedConversion: no task takes this architecture, or a setting has consequences and is not carried out.
    """
    origin = _directory(model)
    check_fetched(path for kind in _HUB_FILES for depth in (kind, f"*/{kind}") for path in sorted(origin.glob(depth)))
    identity = identify(origin)
    if not identity.taken and (task is None or identity.kind != "translator"):
        raise SourceError(f"{origin} is {identity.what}", hint=identity.advice)
    if identity.kind != "adapter":
        _look_through(origin / identity.inside, identity.kind)
    if task is not None:
        registry.load("tasks", task)
    said = read_sentence(origin)
    plain = settled(origin, identity.kind, identity.inside, EAGER, lower=bool(said and said.lower))
    directory, answer = plain.directory, plain.answer
    config = _config(directory)
    architecture = "SetFit" if identity.kind == "setfit" else (config.architectures or ["unknown"])[0]
    found = task or _task_of(architecture, identity.kind)
    registry.load("tasks", found)
    source = Source(
        directory,
        found,
        architecture,
        read_settings(directory, config, found, said, answer),
        config.model_type,
        sentence=said,
        kind=identity.kind,
        origin=origin,
        unread=answer.unread,
    )
    _check_tokenizer(source, config)
    return source


def check_fetched(files: Iterable[Path]) -> None:
    """Raise SourceError where one is what git-lfs leaves in the place of a file."""
    pointer = next(filter(is_lfs_pointer, files), None)
    if pointer:
        raise SourceError(f"{pointer} is a pointer of git-lfs", hint="git has not fetched the file: git lfs pull")


def _look_through(home: Path, kind: str) -> None:
    """Refuse what is not whole before a child is asked: configuration, weights, tokenizer.json where there is one."""
    if kind != "static":
        _config(home)
    _check_weights(home)
    if (home / "tokenizer_config.json").is_file():
        read_json(home / "tokenizer_config.json", dict[str, Any])
    if (home / "tokenizer.json").is_file():
        Tokenizer(home, _TRIED_LENGTH)


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


def _task_of(architecture: str, kind: str) -> str:
    own = {"setfit": "text-classification", "static": "feature-extraction"}.get(kind) or task_of(architecture)
    if own:
        return own
    hint = f"name one with --task: {', '.join(registry.names('tasks'))}"
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
        raise beyond(source.directory, largest, rows)


def beyond(directory: Path, largest: int, rows: int) -> SourceError:
    """The error of a tokenizer with ids that the embedding has no row for; says whether tokens were added to it."""
    spec = read_json(directory / "tokenizer.json", dict[str, Any])
    added = sorted(one["content"] for one in spec.get("added_tokens", ()) if one.get("id", -1) >= rows)
    what = f"tokenizer.json has token id {largest}, the embedding has {rows} rows"
    if len(added) != largest + 1 - rows:
        return SourceError(what, hint="the tokenizer belongs to another model")
    shown = ", ".join(added[:3]) + (f" and {len(added) - 3} more" if len(added) > 3 else "")
    what = f"{len(added)} tokens ({shown}) were added after the embedding of {rows} rows"
    return SourceError(what, hint="call model.resize_token_embeddings(len(tokenizer)) and train, or remove them")
