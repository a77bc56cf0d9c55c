"""What a board is asked to run, by what it is for: `devices/_onboard/commands.py` says how its Python starts it.

Standard library alone, for Python 3.9 on, as `edgewright.contracts.board`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

__all__ = [
    "Checks",
    "Command",
    "Engines",
    "Health",
    "Kind",
    "Program",
    "Server",
    "Verify",
]


class Kind:
    """One of several kinds of a thing, which its `op` tells apart where it crosses."""

    op: ClassVar[str]


class Command(Kind):
    """A program on the board, by what it is for: `devices/_onboard/commands.py` says how a board's Python starts it.

    A command of edgewright has its `python`, "" for the store's own or the one that answers.
    """


@dataclass(frozen=True)
class Engines(Command):
    """Start the engines for artifacts of `formats`; with a `version` by exactly that edgewright.

    The others, without a version, are asked of the engines where they are there.

    Attributes:
        stamps: models that hold nothing (`edgewright.bundle.onnx_bytes.stamp`), which ONNX Runtime must open.
        operators: names that it must know, see `edgewright.bundle.onnx_bytes.operators`.
        kernels: files of one operator each (`edgewright.bundle.flat_bytes.kernels`), which LiteRT must open.
    """

    op: ClassVar[str] = "engines"
    formats: tuple[str, ...]
    version: str = ""
    python: str = ""
    stamps: tuple[bytes, ...] = ()
    operators: tuple[str, ...] = ()
    kernels: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Verify(Command):
    """Replay the golden cases of a release in every engine; `quick`, the first case of the smallest artifact."""

    op: ClassVar[str] = "verify"
    quick: bool = False
    python: str = ""


@dataclass(frozen=True)
class Health(Command):
    """Ask the service at the board's socket whether it is well, and which release it serves."""

    op: ClassVar[str] = "health"
    python: str = ""


@dataclass(frozen=True)
class Server(Command):
    """Serve a release at the board's socket."""

    op: ClassVar[str] = "server"
    python: str = ""


@dataclass(frozen=True)
class Program(Command):
    """A caller's own: in its words `{bundle}` stands for the release's directory, `{python}` for the store's Python."""

    op: ClassVar[str] = "program"
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Checks:
    """What a release must pass on the board before and after it is active.

    Each ends with 0 if all is well; rows that it prints as `--json` does are kept, and one must name an engine.

    Attributes:
        probe: starts the engines that the bundle wants, before anything is sent; None for no look.
        self_test: proves the release where it lies, before it is active.
        health: looks at it through `current`, when it is.
        timeout_s: for each of them.
    """

    probe: Optional[Command]  # noqa: UP045 - read by Python 3.9
    self_test: Command
    health: Command
    timeout_s: float = 600.0

    @classmethod
    def of(cls, engines: Engines, timeout_s: float) -> Checks:
        """By the edgewright of a Python: its engines, golden cases in every engine, then one by `current`."""
        python = engines.python
        return cls(engines, Verify(python=python), Verify(quick=True, python=python), timeout_s)

    @classmethod
    def programs(
        cls,
        probe: tuple[str, ...] = (),
        self_test: tuple[str, ...] = ("true",),
        health: tuple[str, ...] = ("true",),
        timeout_s: float = 600.0,
    ) -> Checks:
        """By a caller's own argument vectors, see `Program`."""
        return cls(Program(probe) if probe else None, Program(self_test), Program(health), timeout_s)
