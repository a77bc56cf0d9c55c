"""edgewright export android."""

from __future__ import annotations

import os
from typing import Literal

import click

from edgewright.cli._options import PRECISIONS, Listing, example, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit

__all__ = ["command"]


@click.command("android", epilog=example("export android sentiment --precision int8 --out sentiment-android"))
@click.argument("bundle", type=click.Path())
@click.option("-o", "--out", required=True, type=click.Path(), help="The directory to write.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "ort", "tflite"]),
    default="onnx",
    show_default=True,
    help="Which artifact; of an ort file the weights are in memory once, and tflite runs on LiteRT.",
)
@click.option(
    "--precision", cls=Listing, type=PRECISIONS, help="Which artifact; by default the smallest that passed its gates."
)
@click.option(
    "--kotlinc",
    type=click.Path(),
    help="A Kotlin compiler, which makes edgewright.aar too, for builds without Gradle; needs --classpath.",
)
@click.option(
    "--classpath",
    default="",
    help="What it compiles against, as java has it: android.jar, jars or .aar of the engine and coroutines.",
)
@click.option("--force", is_flag=True, help="Replace a project that is there.")
@output_options
def command(
    bundle: str,
    *,
    out: str,
    format_: Literal["onnx", "ort", "tflite"],
    precision: str | None,
    kotlinc: str | None,
    classpath: str,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a Gradle project for Android that answers as BUNDLE does: a library module in Kotlin, and a sample app.

    Tokenizer and tasks are Kotlin, the engine is the Android library of ONNX Runtime or LiteRT. No NDK is needed.
    """
    from edgewright.exporting.android import export_android, sizes

    artifact = export_android(
        bundle,
        out=out,
        format=format_,
        precision=precision,
        kotlinc=kotlinc,
        classpath=[path for path in classpath.split(os.pathsep) if path],
        force=force,
        progress=status(quiet=quiet),
    )
    emit([{**artifact_row(artifact), "out": out}], as_json=as_json, notes=[sizes(out)], client="android")
