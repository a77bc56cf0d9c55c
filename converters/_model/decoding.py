"""The eager decoder on the texts of a gate: logits of every token, and greedy tokens."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers

from edgewright.converters._model.eager import load
from edgewright.model.decoding import EagerAnswer
from edgewright.proof.likelihood import LikelihoodAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.model.decoding import EagerRequest, Texts
    from edgewright.proof.likelihood import LikelihoodRequest, Span

__all__ = ["eager", "likelihood"]


@torch.inference_mode()  # type: ignore[untyped-decorator]
def eager(request: EagerRequest, progress: Callable[[str], None]) -> EagerAnswer:
    """Decode the texts with the eager model, as transformers itself does."""
    progress("load the model")
    torch.set_num_threads(request.threads)
    model = load(request.source)
    texts = request.texts
    progress(f"run the eager model on {sum(map(len, texts.taught))} tokens")
    _write_logits(model.model, texts, request)
    progress(f"let the eager model write {texts.written} tokens after {len(texts.prompts)} prompts")
    written = _greedy(model.model, texts, request.context)
    words, chat = _tokens(request)
    return EagerAnswer(
        parameters=model.parameters_count(),
        greedy=tuple(w[0] for w in written),
        margins=tuple(w[1] for w in written),
        words=words,
        chat=chat,
        library=f"transformers {transformers.__version__}",
    )


@torch.inference_mode()  # type: ignore[untyped-decorator]
def likelihood(request: LikelihoodRequest, progress: Callable[[str], None]) -> LikelihoodAnswer:
    """How likely the eager model finds texts."""
    progress("load the model")
    torch.set_num_threads(request.threads)
    model = load(request.source).model
    progress(f"run the eager model on {sum(len(span.ids) for span in request.spans)} tokens")
    return LikelihoodAnswer(tuple(_loss(model, span) for span in request.spans))


def _loss(model: Any, span: Span) -> float:
    ids = torch.tensor([span.ids])
    logits = model(input_ids=ids[:, :-1]).logits[0, span.begin - 1 :].double()
    return float(torch.nn.functional.cross_entropy(logits, ids[0, span.begin :], reduction="sum"))


def _tokens(request: EagerRequest) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The ids of the words and of the conversation, by the source's own tokenizer."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(request.source.directory), local_files_only=True)
    words = tuple(tuple(tokenizer(text)["input_ids"]) for text in request.words)
    if not tokenizer.chat_template:
        return words, ()
    turn = [{"role": "user", "content": request.chat}]
    found = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=True)
    return words, tuple(found["input_ids"])


def _write_logits(model: Any, texts: Texts, request: EagerRequest) -> None:
    out: Any = None
    rows = sum(map(len, texts.taught))
    at = 0
    for ids in texts.taught:
        logits = model(input_ids=torch.tensor([ids])).logits[0].float().numpy()
        if out is None:
            out = np.lib.format.open_memmap(request.logits, "w+", np.float32, (rows, logits.shape[1]))
        out[at : at + len(ids)] = logits
        at += len(ids)
    out.flush()


def _greedy(model: Any, texts: Texts, context: int) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """For each prompt its tokens and margins; prompts of one length are one batch, which needs no padding.

    The last token that is written is not read, so that one more than the context is left for fits.
    """
    found: dict[int, tuple[tuple[int, ...], tuple[float, ...]]] = {}
    ordered = sorted(range(len(texts.prompts)), key=lambda at: (len(texts.prompts[at]), at))
    for length, members in groupby(ordered, key=lambda at: len(texts.prompts[at])):
        group, count = list(members), min(texts.written, context - length + 1)
        found |= zip(group, _batch(model, [texts.prompts[at] for at in group], length, count), strict=True)
    return [found[at] for at in range(len(texts.prompts))]


def _batch(
    model: Any, prompts: Sequence[Sequence[int]], length: int, count: int
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    ids = torch.tensor(prompts)
    given = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=count,
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        eos_token_id=None,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.stack(given.logits).topk(2, dim=-1).values  # (tokens, prompts, 2)
    margins = (best[..., 0] - best[..., 1]).T.tolist()
    tokens = given.sequences[:, length:].tolist()
    return [(tuple(t), tuple(m)) for t, m in zip(tokens, margins, strict=True)]
