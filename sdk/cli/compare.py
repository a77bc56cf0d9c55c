"""edgewright compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import artifact_options, column_options, example, output_options, task_option
from edgewright.cli._progress import status
from edgewright.cli._tables import emit, score_record

if TYPE_CHECKING:
    from edgewright.proof.compare import Difference
    from edgewright.proof.subjects import Side
    from edgewright.statistics.latency import Ratio
from edgewright.system.words import human

__all__ = ["command"]


@click.command("compare", epilog=example("compare path/to/model sentiment --data dev.tsv"))
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@click.option("--data", type=click.Path(), help="Labelled rows to score both on; without, the gate's texts are asked.")
@click.option("--metric", default="", help="A metric of the task; by default its own.")
@task_option("The task of a source; by default the one of its architecture.")
@click.option("--threads", default=1, show_default=True, help="Threads of the engine, or of torch.")
@artifact_options
@output_options
@column_options
def command(first: str, second: str, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Show what SECOND changed from FIRST, each a source directory or a bundle: answers, bytes, score, latency.

    Two bundles are timed in turn as `bench` does; a source's latency is that of torch's eager model, and says so.
    """
    from edgewright.proof.compare import compare

    found = compare(
        first,
        second,
        options["data"],
        metric=options["metric"],
        task=options["task"],
        format=options["format_"],
        precision=options["precision"],
        threads=options["threads"],
        progress=status(quiet=quiet),
    )
    if as_json:
        emit([_record(side) for side in (found.first, found.second)], as_json=True, **_between(found))
    else:
        emit(_table(found), as_json=False)


def _record(side: Side) -> dict[str, Any]:
    from msgspec import structs

    record = structs.asdict(side)
    scored, cost = record.pop("scored"), record.pop("cost")
    record["score"] = score_record(scored.score) if scored else None
    record |= {name: getattr(scored, name) for name in ("low", "high")} if scored else {}
    return {**record, **(structs.asdict(cost) if cost else {})}


def _between(found: Difference) -> dict[str, Any]:
    from msgspec import to_builtins

    names = ("value", "low", "high")
    ratio = {name: getattr(found.ratio, name) for name in names} if found.ratio else None
    points = dict(zip(names, found.points, strict=True)) if found.points else None
    return {"outputs": to_builtins(found.outputs), "points": points, "latency_ratio": ratio}


def _table(found: Difference) -> list[dict[str, Any]]:
    a, b, o = found.first, found.second, found.outputs
    rows = [
        _line("model", a.model, b.model),
        _line("what", a.kind, b.kind),
        _line("weights", f"{a.parameters:,}", f"{b.parameters:,}", _times(b.parameters, a.parameters)),
        _line("not zero", _count(a.nonzeros), _count(b.nonzeros), _times(b.nonzeros, a.nonzeros)),
        _line("bytes", human(a.size_bytes), human(b.size_bytes), _times(b.size_bytes, a.size_bytes)),
        _line(
            "compressed",
            human(a.compressed_bytes),
            human(b.compressed_bytes),
            _times(b.compressed_bytes, a.compressed_bytes),
        ),
        *_scores(found),
        *_costs(found),
        _line("texts asked", str(o.texts), str(o.texts)),
        _line("the same answer", "", "", "-" if o.agreement is None else f"{o.agreement:.2%}"),
        _line("outputs, rms", f"{o.rms:.4g}", "", "shapes differ" if o.rms_error is None else f"{o.rms_error:.3g} rms"),
        _line("outputs, largest", "", "", "-" if o.max_abs is None else f"{o.max_abs:.3g}"),
    ]
    return [row for row in rows if any(cell not in ("-", "") for name, cell in row.items() if name)]


def _line(name: str, first: str, second: str, change: str = "") -> dict[str, str]:
    return {"": name, "first": first, "second": second, "difference": change}


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _times(now: float | None, before: float | None) -> str:
    return f"{now / before:.3g} times" if now is not None and before else "-"


def _scores(found: Difference) -> list[dict[str, str]]:
    if not found.points or not found.first.scored or not found.second.scored:
        return []
    score = found.first.scored.score
    one, other = (
        f"{s.score.value:.2f} ({s.low:.1f} to {s.high:.1f})" for s in (found.first.scored, found.second.scored)
    )
    value, low, high = found.points
    return [_line(f"{score.metric}, n {score.n}", one, other, f"{value:+.2f} ({low:+.2f} to {high:+.2f})")]


def _ratio(ratio: Ratio) -> str:
    shown = "" if ratio.shown else ", no difference shown"
    return f"{ratio.value:.3g} times ({ratio.low:.3g} to {ratio.high:.3g}){shown}"


def _costs(found: Difference) -> list[dict[str, str]]:
    a, b = found.first.cost, found.second.cost
    if a is None or b is None:
        return []
    change = _ratio(found.ratio) if found.ratio else "not timed in turn"
    change = "void" if "void" in (a.grade, b.grade) else change
    return [
        _line("latency, ms", f"{a.latency_ms:.3g}", f"{b.latency_ms:.3g}", change),
        _line("timed", a.timed, b.timed),
        _line("peak memory, MiB", f"{a.peak_rss_mib:.0f}", f"{b.peak_rss_mib:.0f}"),
        _line("grade", a.grade or "-", b.grade or "-"),
    ]
