"""edgewright profile."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from msgspec import to_builtins

from edgewright.cli._show import artifact_options, emit

__all__ = ["command"]


@click.command("profile")
@click.argument("bundle", type=click.Path())
@click.option("--tokens", default=128, show_default=True, help="The length of the text.")
@click.option("--threads", default=1, show_default=True, help="Engine threads.")
@click.option("--runs", default=50, show_default=True, help="Profiled runs.")
@click.option("--by", type=click.Choice(["kind", "layer", "operator"]), default="kind", help="What a line stands for.")
@click.option("--why", help="Instead, hold this precision against fp32 and say why it is as fast as it is.")
@click.option("--trace", "trace_", type=click.Path(), help="Write one run as a trace that Perfetto opens.")
@click.option("--html", "page_", type=click.Path(), help="Write a page with a flame chart of the model's modules.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with every operator.")
@artifact_options
def command(
    bundle: str,
    *,
    tokens: int,
    threads: int,
    runs: int,
    by: str,
    why: str | None,
    trace_: str | None,
    page_: str | None,
    as_json: bool,
    format_: str | None,
    precision: str | None,
) -> None:
    """Show where an inference of BUNDLE's artifact spends its time."""
    from edgewright.explanation import explain
    from edgewright.files import write_whole
    from edgewright.flame import page
    from edgewright.profiling import chrome_trace, profile, shares

    if why:
        found_parts = explain(bundle, why, format=format_ or "onnx", tokens=tokens, threads=threads)
        emit([asdict(part) for part in found_parts], as_json=as_json)
        return
    found = profile(bundle, format=format_, precision=precision, tokens=tokens, threads=threads, runs=runs)
    if trace_:
        write_whole(Path(trace_), json.dumps(chrome_trace(found)).encode())
    if page_:
        write_whole(Path(page_), page(found).encode())
    trace, peaks = found.trace, found.peaks
    title = (
        f"{found.artifact.key} on {found.engine}, {tokens} tokens: {trace.plain_ms:.3g} ms, with the profiler at work "
        f"{trace.run_ms:.3g} ms; peaks {peaks.fp32_gmac_s:.0f} GMAC/s in fp32, {peaks.int8_gmac_s:.0f} in int8, "
        f"{peaks.read_gb_s:.0f} GB/s\n"
    )
    rows = [asdict(share) for share in shares(found, by)]
    emit(rows, as_json=as_json, title="" if as_json else title, trace=to_builtins(trace))
