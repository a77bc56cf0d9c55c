"""trim-vocabulary: leave out the tokens that a corpus does not need, of the tokenizer and of the embedding together."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from edgewright.compression.steps import Setting, Step
from edgewright.data import rows as data
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgewright.model.source import Source

__all__ = ["TrimVocabulary"]

_CHUNK = 1000
"""Texts counted at once: a choice, enough to keep all cores busy, few enough to hold in memory."""


class TrimVocabulary(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Special tokens and all single characters or bytes stay, so that any text still has tokens.

    Attributes:
        size: how many tokens to keep, the most used first; 0 keeps every one that the corpus uses.
        least: tokens used less often than this go.
        corpus: a file of texts, by default the rows to train on.
    """

    size: Annotated[int, Meta(ge=0)] = 0
    least: Annotated[int, Meta(ge=1)] = 1
    corpus: str = ""

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError without a corpus."""
        del source
        if not self.corpus and setting.train is None:
            raise UsageError("trim-vocabulary needs texts", hint="give --data, or corpus = FILE in the recipe")

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Count, choose, rewrite the tokenizer and the matrices that have a row for each token."""
        from edgewright.compression.steps._model import loaded, save
        from edgewright.compression.steps._vocabulary import choose, rewrite

        spec = json.loads((source.directory / "tokenizer.json").read_text(encoding="utf-8"))
        file = Path(self.corpus) if self.corpus else setting.rows("trim-vocabulary")[0]
        used = Counter({at: n for at, n in self._used(source, file).items() if n >= self.least})
        kept = choose(spec, used, self.size)
        model = loaded(source)
        _cut(model, kept)
        save(model, source, out, tokenizer=False)
        rewrite(spec, kept, source.directory, out)

    @staticmethod
    def _used(source: Source, file: Path) -> Counter[int]:
        tokenizer, used = source.tokenizer(), Counter[int]()
        texts = iter(data.texts(file))
        while chunk := list(islice(texts, _CHUNK)):
            for text in _parts(chunk):
                used.update(tokenizer.encode([text]).feeds["input_ids"][0].tolist())
        return used


def _parts(chunk: list[Any]) -> Iterator[str]:
    """The texts of pairs one by one: each is tokenized by itself, and none is cut because of the other."""
    for given in chunk:
        yield from given if isinstance(given, tuple | list) else (given,)


def _cut(model: Any, kept: list[int]) -> None:
    """Keep these rows of the embedding, and of a head that has one for each token."""
    import torch
    from torch import nn

    rows = torch.tensor(kept)
    inner = model.get_input_embeddings()
    before = inner.weight.shape[0]
    new = nn.Embedding.from_pretrained(inner.weight.detach()[rows].clone(), freeze=False)
    old = {token: at for at, token in enumerate(kept)}
    new.padding_idx = old.get(inner.padding_idx)
    model.set_input_embeddings(new)
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if module is not new and parameter.shape[:1] == (before,) and not isinstance(module, nn.Embedding):
                setattr(module, name, nn.Parameter(parameter.detach()[rows].clone()))
                if isinstance(module, nn.Linear):
                    module.out_features = len(kept)
    model.config.vocab_size = len(kept)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "mask_token_id"):
        if getattr(model.config, name, None) is not None:
            setattr(model.config, name, old.get(getattr(model.config, name)))
    model.tie_weights()
