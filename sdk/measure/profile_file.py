"""The file that `edgewright profile --out` keeps, for a report to show.

Law: `read` gives what `write` was given. It is read with the distrust that bundles get: no unknown
field, no newer schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from edgewright.bundle import manifest
from edgewright.errors import DataError, EdgewrightError
from edgewright.measure.profile import Profile  # noqa: TC001 - msgspec reads annotations
from edgewright.system.files import read_capped, write_whole
from edgewright.system.untrusted import MAX_JSON_BYTES

__all__ = ["Kept", "read", "write"]


class Kept(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root object of the file."""

    schema: Annotated[int, Meta(ge=1)] = manifest.SCHEMA
    kind: Literal["edgewright profile"] = "edgewright profile"
    profile: Profile


def write(found: Profile, path: Path) -> None:
    """Write the file, whole or not at all. Raises StorageError."""
    write_whole(path, manifest.encode(Kept(profile=found)))


def read(path: str | Path) -> Profile:
    """Read such a file.

    Raises:
        DataError: it is not there, too large, half written, of another version, or no profile.
    """
    hint = "give a file that `edgewright profile --out` wrote"
    try:
        kept: Kept = manifest.decode(read_capped(Path(path), MAX_JSON_BYTES), Kept, Path(path).name)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", hint=hint) from error
    except EdgewrightError as error:
        raise DataError(error.message, hint=error.hint or hint) from error
    if not kept.profile.trace.operators or kept.profile.trace.run_ms <= 0:
        raise DataError(f"{Path(path).name} has no operators", hint=hint)
    return kept.profile
