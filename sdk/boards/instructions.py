"""Instructions of one inference on an emulated CPU: equal from run to run, where a time would mean nothing.

A count is no latency: cores differ in how many instructions they execute at once and in how long they wait for memory.
It is good to see that an artifact became dearer, and which kernels an engine took. It is taken between two marks around
`Session.run`, with one thread, arrays that are ready, and two inferences before it. Of a model that writes it is
one token, after so many others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.boards.flash import listing
from edgewright.boards.remote import identity
from edgewright.bundle.bundle import Bundle
from edgewright.errors import BundleError, DeviceError, UsageError
from edgewright.measure.process import AskCount, answered
from edgewright.system.interpreter import there
from edgewright.system.progress import silent
from edgewright.system.shown import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.transport import Tally, Transport

__all__ = ["Count", "count_active", "count_instructions"]

_COUNT_S = 600.0
"""A choice: an emulator that counts is some hundred times slower, and each length is run three times."""


@dataclass(frozen=True)
class Count:
    """One inference of an artifact at a length."""

    artifact: Artifact
    engine: str
    version: str
    tokens: int
    tally: Tally

    def __repr__(self) -> str:
        return brief(self, self.artifact.key, f"{self.tokens} tokens", f"{self.tally.instructions:,} instructions")

    def row(self) -> dict[str, Any]:
        """The count as a row of a table or of JSON."""
        return {
            "format": self.artifact.format,
            "precision": self.artifact.precision,
            "size_bytes": self.artifact.total_bytes,
            "engine": self.engine,
            "engine_version": self.version,
            "tokens": self.tokens,
            "instructions": self.tally.instructions,
            "dot_products": self.tally.dot_products,
            "matrix_products": self.tally.matrix_products,
            "multiply_adds": self.tally.multiply_adds,
        }


def count_instructions(
    bundle: Bundle | str | Path,
    transport: Transport,
    *,
    tokens: Sequence[int] = (16, 128),
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    progress: Callable[[str], None] = silent,
) -> tuple[Count, ...]:
    """Count the instructions of one inference of each artifact that the board has an engine for, at each length.

    Args:
        bundle: a bundle or its directory on this machine, which an emulated board sees.
        transport: the way to an emulated board.
        tokens: lengths of one text; of a model that writes, how many tokens come before the one that is counted.
        format: only artifacts of this format.
        precision: only artifacts of this precision.
        progress: called with a short phrase at each artifact.

    Raises:
        UsageError: the board is not emulated, a length is over the model's, or the model translates.
        DeviceError: an artifact's inference failed there, or nothing can be counted on this machine.
    """
    opened = Bundle.of(bundle)
    fits = opened.artifacts(format, precision)
    task = opened.task()
    if task.reads_source:
        raise UsageError(
            "instructions of a translation are not counted", hint="of texts and of decoders' tokens they are"
        )
    longest = opened.manifest.settings.max_length - task.generates
    if not tokens or any(not 1 <= n <= longest for n in tokens):
        asked = ", ".join(map(str, tokens))
        raise UsageError(
            f"lengths {asked or 'none'} were asked, the model takes 1 to {longest} tokens"
            + " before one" * task.generates
        )
    found: list[Count] = []
    for artifact in fits:
        progress(f"{artifact.key}: count")
        found += _counted(opened, artifact, transport, tokens)
    return tuple(found)


def count_active(
    bundle: str | Path,
    transport: Transport,
    *,
    root: str = "",
    python: str = "",
    tokens: Sequence[int] = (16, 128),
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    progress: Callable[[str], None] = silent,
) -> tuple[Count, ...]:
    """As `count_instructions`, of the release that is active on an emulated board: `bundle`, or whichever it is.

    Raises:
        BundleError: another release is active there.
        DeviceError: none is.
    """
    digest, version = identity(bundle)
    found = listing(transport, root=root, python=python)
    if not found.current:
        raise DeviceError(f"nothing is installed in {found.root}", hint="run: edgewright flash BUNDLE URL")
    if not found.current.endswith(f"-{digest[:12]}") and digest:
        what = f"the bundle here is {digest[:12]}, version {version}; active on the board is {found.current}"
        raise BundleError(what, hint="run: edgewright flash BUNDLE URL; or give - as the bundle for whatever is active")
    active = f"{found.root}/releases/{found.current}"
    narrowed = {"format": format, "precision": precision}
    return count_instructions(active, transport, tokens=tokens, **narrowed, progress=progress)


def _counted(bundle: Bundle, artifact: Artifact, transport: Transport, tokens: Sequence[int]) -> list[Count]:
    request = AskCount(
        bundle=str(bundle.directory.resolve()),
        format=artifact.format,
        precision=artifact.precision,
        tokens=tuple(tokens),
    )
    argv = there(transport.python, "edgewright.runtimes._counted")
    done, tallies = transport.count(argv, timeout_s=_COUNT_S, stdin=request.packed())
    words = done.stderr.decode(errors="replace").strip().splitlines()
    if done.exit_code != 0:
        what = f"counting {artifact.key} ended with exit code {done.exit_code}"
        raise DeviceError(what, hint=words[-1] if words else "")
    answer = answered(request, done.stdout)
    if [tally.mark for tally in tallies] != list(range(1, len(tokens) + 1)):
        raise DeviceError(f"counting {artifact.key} gave {len(tallies)} counts, {len(tokens)} were asked")
    facts = (artifact, answer.engine, answer.version)
    return [Count(*facts, length, tally) for length, tally in zip(tokens, tallies, strict=True)]
