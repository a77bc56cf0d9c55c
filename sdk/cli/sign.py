"""edgewright sign."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._options import example, output_options
from edgewright.cli._tables import emit
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from edgewright.bundle.manifest import Target

__all__ = ["command"]

_KINDS = ("board", "model", "architecture", "fleet")
"""What a target may name: a profile of `edgewright devices list`, or what `devices probe` shows, or the owner says."""


@click.command("sign", epilog=example("sign sentiment --key ~/.ssh/id_ed25519"))
@click.argument("bundle", type=click.Path())
@click.option("--key", required=True, type=click.Path(), help="An SSH private key, or a public one in ssh-agent.")
@click.option("--add", is_flag=True, help="Keep the signatures that it has, for boards that ask for more than one.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="KIND=NAME",
    help="For these boards alone: board=PROFILE, model=PATTERN, architecture=NAME or fleet=NAME; several of a kind.",
)
@click.option("--until", type=click.IntRange(1), help="Good until this version of the boards' root of keys.")
@output_options
def command(
    bundle: str, *, key: str, add: bool, targets: tuple[str, ...], until: int | None, as_json: bool, quiet: bool
) -> None:
    """Sign BUNDLE with an SSH key; `verify --signers` and boards with an owner's key ask for it."""
    del quiet
    from edgewright.bundle.signing import sign

    with suppress(RuntimeError):  # a user without a home
        key = str(Path(key).expanduser())
    out = sign(bundle, key, target=_target(targets, until), add=add)
    emit([{"signature": str(out)}] if as_json else [], as_json=as_json, title=f"{bundle}: signed, {out.name}")


def _target(given: tuple[str, ...], until: int | None) -> Target | None:
    """The target in words; None where nothing was said of one."""
    from msgspec import ValidationError, convert

    from edgewright.bundle.manifest import Target

    if not given and until is None:
        return None
    found: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for word in given:
        kind, _, name = word.partition("=")
        if kind not in found or not name:
            raise UsageError(f"{word!r} names no boards", hint=f"give {', '.join(f'{kind}=NAME' for kind in _KINDS)}")
        found[kind].append(name)
    models = [*found["model"], *(pattern for name in found["board"] for pattern in _patterns(name))]
    tree = {"models": models, "architectures": found["architecture"], "fleets": found["fleet"], "until": until}
    try:
        return convert(tree, Target)
    except ValidationError as error:
        raise UsageError(f"no board can be meant: {error}") from error


def _patterns(name: str) -> tuple[str, ...]:
    """How the boards of a profile call themselves. Raises UsageError."""
    from edgewright.boards.catalogue import named

    recognized = named(name).recognized
    patterns = (*recognized.models, *recognized.products)
    if not patterns:
        raise UsageError(f"{name} is what no board calls itself", hint="give model=PATTERN or architecture=NAME")
    return patterns
