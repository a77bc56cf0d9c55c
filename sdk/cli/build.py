"""edgewright build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import (
    FORMATS,
    PRECISIONS,
    PROFILES,
    Listing,
    column_options,
    example,
    listed,
    output_options,
    profiles_option,
    task_option,
)
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, decoding_row, emit, score_record

if TYPE_CHECKING:
    from edgewright.bundle.manifest import Artifact

__all__ = ["command"]


@click.command("build", epilog=example("build path/to/model --out sentiment --format onnx,tflite --data dev.tsv"))
@click.argument("source")
@click.option("-o", "--out", required=True, type=click.Path(), help="Where the bundle shall be.")
@click.option(
    *("--format", "formats"),
    cls=Listing,
    type=FORMATS,
    callback=listed,
    help="Formats, by comma; by default onnx, or the board's.",
)
@click.option(
    *("--precision", "precisions"),
    cls=Listing,
    type=PRECISIONS,
    callback=listed,
    help="By comma; by default fp32,int8, or the board's.",
)
@click.option(
    *("--device",),
    metavar="PROFILE",
    type=PROFILES,
    help="Make what this board runs best; see edgewright devices list.",
)
@profiles_option
@task_option("The task, where the source's architecture does not tell.")
@click.option("--data", type=click.Path(), help="Labelled rows: the task metric becomes a gate.")
@click.option("--calibration", type=click.Path(), help="Texts for int8-static; by default those of --data.")
@click.option(
    "--shortlist",
    type=click.Path(),
    help="Sentence pairs: an ONNX translator is held to the tokens that stand for a sentence's there. Needs --data.",
)
@click.option(
    "--tokenizer",
    type=click.Path(),
    help="For a Keras model: the directory of its tokenizer.json; for llama2.c its vocabulary.",
)
@click.option("--labels", default="", callback=listed, help="For a Keras model: the names of its classes, by comma.")
@click.option("--max-length", default=512, show_default=True, help="For a Keras model: the most tokens of a text.")
@click.option("--int8-cache", is_flag=True, help="Keys and values of a decoder in 8 bits: ONNX at int8 and int4.")
@click.option("--allow-divergence", is_flag=True, help="Keep artifacts that fail a gate, and record the failure.")
@click.option("--release-version", default=0, help="A counter to raise with each release; boards refuse to go down.")
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
@click.option("--memory-mib", default=8192, show_default=True, help="Most memory of one child process.")
@click.option("--timeout", "timeout_s", default=1800.0, show_default=True, help="Most seconds of one child process.")
@output_options
@column_options
def command(
    source: str,
    *,
    out: str,
    formats: tuple[str, ...] | None,
    precisions: tuple[str, ...] | None,
    device: str | None,
    profiles: str | None,
    task: str | None,
    data: str | None,
    calibration: str | None,
    shortlist: str | None,
    tokenizer: str | None,
    labels: tuple[str, ...],
    max_length: int,
    int8_cache: bool,
    allow_divergence: bool,
    release_version: int,
    force: bool,
    memory_mib: int,
    timeout_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Convert SOURCE and prove every artifact.

    SOURCE is a Hugging Face directory or hub id, a .gguf file, a .bin of llama2.c, or a Keras model: a .keras file or a
    SavedModel directory.
    """
    from edgewright.boards.catalogue import named
    from edgewright.builder.build import build
    from edgewright.builder.plan import wanted_of
    from edgewright.system.child import Limits

    board = named(device, profiles) if device else None
    stages = 3 + sum(1 + 2 * len(each) for each in wanted_of(formats, precisions, board).values())
    bundle = build(
        source,
        out=out,
        formats=formats,
        precisions=precisions,
        device=board,
        task=task,
        data=data,
        calibration=calibration,
        shortlist=shortlist,
        tokenizer=tokenizer,
        labels=labels,
        max_length=max_length,
        int8_cache=int8_cache,
        allow_divergence=allow_divergence,
        version=release_version,
        force=force,
        limits=Limits(memory_mib, timeout_s),
        progress=status(quiet=quiet, stages=stages),
    )
    rows = [_row(a) for a in bundle.manifest.artifacts]
    kept = [a.key for a in bundle.manifest.artifacts if a.parity.diverged]
    verdict = f"kept in spite of a failed gate: {', '.join(kept)}" if kept else "every gate passed"
    emit(rows, as_json=as_json, title=f"{bundle.directory}: {verdict}")


def _row(artifact: Artifact) -> dict[str, Any]:
    parity = artifact.parity
    return {
        **artifact_row(artifact),
        "cosine": parity.cosine,
        "sqnr_db": parity.sqnr_db,
        "max_abs": parity.max_abs,
        "top1": parity.top1,
        **decoding_row(artifact),
        "score": score_record(artifact.score),
        "diverged": parity.diverged,
        "float_operators": ", ".join(artifact.float_operators) or None,
    }
