"""edgewright export android."""

from __future__ import annotations

import os
from typing import Literal

import click

from edgewright.cli._options import example, export_options, output_options
from edgewright.cli._progress import status
from edgewright.cli._tables import artifact_row, emit

__all__ = ["command"]


@click.command("android", epilog=example("export android sentiment --precision int8 --out sentiment-android"))
@export_options(
    "project",
    ("onnx", "ort", "tflite", "executorch"),
    which="of an ort file the weights are in memory once, tflite runs on LiteRT, executorch on its own",
)
@click.option(
    "--tasks",
    default="",
    metavar="TASK,...",
    help="Whose code comes along with that of the bundle's own, by commas, or all: for an app that opens other models.",
)
@click.option(
    "--encrypt",
    type=click.Path(),
    metavar="KEYFILE",
    help="Encrypt the weights by a key of 32 bytes, which the app gets from a server of yours.",
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
@output_options
def command(
    bundle: str,
    *,
    out: str,
    format_: Literal["onnx", "ort", "tflite", "executorch"],
    precision: str | None,
    tasks: str,
    encrypt: str | None,
    kotlinc: str | None,
    classpath: str,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a Gradle project for Android that answers as BUNDLE does: a library module in Kotlin, and a sample app.

    Tokenizer and tasks are Kotlin, the engine is the Android library of ONNX Runtime, LiteRT or ExecuTorch. No NDK is
    needed.
    """
    from edgewright.exporting.android import export_android, key_notes, sizes
    from edgewright.exporting.c import chat_notes

    artifact = export_android(
        bundle,
        out=out,
        format=format_,
        precision=precision,
        tasks=[name.strip() for name in tasks.split(",") if name.strip()],
        encrypt=encrypt,
        kotlinc=kotlinc,
        classpath=[path for path in classpath.split(os.pathsep) if path],
        force=force,
        progress=status(quiet=quiet),
    )
    emit(
        [{**artifact_row(artifact), "out": out}],
        as_json=as_json,
        notes=[sizes(out), *chat_notes(out), *key_notes(out)],
        client="android",
    )
