"""Which artifact of a bundle is opened where nothing is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.inference.engines import runnable

if TYPE_CHECKING:
    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact, Choice

__all__ = ["chosen", "preferred"]


def preferred(bundle: Bundle) -> Artifact:
    """The artifact that `load` opens where nothing is asked."""
    artifact, _ = chosen(bundle)
    return artifact or bundle.choose(among=runnable(bundle))


def chosen(bundle: Bundle) -> tuple[Artifact | None, Choice | None]:
    """The artifact that was chosen for this kind of machine, where an engine for it is installed, and the choice."""
    choice = bundle.choice()
    if choice is None:
        return None, None
    artifact = next(a for a in bundle.manifest.artifacts if a.path == choice.path)
    return (artifact, choice) if artifact.format in runnable(bundle) else (None, None)
