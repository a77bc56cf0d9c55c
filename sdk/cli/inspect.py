"""edgewright inspect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._fit import facts, width
from edgewright.cli._options import example, quiet_option
from edgewright.cli._tables import artifact_row, decoding_row, emit, score_record
from edgewright.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.bundle.manifest import Choice, Manifest, TensorSpec

__all__ = ["command"]

_NO_MODEL = ("nothing", "unknown", "file")
"""Kinds of which there is nothing to say but that a bundle was expected."""
_CACHE = ("past_key_values.", "past_conv.", "present.", "present_conv.")
"""What the names of keys, values and states of convolutions begin with, as transformers exports them."""


@click.command("inspect", epilog=example("inspect sentiment"))
@click.argument("bundle", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@quiet_option
def command(bundle: str, *, as_json: bool) -> None:
    """Show what BUNDLE says of itself. Names and sizes are checked, hashes are not: that is `verify`.

    Of anything else, a model in whatever form, it says in one line what it is, and the command that takes it.
    """
    from pathlib import Path

    from edgewright.bundle.bundle import inspect
    from edgewright.bundle.manifest import encode
    from edgewright.model.identify import identify

    found = identify(bundle)
    if found.kind not in _NO_MODEL and not Path(bundle, "manifest.json").exists():
        row = {"kind": found.kind, "is": found.what, "then": found.then, "command": found.command or None}
        emit([row] if as_json else [], as_json=as_json, title="" if as_json else found.line(bundle))
        return
    manifest = inspect(bundle)
    rows = [
        {
            **artifact_row(a),
            "path": a.path,
            "inputs": _signatures(a.inputs, whole=as_json),
            "outputs": _signatures(a.outputs, whole=as_json),
            "cosine": a.parity.cosine,
            "top1": a.parity.top1,
            **decoding_row(a),
            "score": score_record(a.score),
            "diverged": a.parity.diverged,
            "sha256": a.sha256 if as_json else a.sha256[:12],
        }
        for a in manifest.artifacts
    ]
    title = "" if as_json else _title(manifest)
    emit(rows, as_json=as_json, form="blocks", title=title, manifest=json.loads(encode(manifest)))


def _title(manifest: Manifest) -> str:
    source, settings = manifest.source, manifest.settings
    said: dict[str, Any] = {
        "task": manifest.task,
        "labels": ", ".join(settings.labels) or "-",
        "max length": f"{settings.max_length} tokens",
        "source": f"{source.architecture}, {source.parameters:,} parameters, licence {source.licence or 'unknown'}",
        "held to": source.outside or "-",
        "unread": ", ".join(source.unread) or "-",
        "chosen": "; ".join(_chosen(choice) for choice in manifest.choices) or "-",
        "made with": ", ".join(f"{name} {version}" for name, version in manifest.toolchain.items()),
    }
    return facts({name: one_line(value) for name, value in said.items()}, width()) + "\n"


def _chosen(choice: Choice) -> str:
    threads = f"{choice.threads} thread{'s' * (choice.threads > 1)}"
    return f"{choice.path} with {threads} on {choice.machine}: {choice.latency_ms:.3g} ms for {choice.inputs}"


def _signatures(specs: Sequence[TensorSpec], *, whole: bool) -> str:
    """Names and shapes; of a decoder's cache, for people, how many there are of the first kind."""
    cache = [spec for spec in specs if spec.name.startswith(_CACHE)]
    if whole or not cache:
        return ", ".join(map(_signature, specs))
    others = [_signature(spec) for spec in specs if spec not in cache]
    return ", ".join([*others, f"{_signature(cache[0])} and {len(cache) - 1} more of the cache"])


def _signature(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype}[{','.join(map(str, spec.shape))}]"
