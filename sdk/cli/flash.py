"""edgewright flash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import board_options, example, output_options
from edgewright.cli._progress import live, status
from edgewright.cli._tables import emit
from edgewright.errors import DeviceError
from edgewright.system.words import counted, human

if TYPE_CHECKING:
    from edgewright.boards.flash import Flashed
    from edgewright.boards.install import Equipment, Outfitter
    from edgewright.boards.many import Outcome

__all__ = ["command"]

_KEYS = ("format", "precision", "size_bytes", "engine", "golden", "max_abs")


class _Command(click.Command):
    """`--install` alone means `--install=wheels`: click would take the word after it for its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["--install=wheels" if word == "--install" else word for word in args])


@click.command("flash", epilog=example("flash sentiment ssh://pi@pi4.local --install"), cls=_Command)
@click.argument("bundle", type=click.Path())
@click.argument("url", required=False)
@click.option("--hosts", type=click.Path(), help="A file of URLs, one a line: flash all of these boards.")
@click.option("--parallel", default=8, show_default=True, type=click.IntRange(1), help="How many of them at once.")
@click.option(
    "--install",
    metavar="[=pip]",
    type=click.Choice(["wheels", "pip"]),
    help="Install edgewright and an engine there if need be: sent from here, or with =pip fetched by the board's pip.",
)
@click.option("--allow-downgrade", is_flag=True, help="Install a version below the active one.")
@click.option(
    "--service/--no-service",
    default=None,
    help="Serve the active release by systemd, or remove that; by default left as it is.",
)
@click.option("--timeout", "timeout_s", default=600.0, show_default=True, help="Most seconds of a check on the board.")
@click.option(
    "--runner", default="", help="For a device without Python: edgewright-run, compiled for it (doctor --android)."
)
@click.option("--engine", default="", help="And a libLiteRt.so for it. Both stay there for later commands.")
@board_options
@output_options
def command(bundle: str, **options: Any) -> None:
    """Install BUNDLE, a directory or what `pack` wrote, on the board at URL, or on all those in the file of --hosts.

    Only files that the board lacks are sent. The bundle is proven there by its golden cases before it becomes active,
    and is taken back when it is not healthy after that. A plug pulled at any moment leaves the old release or the new.
    """
    url, hosts, as_json = options["url"], options["hosts"], options["as_json"]
    if bool(url) == bool(hosts):
        raise click.UsageError("give the URL of one board, or --hosts FILE")
    given = {name: options[name] for name in ("allow_downgrade", "service", "timeout_s")}
    given["install"] = _outfitter(options["install"])
    if (options["runner"] or options["engine"]) and (hosts or options["install"]):
        raise click.UsageError("--runner and --engine go to one device, and without --install")
    if hosts:
        _many(bundle, hosts, options, {**given, "root": options["root"], "python": options["python"]})
        return
    from edgewright.boards.connect import board_behind, connect
    from edgewright.boards.flash import flash
    from edgewright.bundle.packing import opened

    transport = connect(url)  # a URL that cannot be is said before anything is opened
    with opened(bundle) as found:
        board = board_behind(transport, **{name: options[name] for name in ("root", "python", "runner", "engine")})
        done = flash(found, board, progress=status(quiet=options["quiet"]), **given)
    rows = [{key: row.get(key) for key in _KEYS} for row in done.rows]
    emit(rows, as_json=as_json, title=_title(url, done), flash=_facts(done))


def _outfitter(how: str | None) -> Outfitter | None:
    if how is None:
        return None
    from edgewright.boards.install import by_pip, by_wheels

    return by_pip if how == "pip" else by_wheels


def _facts(done: Flashed) -> dict[str, Any]:
    return {
        "release": done.release,
        "version": done.version,
        "changed": done.changed,
        "signer": done.signer or None,
        "sent": done.sent,
        "sent_bytes": done.sent_bytes,
        "installed": done.equipment.sent if done.equipment else (),
        "left": done.left or None,
        "socket": done.socket or None,
    }


def _title(url: str, done: Flashed) -> str:
    signed = f", signed by {done.signer}" if done.signer else ""
    served = f", served at {done.socket}" if done.socket else ""
    what = f"{url}: {done.release}, version {done.version}{signed}, is active{served}"
    installed = _installed(done.equipment)
    if not done.changed:
        return f"{what}, as it was before{installed}"
    left = f"\n{done.left}" if done.left else ""
    return f"{what}; sent {counted(len(done.sent), 'file')}, {human(done.sent_bytes)}{installed}{left}"


def _installed(equipment: Equipment | None) -> str:
    if equipment is None or not equipment.sent:
        return ""
    return f"; installed {counted(len(equipment.sent), 'wheel')}, {human(equipment.sent_bytes)}"


def _many(bundle: str, hosts: str, options: dict[str, Any], given: dict[str, Any]) -> None:
    from edgewright.boards.many import flash_all, read_hosts
    from edgewright.bundle.packing import opened

    urls = read_hosts(hosts)
    show = live(urls, quiet=options["quiet"])
    with opened(bundle) as whole:
        found = flash_all(whole, urls, parallel=options["parallel"], progress=show, **given)
    emit([_outcome(one) for one in found], as_json=options["as_json"])
    bad = [one for one in found if one.error]
    if bad:
        names = ", ".join(one.url for one in bad)
        raise DeviceError(f"{len(bad)} of {counted(len(found), 'board')} failed: {names}", hint="the others are done")


def _outcome(one: Outcome[Flashed]) -> dict[str, Any]:
    done = one.done
    return {
        "board": one.url,
        "release": done.release if done else None,
        "version": done.version if done else None,
        "changed": done.changed if done else None,
        "sent_bytes": done.sent_bytes if done else None,
        "installed_bytes": done.equipment.sent_bytes if done and done.equipment else None,
        "seconds": round(one.seconds, 2),
        "problem": f"{one.error.code}: {one.error}" if one.error else None,
    }
