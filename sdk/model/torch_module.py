"""A torch.nn.Module of one's own as a source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.bundle.manifest import Settings
from edgewright.errors import SourceError, UsageError
from edgewright.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["export_module"]


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
    return Source(Path(tokenizer), task, type(module).__name__, settings, exported=path)
