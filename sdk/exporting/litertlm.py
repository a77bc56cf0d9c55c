"""A `.litertlm` file: a decoder's TFLite artifact as it is, for LiteRT-LM, which Google's own models come in.

The file has the tokenizer, the chat template, and the tokens that begin and end a text. LiteRT-LM gives a template what
was said as parts, and has none of the tokens that transformers has there by name: a few lines before the model's own
template make both what it was written for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from edgewright import registry
from edgewright.bundle.bundle import Bundle
from edgewright.errors import SourceError, UnsupportedConversion
from edgewright.generation.chat_template import ChatTemplate
from edgewright.generation.defaults import Defaults
from edgewright.generation.sampling import Sampling  # noqa: TC001 - msgspec reads annotations
from edgewright.system.child import Child
from edgewright.system.files import check_free, copy_whole, scratch
from edgewright.system.jobs import Jobs
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.bundle.manifest import Artifact
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["LITERTLM", "LitertlmRequest", "export_litertlm"]

_NEEDED = ("litert_lm_builder", "ai_edge_litert")
_RANK = 4
"""Dimensions of a cache: texts, heads, tokens, width."""
_SAID = (
    "{%- set ns = namespace(said=[]) -%}"
    "{%- for message in messages -%}"
    "{%- if message.content is string -%}{%- set words = message.content -%}"
    '{%- else -%}{%- set words = message.content | map(attribute="text") | join -%}{%- endif -%}'
    '{%- set ns.said = ns.said + [{"role": message.role, "content": words}] -%}'
    "{%- endfor -%}"
    "{%- set messages = ns.said -%}"
)
"""Before a template: its messages with texts in them, which LiteRT-LM gives as lists of parts."""


class LitertlmRequest(Struct, frozen=True, kw_only=True):
    """A tflite artifact to make a file of, and what is said in it.

    Attributes:
        tokenizer: tokenizer.json.
        template: the chat template, "" for none.
        start: the token that begins a text, if any does.
        ends: those that end an answer.
        slots: tokens that the cache has room for.
        sampling: how tokens are chosen.
    """

    artifact: Path
    tokenizer: Path
    template: str
    start: int | None
    ends: list[int]
    slots: int
    sampling: Sampling
    out: Path


LITERTLM = Child("edgewright.converters._tflite.litertlm:export", LitertlmRequest, type(None))


def export_litertlm(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    precision: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Artifact:
    """Write a `.litertlm` file that LiteRT-LM opens, and give the artifact that is in it.

    Args:
        bundle: a bundle with a tflite artifact of a model that writes.
        out: the file to write.
        precision: which artifact; by default the smallest that passed its gates.
        force: replace a file that is at `out` already.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: there is no such artifact, or its file is not what the manifest says.
        UnsupportedConversion: the model does not write, its cache is too small, or its tokenizer puts more around a
            text than a token before it.
        StorageError: `out` exists, or cannot be written.
        MissingExtra: the converter's packages are not installed.
    """
    opened, target = Bundle.of(bundle), Path(out)
    if opened.manifest.task != "text-generation":
        task = opened.manifest.task
        hint = "MediaPipe has them: edgewright export mediapipe" if task == "text-classification" else ""
        raise UnsupportedConversion(f"LiteRT-LM runs models that write, this one is for {task}", hint=hint)
    artifact = opened.choose(format="tflite", precision=precision)
    check_free(target, force=force)
    registry.require(_NEEDED, "host")
    for path in (artifact.path, *opened.text_files()):
        opened.checked(path)
    defaults = Defaults.of(opened.directory)
    template, start = _chat(opened.directory, opened.tokenizer())
    with scratch() as work:
        request = LitertlmRequest(
            artifact=opened.directory / artifact.path,
            tokenizer=opened.directory / "tokenizer.json",
            template=template,
            start=start,
            ends=sorted(defaults.ends),
            slots=_slots(artifact),
            sampling=defaults.sampling,
            out=work / "model.litertlm",
        )
        Jobs(work, progress=progress).run(LITERTLM, request)
        copy_whole(request.out, target)
    return artifact


def _slots(artifact: Artifact) -> int:
    """Tokens that the cache of an artifact has room for. Raises UnsupportedConversion where it has none."""
    caches = (one.shape for one in artifact.inputs if one.name.startswith("kv_cache_") and len(one.shape) == _RANK)
    slots = next((shape[2] for shape in caches), None)
    if not isinstance(slots, int):
        raise UnsupportedConversion(f"{artifact.key} has no cache of a known size", hint="build the bundle again")
    return slots


def _chat(directory: Path, tokenizer: Tokenizer) -> tuple[str, int | None]:
    """The template as LiteRT-LM can render it, and the token before every text. Raises UnsupportedConversion."""
    try:
        template = ChatTemplate(directory)
    except SourceError:
        return "", _added(tokenizer)
    tokens = template.tokens
    begin = tokens["bos_token"]
    # what a template says by name is left out of it, and put before the text; what it spells out stays
    named = "bos_token" in template.source and bool(begin)
    starts = named and template.render([{"role": "user", "content": "a"}]).startswith(begin)
    said = "".join(
        f"{{%- set {name} = {json.dumps('' if name == 'bos_token' and starts else token, ensure_ascii=False)} -%}}"
        for name, token in tokens.items()
        if name in template.source
    )
    return said + _SAID + template.source, tokenizer.vocabulary[begin] if starts else None


def _added(tokenizer: Tokenizer) -> int | None:
    """The token that the tokenizer puts before a text, if any. Raises UnsupportedConversion for more than that."""
    whole, bare = tokenizer.ids("a"), tokenizer.ids("a", special=False)
    if whole == bare:
        return None
    if whole[1:] == bare:
        return whole[0]
    what = f"the tokenizer makes {whole} of a text with the tokens {bare}"
    raise UnsupportedConversion(what, hint="LiteRT-LM puts one token before a text, and none behind it")
