"""edgewright bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._show import artifact_options, artifact_row, emit, output_options, score_record, status

if TYPE_CHECKING:
    from edgewright.measure import Row

__all__ = ["command"]


@click.command("bench")
@click.argument("bundle", type=click.Path())
@click.option("--tokens", default="16,128", show_default=True, help="Fixed lengths, by comma.")
@click.option("--input", "input_", type=click.Path(), help="A file of texts, run at their own lengths.")
@click.option("--threads", default=1, show_default=True, help="Engine threads.")
@click.option("--processes", default=3, show_default=True, help="Fresh processes per artifact.")
@click.option("--runs", default=50, show_default=True, help="Timed runs per process and length.")
@artifact_options
@output_options
def command(
    bundle: str,
    *,
    tokens: str,
    input_: str | None,
    threads: int,
    processes: int,
    runs: int,
    format_: str | None,
    precision: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure latency, load time and peak memory of the artifacts of BUNDLE, batch 1."""
    from edgewright.measure import Plan, bench

    lengths = _lengths(tokens)
    texts = _texts(input_) if input_ else ()
    plan = Plan(tokens=lengths, texts=texts, threads=threads, processes=processes, runs=runs)
    rows = bench(bundle, plan, format=format_, precision=precision, progress=status(quiet=quiet))
    emit([_row(row) for row in rows], as_json=as_json)


def _lengths(tokens: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in tokens.split(",") if word)
    except ValueError as error:
        raise click.BadParameter(
            f"{tokens!r} is not a list of numbers such as 16,128", param_hint="--tokens"
        ) from error


def _texts(path: str) -> tuple[Any, ...]:
    from edgewright.data import texts

    return tuple(texts(Path(path)))


def _row(row: Row) -> dict[str, Any]:
    took = row.latency_ms
    return {
        **artifact_row(row.artifact),
        "engine": row.engine,
        "engine_version": row.version,
        "threads": row.threads,
        "tokens": row.tokens,
        "n": took.n,
        "median_ms": took.median,
        "low_ms": took.low,
        "high_ms": took.high,
        "p90_ms": took.p90,
        "load_ms": row.load_ms,
        "first_ms": row.first_ms,
        "peak_rss_mib": row.peak_rss_mib,
        "score": score_record(row.artifact.score),
    }
