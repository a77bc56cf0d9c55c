"""What an engine gives, held against what the task reads: a manifest may be right about a file that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edgewright.tasks import Task

    Arrays = Mapping[str, NDArray[Any]]
    Run = Callable[[Arrays], dict[str, NDArray[Any]]]

__all__ = ["check_outputs", "held"]

_NUMBERS = "fiu"
"""NumPy's kinds of real numbers: floats, and integers that a quantized output may have."""


def held(task: Task, run: Run, name: str) -> Run:
    """The same engine, each of whose answers was looked at. `name` is the artifact's, for messages."""

    def looked_at(feeds: Arrays) -> dict[str, NDArray[Any]]:
        outputs = run(feeds)
        check_outputs(task.outputs, outputs, feeds, name, per_token=task.per_token)
        return outputs

    return looked_at


def check_outputs(names: tuple[str, ...], outputs: Arrays, feeds: Arrays, name: str, *, per_token: bool) -> None:
    """Check that outputs are those of a task for a batch.

    Args:
        names: what the task reads.
        outputs: what the engine gave.
        feeds: what it was given, int64 (n, length).
        name: the artifact's, for messages.
        per_token: whether each is (n, length, ...), else (n, ...).

    Raises:
        EngineError: one is missing, holds no numbers, or has another shape.
    """
    rows = feeds["input_ids"].shape if per_token else feeds["input_ids"].shape[:1]
    for wanted in names:
        if wanted not in outputs:
            what = f"{name} gives no output {wanted}, it gives {', '.join(outputs) or 'none'}"
            raise EngineError(what, hint="the artifact belongs to another task; build the bundle again")
        found = outputs[wanted]
        if found.dtype.kind not in _NUMBERS or found.shape[: len(rows)] != rows:
            what = f"{name} gives {wanted} as {found.dtype} {list(found.shape)}"
            raise EngineError(f"{what}, expected numbers {[*rows, '...']}", hint="build the bundle again")
