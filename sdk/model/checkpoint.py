"""Models that come as one file: GGUF, and llama2.c's checkpoints. A child makes a Hugging Face directory of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from edgewright import registry
from edgewright.errors import SourceError, stands_for
from edgewright.model.source import EAGER, check_fetched, open_source
from edgewright.system.child import Child

if TYPE_CHECKING:
    from edgewright.model.source import Source
    from edgewright.system.jobs import Jobs

__all__ = ["UNPACK", "UnpackAnswer", "UnpackRequest", "is_checkpoint", "open_checkpoint"]

_MAGIC = b"GGUF"
"""The first bytes of every version (ggml, docs/gguf.md)."""


class UnpackRequest(Struct, frozen=True):
    """A file to make a directory of; `vocabulary` is that of llama2.c."""

    path: Path
    out: Path
    kind: Literal["gguf", "llama2c"]
    vocabulary: Path | None = None


class UnpackAnswer(Struct, frozen=True):
    """The kind of grid that its weights lie on, "" for none."""

    grid: str


UNPACK = Child("edgewright.converters._decoder.unpack:unpack", UnpackRequest, UnpackAnswer)


def is_checkpoint(model: str | Path) -> bool:
    """Whether it is a file that may be one."""
    path = Path(model)
    return path.is_file() and path.suffix in (".gguf", ".bin")


def open_checkpoint(model: str | Path, jobs: Jobs, *, tokenizer: str | Path | None, task: str | None) -> Source:
    """The source in a file.

    Args:
        model: a `.gguf` file, or llama2.c's `.bin`.
        jobs: where the child runs, and whose scratch directory the model is unpacked in.
        tokenizer: llama2.c's vocabulary; by default the one `tok*.bin` beside the checkpoint.
        task: as for `open_source`.

    Raises:
        SourceError: it is neither, or not whole.
    """
    path, out = Path(model).absolute(), jobs.scratch / "unpacked"
    registry.require(("safetensors", "torch", "transformers"), "convert")
    check_fetched([path])
    with path.open("rb") as file:
        gguf = file.read(len(_MAGIC)) == _MAGIC
    if gguf:
        registry.require(("accelerate", "gguf"), "convert")  # the first is what transformers reads the second with
        if tokenizer:
            raise SourceError(f"{path} brings its own tokenizer", hint="leave out the one that was given")
    out.mkdir()
    stands_for(out, path)
    vocabulary = None if gguf else _vocabulary(path, tokenizer)
    request = UnpackRequest(path, out, "gguf" if gguf else "llama2c", vocabulary)
    grid = jobs.run(UNPACK, request, preload=EAGER).grid
    return replace(open_source(out, task=task), packed=path, grid=grid)


def _vocabulary(path: Path, given: str | Path | None) -> Path:
    if given:
        if not Path(given).is_file():
            raise SourceError(f"{given} is no file", hint="give the vocabulary of llama2.c, such as tok512.bin")
        return Path(given).absolute()
    if path.suffix.lower() == ".gguf":
        size = path.stat().st_size
        raise SourceError(f"{path} begins as no GGUF file does, it has {size} bytes", hint="was it fetched whole?")
    beside = sorted(path.parent.glob("tok*.bin"))
    if len(beside) != 1:
        what = f"{path} is no GGUF file, and {len(beside)} vocabularies tok*.bin lie beside it"
        raise SourceError(what, hint="for a checkpoint of llama2.c give its vocabulary with --tokenizer")
    return beside[0]
