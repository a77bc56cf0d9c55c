"""The model card of a bundle, README.md: what it is, what it was held against, and how programs open it.

Its front matter is that of the Hugging Face Hub. The same bundle gives the same bytes: the card says nothing of the
moment, of the machine, or of the directory.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from edgewright.bundle.manifest import Decoding
from edgewright.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgewright.bundle.manifest import Artifact, GoldenCase, Manifest
    from edgewright.model.card import SourceCard

__all__ = ["bundle_card"]

_JS_DTYPES = {"fp32": "fp32", "fp16": "fp16", "int8": "q8", "int4": "q4"}
"""What transformers.js calls precisions, each with a file of its own (its documentation, "Using quantized models")."""
_JS_TASKS = {
    *("feature-extraction", "fill-mask", "question-answering", "text-classification", "text-generation"),
    *("token-classification", "zero-shot-classification"),
}
_MOST_EXAMPLE = 120
"""Characters of a text and of an answer that are shown: a line of an editor."""
_MOST_SOURCE_CARD = 2**14
"""Characters of the source's own card: what it says first; it goes to boards as well."""
_ORT = """\
```c
const OrtApi *ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
ort->CreateSession(env, {path}, options, &session);
const char *inputs[] = {{{inputs}}}, *outputs[] = {{{outputs}}};
ort->Run(session, NULL, inputs, values, {taken}, outputs, {given}, results);
```"""


def bundle_card(manifest: Manifest, source: SourceCard, example: GoldenCase, *, title: str, base: str | None) -> bytes:
    """README.md of a bundle.

    Args:
        manifest: of the bundle; files beside its artifacts are not looked at.
        source: the card of the model that it was made of.
        example: a text, and what the eager model answers.
        title: the model's name.
        base: the hub id of the model, where it has one.
    """
    parts = [*_front(manifest, source, title, base), "", f"# {title}, for devices", "", *_what(manifest, base), ""]
    parts += [*_artifacts(manifest.artifacts), "", *_uses(manifest, example), *_carried(source)]
    return ("\n".join(parts).rstrip() + "\n").encode()


def _front(manifest: Manifest, source: SourceCard, title: str, base: str | None) -> Iterator[str]:
    """The front matter, its values as JSON, which YAML 1.2 takes as it is."""
    formats = sorted({artifact.format for artifact in manifest.artifacts})
    kept: dict[str, Any] = {key: words[0] if len(words) == 1 else words for key, words in source.kept.items()}
    if base:
        kept |= {"base_model": base}
    said = {
        "license": manifest.source.licence,
        **{key: kept[key] for key in sorted(kept)},
        "base_model_relation": "quantized" if base else None,
        "pipeline_tag": manifest.task,
        "library_name": "transformers.js" if _js(manifest) else "edgewright",
        "tags": ["edgewright", *formats],
        "model-index": _index(manifest, title),
    }
    yield "---"
    yield from (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in said.items() if value)
    yield "---"


def _index(manifest: Manifest, title: str) -> list[dict[str, Any]]:
    """The scores as the Hub lists them: by data set, with a metric for each artifact."""
    found: dict[str, list[dict[str, Any]]] = {}
    for artifact in manifest.artifacts:
        if score := artifact.score:
            metric = {"type": score.metric, "name": f"{score.metric}, {artifact.key}", "value": score.value}
            found.setdefault(score.data, []).append(metric)
    task = {"type": manifest.task}
    results = [{"task": task, "dataset": {"name": d, "type": d}, "metrics": each} for d, each in found.items()]
    return [{"name": title, "results": results}] if results else []


def _what(manifest: Manifest, base: str | None) -> Iterator[str]:
    source, settings = manifest.source, manifest.settings
    whence = f"[{base}](https://huggingface.co/{base})" if base else f"`{one_line(source.architecture)}`"
    yield f"{whence}, {source.parameters:,} parameters, as files for devices, made and proven by edgewright."
    yield ""
    yield f"- Task: {manifest.task}, texts of at most {settings.max_length:,} tokens"
    if settings.labels:
        yield f"- Labels: {', '.join(f'`{one_line(label)}`' for label in settings.labels)}"
    yield f"- Licence: {source.licence or 'the source names none'}"
    yield f"- SHA-256 of the source: `{source.sha256}`"
    yield f"- Made with {', '.join(f'{name} {version}' for name, version in manifest.toolchain.items())}"
    if source.outside:
        yield f"- Held against: {one_line(source.outside)}"


def _artifacts(artifacts: Sequence[Artifact]) -> Iterator[str]:
    """What is in it, what it was held against, and what came of that."""
    texts = max(artifact.parity.texts for artifact in artifacts)
    yield "## Artifacts and their gates"
    yield ""
    yield f"Each was held against the eager float32 model on {texts} texts."
    yield ""
    rows = [_row(artifact) for artifact in artifacts]
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    yield from (f"| {' | '.join(row[name] or '-' for name in names)} |" for row in rows)


def _row(artifact: Artifact) -> dict[str, str]:
    parity, score, decoding = artifact.parity, artifact.score, artifact.decoding
    writes = decoding if isinstance(decoding, Decoding) else None
    eager = f", eager {score.reference:.2f}" if score and score.reference is not None else ""
    return {
        "file": f"`{artifact.path}`",
        "format": artifact.format,
        "precision": artifact.precision,
        "size": f"{artifact.total_bytes / 1e6:.3g} MB",
        "score": f"{score.value:.2f} {score.metric}{eager} (n {score.n}, {score.data})" if score else "",
        "perplexity": f"{writes.perplexity:.4g}, eager {writes.reference:.4g}" if writes else "",
        "cosine": f"{parity.cosine:.6f}",
        "same choice": "" if parity.top1 is None else f"{parity.top1:.1%}",
        "gate": f"failed: {one_line(parity.diverged)}" if parity.diverged else "passed",
    }


def _uses(manifest: Manifest, example: GoldenCase) -> Iterator[str]:
    """How programs open it: Python, JavaScript, C."""
    item = json.dumps(example.text, ensure_ascii=False)
    answer = json.dumps(example.answer, ensure_ascii=False)
    yield from (
        "## In Python",
        "",
        "```python",
        "import edgewright as ew",
        "",
        'model = ew.load("PATH/OF/THIS/BUNDLE")',
    )
    if manifest.task == "zero-shot-classification":
        yield f"answer = model({item}, candidate_labels=[...])"
    else:
        yield f"answer = model({item})"
        yield f"# {answer if len(answer) <= _MOST_EXAMPLE else answer[: _MOST_EXAMPLE - 1] + '…'}"
    yield "```"
    yield ""
    yield "`pip install edgewright` with `[onnx]`, `[litert]` or `[executorch]` for the engine; torch is not needed."
    yield "`edgewright verify` checks every hash and replays the golden cases. `edgewright pull` fetches it from a hub."
    yield ""
    if dtypes := _js(manifest):
        yield from _javascript(manifest, dtypes, item)
    yield from _c(manifest)


def _js(manifest: Manifest) -> list[str]:
    """The types of numbers that transformers.js finds here; [] where it has no such task."""
    if manifest.task not in _JS_TASKS or manifest.settings.activation != "identity" or manifest.settings.prompt:
        return []
    return [_JS_DTYPES[a.precision] for a in manifest.artifacts if a.format == "onnx" and a.precision in _JS_DTYPES]


def _javascript(manifest: Manifest, dtypes: Sequence[str], item: str) -> Iterator[str]:
    yield from ("## In transformers.js", "", "```js", "import { pipeline } from '@huggingface/transformers';", "")
    dtype = dtypes[-1]
    yield f"const model = await pipeline('{manifest.task}', 'OWNER/NAME', {{ dtype: '{dtype}' }});"
    settings, more = manifest.settings, ""
    if manifest.task == "feature-extraction" and settings.pooling in ("mean", "cls"):
        more = f", {{ pooling: '{settings.pooling}', normalize: {json.dumps(settings.normalize)} }}"
    yield f"const answer = await model({item}{more});" if item.startswith('"') else "const answer = await model(...);"
    yield from ("```", "")
    if len(dtypes) > 1:
        yield f"`dtype` may be {', '.join(f'`{one}`' for one in dtypes)}."
        yield ""


def _c(manifest: Manifest) -> Iterator[str]:
    """What a program without Python is to know: names, types and shapes, and what to test itself with."""
    yield from ("## In C and elsewhere", "")
    seen = set()
    for artifact in manifest.artifacts:
        signature = [[f"`{s.name}` {s.dtype}[{', '.join(map(str, s.shape))}]" for s in specs if not _cache(s.name)]
                     for specs in (artifact.inputs, artifact.outputs)]  # fmt: skip
        words = f"{', '.join(signature[0])} → {', '.join(signature[1])}"
        if (artifact.format, words) not in seen:
            seen.add((artifact.format, words))
            yield f"- {artifact.format}: {words}"
    yield ""
    onnx = [artifact for artifact in manifest.artifacts if artifact.format == "onnx" and not artifact.decoding]
    if onnx:
        smallest = min(onnx, key=lambda artifact: artifact.total_bytes)
        taken, given = ([json.dumps(spec.name) for spec in specs] for specs in (smallest.inputs, smallest.outputs))
        yield "With ONNX Runtime's C interface, `values` being tensors of one row of token ids each:"
        yield ""
        names = {"path": json.dumps(smallest.path), "inputs": ", ".join(taken), "outputs": ", ".join(given)}
        yield _ORT.format(**names, taken=len(taken), given=len(given))
        yield ""
    yield "`tokenizer.json` is read by the tokenizers library, which is Rust. `golden.json` has texts with their"
    yield "token ids and the outputs of each artifact: whoever writes a client of their own holds it against those."


def _cache(name: str) -> bool:
    return name.startswith(("past_key_values.", "past_conv.", "present.", "present_conv."))


def _carried(source: SourceCard) -> Iterator[str]:
    """The source's own card, its beginning where it is long."""
    body = source.body.strip()
    if not body:
        return
    yield from ("", "## The source's own card", "")
    cut = body[:_MOST_SOURCE_CARD].rpartition("\n")[0] if len(body) > _MOST_SOURCE_CARD else body
    yield re.sub(r"[^\S\n]+$", "", cut, flags=re.MULTILINE)
    if cut != body:
        open_fence = len(re.findall(r"^```", cut, re.MULTILINE)) % 2
        yield from (*(["```"] * open_fence), "", "… the rest is in the source's README.md.")
