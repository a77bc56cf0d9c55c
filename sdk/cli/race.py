"""edgewright race."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import (
    FORMATS,
    GIVEN,
    PRECISIONS,
    Listing,
    Output,
    column_options,
    device_options,
    example,
    listed,
    output_options,
    typed,
)
from edgewright.cli._progress import live, status
from edgewright.cli._tables import artifact_row, emit, score_record
from edgewright.errors import ConversionFailed, DeviceError, EdgewrightError, GateFailed, one_line
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.bundle.bundle import Bundle
    from edgewright.measure.place import Place
    from edgewright.measure.race import Entrant, Rules

__all__ = ["command"]

_EVERY = "onnx,tflite,executorch,torchscript"


@click.command("race", epilog=example("race sentiment --input texts.jsonl --threads 1,2 --max-loss 0.5"))
@click.argument("source", type=click.Path())
@click.option("-o", "--out", type=click.Path(), help="For a model: the bundle to build and to race.")
@click.option(
    *("--format", "formats"),
    cls=Listing,
    type=FORMATS,
    default=_EVERY,
    show_default=True,
    callback=listed,
    help="For a model: formats.",
)
@click.option(
    *("--precision", "precisions"),
    cls=Listing,
    type=PRECISIONS,
    default="fp32,int8",
    show_default=True,
    callback=listed,
    help="Precisions.",
)
@click.option("--data", type=click.Path(), help="For a model: labelled rows, which give the score.")
@click.option("--threads", default="1", show_default=True, callback=listed, help="Engine threads, by comma.")
@click.option(
    "--buckets",
    default="all",
    show_default=True,
    callback=listed,
    help="For TFLite: sets of lengths to pad to, by comma, such as all,128,32+128.",
)
@click.option("--input", "input_", type=click.Path(), help="Texts like yours: the race is run at their lengths.")
@click.option("--tokens", default="64", show_default=True, callback=listed, help="Without --input: lengths, by comma.")
@click.option("--written", default=64, show_default=True, help="A decoder: tokens after each prompt of --tokens.")
@click.option("--processes", default=5, show_default=True, help="Fresh processes of a finalist.")
@click.option("--max-loss", type=float, help="Most points of the metric that a winner may lose to the eager model.")
@click.option("--max-ram-mib", type=float, help="Most memory.")
@click.option("--max-mb", type=float, help="Largest file.")
@click.option(
    "--by",
    type=click.Choice(["latency", "cpu", "energy"]),
    default="latency",
    show_default=True,
    help="What decides: the time of an inference, the processor's, or its energy where there is a meter.",
)
@click.option("--rows", "rows_", type=Output(), help="Keep the entrants' rows in this file.")
@click.option("--dry-run", is_flag=True, help="Do not write the choice into the bundle.")
@click.option(
    "--flash", is_flag=True, help="With --device or --hosts: flash the bundle before, and again with the choice in it."
)
@click.option("--hosts", type=click.Path(), help="A file of URLs, one a line: race on all of these boards.")
@click.option("--parallel", default=8, show_default=True, type=click.IntRange(1), help="How many of them at once.")
@device_options
@output_options
@column_options
def command(source: str, **options: Any) -> None:
    """Find the fastest artifact of SOURCE, a bundle or a model, and write it into the bundle.

    `edgewright.load` then takes it on machines of the model that the race was run on: this one, or with --device that
    of a board, which has the choice with the next flash. With --hosts each board of the file has a race of its own.
    """
    from edgewright.measure import race

    _check(source, options)
    limit_mb, show = options["max_mb"], status(quiet=options["quiet"])
    size = None if limit_mb is None else int(limit_mb * 1e6)
    rules = race.Rules(options["max_loss"], options["max_ram_mib"], size, options["by"])
    plan = _plan(options)
    bundle, notes = _bundle(source, options, show)
    if not options["dry_run"]:
        race.check_unsigned(bundle)
    entrants: Sequence[Entrant]
    if options["hosts"]:
        _many(bundle, plan, rules, options, notes)
        return
    if bundle.task().generates:
        entrants = _writers(bundle, plan.threads, rules, options, show)
    else:
        entrants = race.race(bundle, plan, rules, place=_place(bundle, options, show), progress=show)
    if options["rows_"]:
        _keep(bundle, entrants, Path(options["rows_"]))
    if not options["dry_run"]:
        notes += _chosen(race.choose(bundle, entrants[0]), entrants[0], options, show)
    notes += [f"{entrants[0].rows[0].grade}: {reason}" for reason in entrants[0].rows[0].reasons]
    printed = {"as_json": options["as_json"], "notes": notes, "winner": entrants[0].target.artifact.key}
    emit([_row(entrant, entrants[0]) for entrant in entrants], **printed)


def _writers(
    bundle: Bundle, threads: tuple[int, ...], rules: Rules, options: dict[str, Any], show: Callable[[str], None]
) -> Sequence[Entrant]:
    """A decoder's artifacts, by how soon an answer is whole."""
    from edgewright.measure.writing import WritingPlan
    from edgewright.measure.writing_race import race_writing

    strange = [name for name in ("input_", "rows_", "device", "flash") if options[name]] + _given("buckets")
    if strange:
        what = f"--{strange[0].rstrip('_')} is of models that answer at once"
        raise click.UsageError(f"{what}: a decoder is raced on this machine, at prompts of --tokens")
    typed = _given("tokens")
    plan = WritingPlan(
        prompts=_numbers(options["tokens"], "--tokens") if typed else WritingPlan.prompts,
        written=options["written"],
        threads=threads,
        processes=options["processes"],
    )
    return race_writing(bundle, plan, rules, progress=show)


def _check(source: str, options: dict[str, Any]) -> None:
    """Raise UsageError where the options contradict each other."""
    far = "--hosts" if options["hosts"] else "--device" if options["device"] else ""
    if options["hosts"] and (options["device"] or options["rows_"]):
        raise click.UsageError("--hosts goes without --device and --rows, which are of one board")
    if options["flash"] and (not far or options["dry_run"]):
        raise click.UsageError("--flash goes with --device or --hosts, and not with --dry-run")
    if far and source == "-":
        raise click.UsageError("the choice is written into a bundle: give the one that is active there, not -")
    if far and not options["flash"] and not (Path(source) / "manifest.json").is_file():
        raise click.UsageError(
            f"{source} is no bundle, and one that is built now is not on the board: give --flash too"
        )


def _place(bundle: Bundle, options: dict[str, Any], show: Callable[[str], None]) -> Place | None:
    """The board of `--device`, with the bundle on it."""
    if not options["device"]:
        return None
    from edgewright.cli._on_device import there

    place = there(str(bundle.directory), options)
    if options["flash"]:
        _flash(bundle, options, show)
    return place


def _flash(bundle: Bundle, options: dict[str, Any], show: Callable[[str], None]) -> str:
    from edgewright.boards.connect import connect
    from edgewright.boards.flash import flash

    where = {"root": options["root"], "python": options["python"]}
    return flash(bundle.directory, connect(options["device"]), **where, progress=show).release


def _chosen(bundle: Bundle, winner: Entrant, options: dict[str, Any], show: Callable[[str], None]) -> list[str]:
    """What has been done with the choice, in words; the board gets it where that was asked."""
    machine = winner.target.place.about.machine.model
    words = [f"{bundle.directory} takes the winner on machines of this model, {machine}"]
    if options["flash"]:
        return [*words, f"{options['device']} has the choice: {_flash(bundle, options, show)} is active"]
    if options["device"]:
        words.append(f"the board has the choice with the next: edgewright flash {bundle.directory} {options['device']}")
    return words


def _many(bundle: Bundle, plan: Any, rules: Rules, options: dict[str, Any], notes: list[str]) -> None:
    """A race on each board of `--hosts`, and one table; what failed on a board is its line there."""
    from edgewright.boards.many import flash_all, race_all, read_hosts
    from edgewright.measure.race import choose

    if bundle.task().generates:
        raise click.UsageError("--hosts is of models that answer at once: a decoder is raced on this machine")
    urls = read_hosts(options["hosts"])
    show = live(urls, quiet=options["quiet"])
    given = {name: options[name] for name in ("root", "python", "parallel")}
    flashed = flash_all(bundle.directory, urls, **given, progress=show) if options["flash"] else ()
    bad = {one.url: one.error for one in flashed if one.error}
    raced = race_all(bundle, [url for url in urls if url not in bad], plan=plan, rules=rules, **given, progress=show)
    bad |= {one.url: one.error for one in raced if one.error}
    won = {one.url: one.done[0] for one in raced if one.done}
    if won and not options["dry_run"]:
        chosen = choose(bundle, *won.values())
        models = ", ".join(choice.machine for choice in chosen.manifest.choices)
        notes += [f"{bundle.directory} has a choice for machines of these models: {models}"]
        again = flash_all(bundle.directory, tuple(won), **given, progress=show) if options["flash"] else ()
        bad |= {one.url: one.error for one in again if one.error}
    rows = [{"board": one.url, **_row(entrant, won[one.url])} for one in raced for entrant in one.done or ()]
    empty = dict.fromkeys(rows[0]) if rows else {}
    rows += [{**empty, "board": url, "verdict": str(error)} for url, error in bad.items()]
    notes += [f"{url}, {one.rows[0].grade}: {reason}" for url, one in won.items() for reason in one.rows[0].reasons]
    winners = {url: entrant.target.artifact.key for url, entrant in won.items()}
    emit(rows, as_json=options["as_json"], notes=notes, winners=winners)
    if bad:
        what = f"{len(bad)} of {counted(len(urls), 'board')} failed: {', '.join(bad)}"
        raise DeviceError(what, hint="the others are done")


def _bundle(source: str, options: dict[str, Any], show: Callable[[str], None]) -> tuple[Bundle, list[str]]:
    """The bundle to race, built where `source` is a model, and what did not pass its gates."""
    from edgewright.bundle.bundle import MANIFEST, Bundle

    if (Path(source) / MANIFEST).is_file():
        for_build = _given("out", "formats", "precisions", "data")
        if for_build:
            said = f"--{for_build[0].removesuffix('s')} is for a model that is built now, {source} is a bundle"
            raise click.UsageError(f"{said}: all its artifacts are raced")
        return Bundle.open(source), []
    if not options["out"]:
        raise click.UsageError(f"{source} is no bundle: give --out for the one to build")
    from edgewright.builder.build import build  # behind the rest: on a board there is none, and bundles are raced

    what = {name: options[name] for name in ("out", "formats", "precisions", "data")}
    try:
        return build(source, **what, leave_gaps=True, progress=show), []
    except (GateFailed, ConversionFailed) as error:
        if not (Path(options["out"]) / MANIFEST).is_file():
            raise
        return Bundle.open(options["out"]), [f"out before the race: {_first(error)}"]


def _given(*names: str) -> list[str]:
    """Those options that somebody gave."""
    context = click.get_current_context()
    return [name for name in names if context.get_parameter_source(name) in GIVEN]


def _first(error: EdgewrightError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _plan(options: dict[str, Any]) -> Any:
    from edgewright.data.rows import texts
    from edgewright.measure.plan import Plan

    path = options["input_"]
    return Plan(
        tokens=() if path else _numbers(options["tokens"], "--tokens"),
        texts=tuple(texts(Path(path))) if path else (),
        data=Path(path).name if path else "",
        threads=_numbers(options["threads"], "--threads"),
        buckets=tuple(() if word == "all" else _numbers(word.split("+"), "--buckets") for word in options["buckets"]),
        processes=options["processes"],
    )


def _numbers(words: Sequence[str], option: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in words)
    except ValueError as error:
        raise click.BadParameter(f"{','.join(words)!r} is not a list of numbers", param_hint=option) from error


def _keep(bundle: Bundle, entrants: Sequence[Entrant], path: Path) -> None:
    from edgewright.measure import rows
    from edgewright.measure.bench import Measured, now, run_of

    command = one_line(typed(), rows.MOST_WORDS)
    found = Measured([entrant.rows for entrant in entrants if entrant.rows])
    rows.write(run_of(bundle, found, entrants[0].target.place, began=now(), command=command), path)


def _row(entrant: Entrant, winner: Entrant) -> dict[str, Any]:
    from edgewright.statistics.latency import middle

    ran = bool(entrant.rows)
    return {
        **artifact_row(entrant.target.artifact),
        "threads": entrant.target.threads,
        "buckets": "+".join(map(str, entrant.target.buckets)) or None,
        "score": score_record(entrant.target.artifact.score),
        "processes": entrant.processes or None,
        "median_ms": entrant.median_ms if ran else None,
        "cpu_ms": middle(entrant.cpu_ms),
        "energy_mj": middle(entrant.energies_mj),
        "of_winner": entrant.taken / winner.taken if ran else None,
        "peak_rss_mib": max(row.peak_rss_mib for row in entrant.rows) if ran else None,
        "grade": entrant.rows[0].grade if ran else None,
        "verdict": entrant.lost or ("the winner, of void rows" if entrant.rows[0].void else "the winner"),
    }
