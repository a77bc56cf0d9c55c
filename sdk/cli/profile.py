"""edgewright profile."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from edgewright.cli._options import Output, artifact_options, device_options, example, quiet_option
from edgewright.cli._tables import emit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.measure.profile import Profile

__all__ = ["command"]


@click.command("profile", epilog=example("profile sentiment --precision fp32 --by layer"))
@click.argument("bundle", type=click.Path())
@click.option("--tokens", default=128, show_default=True, help="The length of the text, or of a decoder's prompt.")
@click.option("--threads", default=1, show_default=True, help="Engine threads.")
@click.option("--runs", default=50, show_default=True, help="Profiled runs.")
@click.option("--by", type=click.Choice(["kind", "layer", "operator"]), default="kind", help="What a line stands for.")
@click.option("--why", help="Instead, hold this precision against fp32 and say why it is as fast as it is.")
@click.option("--trace", "trace_", type=Output(), help="Write one run as a trace that Perfetto opens.")
@click.option("--html", "page_", type=Output(), help="Write a page with a flame chart of the model's modules.")
@click.option("-o", "--out", type=Output(), help="Keep every operator in this file, for `edgewright report`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with every operator.")
@artifact_options
@device_options
@quiet_option
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
    out: str | None,
    as_json: bool,
    format_: str | None,
    precision: str | None,
    device: str | None,
    **_: Any,
) -> None:
    """Show where an inference of BUNDLE's artifact spends its time.

    Of a decoder it is one token that is written after a prompt of so many.
    """
    from edgewright.measure.explain import explain
    from edgewright.measure.profile import profile, shares

    files = {"trace_": trace_, "page_": page_, "out": out}
    if device:
        _far({name: path for name, path in files.items() if path}, as_json=as_json, why=why)
        return
    if why:
        found_parts = explain(bundle, why, format=format_ or "onnx", tokens=tokens, threads=threads)
        emit([asdict(part) for part in found_parts], as_json=as_json)
        return
    found = profile(bundle, format=format_, precision=precision, tokens=tokens, threads=threads, runs=runs)
    _write(found, files)
    rows, facts = [asdict(share) for share in shares(found, by)], _facts(found)
    _print(rows, facts, as_json=as_json)


def _write(found: Profile, files: Mapping[str, str | None]) -> None:
    """The files that were asked for."""
    from edgewright.measure import profile as measure_profile
    from edgewright.measure.profile import chrome_trace
    from edgewright.reporting.flame import page
    from edgewright.system.files import write_whole

    if files["trace_"]:
        write_whole(Path(files["trace_"]), json.dumps(chrome_trace(found)).encode())
    if files["page_"]:
        write_whole(Path(files["page_"]), page(found).encode())
    if files["out"]:
        measure_profile.write(found, Path(files["out"]))


def _print(rows: list[dict[str, Any]], facts: dict[str, Any], *, as_json: bool) -> None:
    fell = facts["fallbacks"]
    notes = [fell["words"]] if fell and not as_json else []
    by_layer = click.get_current_context().params["by"] == "layer"
    if by_layer and not as_json and not any(one["layer"] for one in facts["trace"]["operators"]):
        notes.append("no operator has a layer: the artifact names none; build it again, or for ONNX: pip install onnx")
    emit(rows, as_json=as_json, title="" if as_json else _title(facts), notes=notes, **(facts if as_json else {}))


def _facts(found: Profile) -> dict[str, Any]:
    """What the JSON holds beside the rows."""
    from edgewright.measure.profile import fallbacks

    fell = fallbacks(found)
    facts: dict[str, Any] = {"artifact": found.artifact.key, "engine": found.engine, "tokens": found.tokens}
    facts["writes"] = found.writes
    facts["fallbacks"] = {**asdict(fell), "words": str(fell)} if fell else None
    return {**facts, "peaks": to_builtins(found.peaks), "trace": to_builtins(found.trace)}


def _title(facts: dict[str, Any]) -> str:
    trace, peaks = facts["trace"], facts["peaks"]
    what = f"a token after {facts['tokens']}" if facts.get("writes") else f"{facts['tokens']} tokens"
    return (
        f"{facts['artifact']} on {facts['engine']}, {what}: {trace['plain_ms']:.3g} ms, with the "
        f"profiler at work {trace['run_ms']:.3g} ms; peaks {peaks['fp32_gmac_s']:.0f} GMAC/s in fp32, "
        f"{peaks['int8_gmac_s']:.0f} in int8, {peaks['read_gb_s']:.0f} GB/s\n"
    )


def _far(wanted: Mapping[str, str], *, as_json: bool, why: str | None) -> None:
    """The same on a board."""
    from edgewright.boards.place import refuse_emulated
    from edgewright.cli._on_device import ask
    from edgewright.system.files import write_whole

    refuse_emulated(click.get_current_context().params["device"])
    answer = ask(takes=tuple(wanted))
    for name, path in wanted.items():
        write_whole(Path(path), answer.files[name])
    facts = {name: value for name, value in answer.tree.items() if name != "rows"}
    if why:
        emit(answer.tree["rows"], as_json=as_json, **(facts if as_json else {}))
    else:
        _print(answer.tree["rows"], facts, as_json=as_json)
