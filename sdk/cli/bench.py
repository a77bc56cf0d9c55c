"""edgewright bench."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._instructions import counts
from edgewright.cli._options import (
    GIVEN,
    Output,
    artifact_options,
    column_options,
    device_options,
    example,
    output_options,
    typed,
)
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit, score_record
from edgewright.errors import ConnectionLost, one_line
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.boards.native.place import NativePlace
    from edgewright.boards.place import There
    from edgewright.measure.regression import Comparison
    from edgewright.measure.rows import Row, Run
    from edgewright.measure.translating import TranslatingRow
    from edgewright.measure.writing import WritingRow
    from edgewright.system.shown import Results

__all__ = ["command"]

_AT_ONCE = ("out", "against", "baseline", "batch", "sustained", "roofline")
"""Options of a bundle whose artifacts give their answers at once."""
_OF_DECODERS = ("tokens", "written")
"""And those of one that goes on with a prompt, which a translator is not."""


@click.command("bench", epilog=example("bench sentiment --tokens 16,128 --threads 1,2 --out run.json"))
@click.argument("bundle", type=click.Path())
@click.option("--tokens", default="16,128", show_default=True, help="Fixed lengths, by comma.")
@click.option("--input", "input_", type=click.Path(), help="A file of texts, run at their own lengths.")
@click.option("--threads", default="1", show_default=True, help="Engine threads, by comma.")
@click.option("--written", default=64, show_default=True, help="A decoder: tokens after each prompt of --tokens.")
@click.option("--batch", default=1, show_default=True, help="Texts in one run.")
@click.option("--processes", type=int, help="Fresh processes per artifact: 5, or 10 with --against.")
@click.option("--runs", default=50, show_default=True, help="Least number of timed runs per process and length.")
@click.option("--least-ms", default=250.0, show_default=True, help="Least time of a process's timed runs.")
@click.option("--sustained", default=0.0, help="Go on for so many seconds, and show the drift.")
@click.option("--roofline", is_flag=True, help="Measure the machine's peaks too, and each row's share of them.")
@click.option("-o", "--out", type=Output(), help="Keep the rows, raw samples and all, in this file.")
@click.option("--against", type=click.Path(), help="Another bundle: measure both in turn and compare.")
@click.option("--baseline", type=click.Path(), help="A file of --out: compare with its rows.")
@click.option("--fail-over", default="5%", show_default=True, help="The slow-down that fails, with --baseline.")
@click.option("--as", "form", type=click.Choice(["table", "csv", "markdown"]), default="table", help="How to print.")
@artifact_options
@device_options
@output_options
@column_options
def command(bundle: str, **options: Any) -> None:
    """Measure latency, load time and peak memory of the artifacts of BUNDLE.

    On an emulated board, whose times mean nothing, the instructions of one inference, or of one token that is written,
    are counted instead.
    """
    from edgewright.cli._on_device import there
    from edgewright.measure import rows
    from edgewright.measure.bench import bench
    from edgewright.measure.regression import bench_against, check, with_baseline

    lengths = _numbers(options["tokens"], "--tokens")
    if options["device"] and counts(bundle, lengths):
        return
    place = there(bundle, options) if options["device"] else None
    if _writes(bundle, lengths, options, place):
        return
    allowed = _share(options["fail_over"])
    kept = rows.read(options["baseline"]) if options["baseline"] else None
    plan = _plan(options)
    chosen = {"format": options["format_"], "precision": options["precision"]}
    show = status(quiet=options["quiet"])
    printed = {"as_json": options["as_json"], "form": options["form"]}
    if place and options["against"]:
        raise click.UsageError("--against compares two bundles here; with --device, give --baseline")
    if options["against"]:
        found = bench_against(bundle, options["against"], plan, **chosen, progress=show)
        emit([_compared(one) for one in found], **printed)
        return
    line = one_line(typed(), rows.MOST_WORDS)
    measured = place.opened() if place else bundle
    run = bench(measured, plan, **chosen, place=place, command=line, progress=show)
    compared = with_baseline(run, kept) if kept else []
    printed_rows = [_compared(one) for one in compared] if kept else [_row(row) for row in run.rows]
    try:
        if options["out"]:
            rows.write(run, Path(options["out"]))
    finally:  # what was measured is seen, whatever became of the file
        emit(printed_rows, **printed, notes=_notes(run.rows, run.problems))
    _check_whole(run, options["out"])
    check(compared, allowed)


def _writes(bundle: str, lengths: tuple[int, ...], options: dict[str, Any], place: There | NativePlace | None) -> bool:
    """Measure a decoder, how fast it reads and writes, or a translator. False for a bundle of another task."""
    from edgewright.boards.native.place import NativePlace
    from edgewright.bundle.bundle import Bundle

    task = (place.opened() if place else Bundle.open(bundle)).task()
    if not task.generates:
        return False
    _check_written(_OF_DECODERS if task.reads_source else ("input_",))
    native = place if isinstance(place, NativePlace) else None
    if place and not native:
        from edgewright.cli._on_device import ask

        emit(ask().tree["rows"], as_json=options["as_json"], form=options["form"])
    else:
        here = task.reads_source and not native
        rows = _translated(bundle, options) if here else _written(bundle, lengths, options, native)
        notes = [f"{row.grade}: {reason} ({row.key})" for row in rows for reason in row.reasons]
        table = [{**artifact_row(r.artifact), **r.record(), "score": score_record(r.artifact.score)} for r in rows]
        emit(table, as_json=options["as_json"], form=options["form"], notes=notes)
    return True


def _check_written(others: Sequence[str]) -> None:
    """Raise click.UsageError for an option that was given, and means nothing to a model that writes."""
    context = click.get_current_context()
    given = [name for name in (*_AT_ONCE, *others) if context.get_parameter_source(name) in GIVEN]
    if given:
        name = given[0].rstrip("_")
        whose = "a decoder" if name in _OF_DECODERS else "models that answer at once"
        how = "texts of --input" if others == _OF_DECODERS else "prompts of --tokens"
        raise click.UsageError(f"--{name} is of {whose}: this one is timed on {how}, and its rows are printed alone")


def _translated(bundle: str, options: dict[str, Any]) -> Results[TranslatingRow]:
    from edgewright.measure.translating import TranslatingPlan, bench_translating

    path = options["input_"]
    plan = TranslatingPlan(
        texts=tuple(map(str, _texts(path))) if path else (),
        threads=_numbers(options["threads"], "--threads"),
        processes=options["processes"] or TranslatingPlan.processes,
    )
    chosen = {"format": options["format_"], "precision": options["precision"]}
    return bench_translating(bundle, plan, **chosen, progress=status(quiet=options["quiet"]))


def _written(
    bundle: str, lengths: tuple[int, ...], options: dict[str, Any], place: NativePlace | None
) -> Results[WritingRow]:
    from edgewright.measure.writing import WritingPlan, bench_writing

    typed = click.get_current_context().get_parameter_source("tokens") in GIVEN
    plan = WritingPlan(
        prompts=lengths if typed else WritingPlan.prompts,
        written=options["written"],
        threads=_numbers(options["threads"], "--threads"),
        processes=options["processes"] or WritingPlan.processes,
    )
    chosen = {"format": options["format_"], "precision": options["precision"]}
    show = status(quiet=options["quiet"])
    return (
        place.writing(plan, **chosen, progress=show) if place else bench_writing(bundle, plan, **chosen, progress=show)
    )


def _check_whole(run: Run, out: str | None) -> None:
    """Raise ConnectionLost where the way to the board broke."""
    if run.cut_short:
        kept_in = f"the rows so far are in {out}" if out else "keep the rows so far with --out"
        raise ConnectionLost(run.cut_short, hint=kept_in)


def _plan(options: dict[str, Any]) -> Any:
    from edgewright.measure.plan import Plan

    path = options["input_"]
    return Plan(
        tokens=_numbers(options["tokens"], "--tokens"),
        texts=_texts(path) if path else (),
        data=Path(path).name if path else "",
        threads=_numbers(options["threads"], "--threads"),
        batch=options["batch"],
        processes=options["processes"] or (10 if options["against"] else 5),
        runs=options["runs"],
        least_ms=options["least_ms"],
        sustained_s=options["sustained"],
        roofline=options["roofline"],
    )


def _numbers(words: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in words.split(",") if word)
    except ValueError as error:
        raise click.BadParameter(f"{words!r} is not a list of numbers such as 16,128", param_hint=option) from error


def _share(words: str) -> float:
    try:
        share = float(words.removesuffix("%")) / 100
    except ValueError:
        share = math.nan
    if not 0 <= share < math.inf:  # what is no number would never be exceeded
        raise click.BadParameter(f"{words!r} is not a percentage such as 5%", param_hint="--fail-over")
    return share


def _texts(path: str) -> tuple[Any, ...]:
    from edgewright.data.rows import texts

    return tuple(texts(Path(path)))


def _row(row: Row) -> dict[str, Any]:
    from edgewright.statistics.latency import middle

    took = row.latency_ms
    return {
        **artifact_row(row.artifact),
        "engine": row.engine,
        "engine_version": row.version,
        "threads": row.threads,
        "batch": row.batch if row.batch > 1 else None,
        "tokens": row.tokens,
        "n": took.n,
        "median_ms": took.median,
        "low_ms": took.low,
        "high_ms": took.high,
        "p90_ms": took.p90,
        "p99_ms": took.p99,
        "cpu_ms": middle(row.cpu_ms),
        "answer_ms": row.parts.whole_ms if row.parts else None,
        "load_ms": row.startup.load_ms,
        "first_ms": row.startup.first_ms,
        "peak_rss_mib": row.peak_rss_mib,
        "energy_mj": row.energy_mj if row.energy_mj != "unmeasured" else None,
        "of_bound": row.bound_share,
        "drift": _drift(row),
        "score": score_record(row.artifact.score),
        "grade": row.grade,
    }


def _drift(row: Row) -> float | None:
    from edgewright.measure.grading import drift

    return drift(row.sustained_ms) if len(row.sustained_ms) > 2 else None


def _compared(one: Comparison) -> dict[str, Any]:
    return {
        "row": one.row.key,
        "median_ms": one.row.latency_ms.median,
        "other_ms": one.other.latency_ms.median,
        "ratio": one.ratio.value,
        "low": one.ratio.low,
        "high": one.ratio.high,
        "difference": one.difference,
        "score": score_record(one.row.artifact.score),
        "grade": one.row.grade,
        "other_grade": one.other.grade,
    }


def _notes(rows: tuple[Row, ...], problems: tuple[str, ...]) -> list[str]:
    """Why rows are not of grade A, each kind of reason once, and what went wrong."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for reason in row.reasons:
            kind = re.sub(r"[-+.\d]+", "#", f"{row.grade}: {reason}")
            found.setdefault(kind, []).append(f"{row.grade}: {reason} ({row.key})")
    alike = {first: len(others) for first, *others in found.values()}
    more = {first: f", and {counted(n, 'more row')} alike" * bool(n) for first, n in alike.items()}
    return [*(first + words for first, words in more.items()), *problems]
