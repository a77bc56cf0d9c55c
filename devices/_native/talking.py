"""A transport that can start a program and talk to it, which a device without Python needs."""

from __future__ import annotations

from abc import abstractmethod
from typing import IO, TYPE_CHECKING

from edgewright.contracts.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import Popen

__all__ = ["Talking"]


class Talking(Transport):
    """The way to a device on which a runner can be put.

    Attributes:
        may_lack_python: whether a device of this kind is looked at for a Python, or a runner in its place, first.
    """

    may_lack_python: bool = False

    @abstractmethod
    def talk(self, argv: Sequence[str], *, stderr: IO[bytes]) -> Popen[bytes]:
        """Start a program there whose standard input and output are pipes here; it ends when they are closed."""
