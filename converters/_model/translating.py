"""The eager encoder-decoder on the sources of a gate: logits of every token, greedy tokens, and those of a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import torch
import transformers

from edgewright.converters._model.eager import load
from edgewright.model.translating import EagerTranslation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.model.translating import Manner, TranslationRequest

__all__ = ["translate"]

_BATCH = 16
"""Sources that are read together: a step of `generate` costs some milliseconds, whatever it computes."""
_Answer = TypeVar("_Answer")
_Greedy: TypeAlias = "tuple[tuple[int, ...], tuple[float, ...]]"
"""Tokens, and how far apart the two likeliest logits of each were."""


@torch.inference_mode()  # type: ignore[untyped-decorator]
def translate(request: TranslationRequest, progress: Callable[[str], None]) -> EagerTranslation:
    """Translate the sources with the eager model, by transformers' own `generate`."""
    progress("load the model")
    torch.set_num_threads(request.threads)
    loaded = load(request.source)
    model, manner = loaded.model, request.manner
    progress(f"let the eager model translate {len(request.sources)} sentences")
    greedy = _by_length(request.sources, lambda sources: _greedy(model, sources, manner))
    progress(f"and {request.searched} with {manner.num_beams} beams")
    first = request.sources[: request.searched]
    searched = _by_length(first, lambda sources: _searched(model, sources, manner))
    _write_logits(model, request, [tokens for tokens, _ in greedy])
    given = request.source.origin if request.source.origin != Path() else request.source.directory
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(given), local_files_only=True)
    return EagerTranslation(
        parameters=loaded.parameters_count(),
        greedy=tuple(tokens for tokens, _ in greedy),
        margins=tuple(margins for _, margins in greedy),
        searched=tuple(tokens for tokens, _ in searched),
        scores=tuple(score for _, score in searched),
        words=tuple(tuple(tokenizer(text)["input_ids"]) for text in request.words),
        said=tuple(tokenizer.decode(tokens, skip_special_tokens=True) for tokens, _ in greedy),
        library=f"transformers {transformers.__version__}",
        vocabulary=int(model.get_output_embeddings().weight.shape[0]),
    )


def _generated(model: Any, sources: Sequence[Sequence[int]], manner: Manner, beams: int) -> Any:
    """What `generate` gives for sources of like length, padded."""
    longest = max(map(len, sources))
    pad = model.config.pad_token_id or 0
    ids = torch.tensor([[*source, *[pad] * (longest - len(source))] for source in sources])
    mask = torch.tensor([[1] * len(source) + [0] * (longest - len(source)) for source in sources])
    return model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=manner.most,
        do_sample=False,
        num_beams=beams,
        length_penalty=manner.length_penalty,
        early_stopping=manner.early_stopping if beams > 1 else None,
        output_logits=True,
        output_scores=True,
        return_dict_in_generate=True,
    )


def _greedy(model: Any, sources: Sequence[Sequence[int]], manner: Manner) -> list[_Greedy]:
    """For each source the tokens, and how far apart the two likeliest logits of each were."""
    given = _generated(model, sources, manner, 1)
    best = torch.stack(given.logits).topk(2, dim=-1).values  # (tokens, sources, 2)
    margins = (best[..., 0] - best[..., 1]).T.tolist()
    found = [_ended(tokens, manner) for tokens in given.sequences[:, 1:].tolist()]
    return [(tokens, tuple(row[: len(tokens)])) for tokens, row in zip(found, margins, strict=True)]


def _searched(model: Any, sources: Sequence[Sequence[int]], manner: Manner) -> list[tuple[tuple[int, ...], float]]:
    """For each source the tokens of the best text, and its score."""
    given = _generated(model, sources, manner, manner.num_beams)
    tokens = [_ended(row, manner) for row in given.sequences[:, 1:].tolist()]
    return list(zip(tokens, given.sequences_scores.tolist(), strict=True))


def _ended(tokens: Sequence[int], manner: Manner) -> tuple[int, ...]:
    """The tokens up to the one that ends them: padding follows."""
    last = next((at for at, token in enumerate(tokens) if token in manner.ends), len(tokens) - 1)
    return tuple(tokens[: last + 1])


def _by_length(sources: Sequence[Sequence[int]], ask: Callable[[list[Sequence[int]]], list[_Answer]]) -> list[_Answer]:
    """The answers to sources, asked in batches of those of like length."""
    order = sorted(range(len(sources)), key=lambda at: len(sources[at]))
    found: dict[int, _Answer] = {}
    for begin in range(0, len(order), _BATCH):
        chosen = order[begin : begin + _BATCH]
        found |= zip(chosen, ask([sources[at] for at in chosen]), strict=True)
    return [found[at] for at in range(len(sources))]


def _write_logits(model: Any, request: TranslationRequest, targets: Sequence[tuple[int, ...]]) -> None:
    """The logits of every token of the targets, from the true ones before it."""
    out: Any = None
    at = 0
    for source, target in zip(request.sources, targets, strict=True):
        given = torch.tensor([[request.manner.start, *target[:-1]]])
        logits = model(input_ids=torch.tensor([source]), decoder_input_ids=given).logits[0].float().numpy()
        if out is None:
            shape = (sum(map(len, targets)), logits.shape[1])
            out = np.lib.format.open_memmap(request.logits, "w+", np.float32, shape)
        out[at : at + len(target)] = logits
        at += len(target)
    out.flush()
