"""What runs in the child that makes a Hugging Face directory of a model in one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.converters._decoder import gguf, llama2c
from edgewright.errors import SourceError
from edgewright.model.checkpoint import UnpackAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.model.checkpoint import UnpackRequest

__all__ = ["unpack"]


def unpack(request: UnpackRequest, progress: Callable[[str], None]) -> UnpackAnswer:
    """Make the directory. Raises SourceError."""
    progress(f"unpack {request.path.name}")
    if request.kind == "gguf":
        return UnpackAnswer(gguf.unpack(request.path, request.out))
    if not llama2c.is_llama2c(request.path) or request.vocabulary is None:
        what = f"{request.path} is neither GGUF nor a whole checkpoint of llama2.c"
        raise SourceError(what, hint="give a model directory, a .gguf file, or llama2.c's .bin of version 0")
    llama2c.unpack(request.path, request.vocabulary, request.out)
    return UnpackAnswer("")
