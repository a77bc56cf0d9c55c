"""Steps that make a trained model smaller. One file each; the file's name is the step that a recipe names.

A step takes a Hugging Face directory and writes another one, so that any chain of steps can be scored between two of
them, gone on with after a kill, and handed to `edgewright build` at its end.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct

from edgewright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["Setting", "Step"]


@dataclass(frozen=True)
class Setting:
    """What a step may use beside the model.

    Attributes:
        first: the model that the recipe began with: a teacher, where a step names no other.
        train: labelled rows, None where none are given.
        dev: other labelled rows, which choose and score.
        cache: where a teacher's answers are kept.
        seed: of everything random.
        threads: of torch; 0 for its own choice.
        progress: called with a phrase now and then.
        watch: called with the step, the number of steps and the score at every evaluation of a training; what it raises
            ends that.
    """

    first: Path
    train: Path | None
    dev: Path | None
    cache: Path
    seed: int
    threads: int
    progress: Callable[[str], None]
    watch: Callable[[int, int, float], None] | None = None

    def rows(self, step: str) -> tuple[Path, Path]:
        """The files to train on and to choose by. Raises UsageError where one is not given."""
        if self.train is None or self.dev is None:
            raise UsageError(f"{step} needs labelled rows", hint="give --data and --eval")
        return self.train, self.dev


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step and its options, as a recipe gives them.

    Attributes:
        translates: whether a translator can take it.
    """

    translates: ClassVar[bool] = False

    def check(self, source: Source, setting: Setting) -> None:
        """Before anything begins: raise UsageError where the step cannot be taken from `source`, the first model."""

    @abstractmethod
    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Write the model that the step makes of `source` into `out`, a new directory.

        Raises:
            UsageError: the model is not one for this step.
            DataError: the rows are bad.
            StorageError: the disk is full.
        """
