"""trim-vocabulary: leave out the tokens that a corpus does not need, of the tokenizer and of the embedding together."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from edgewright.compression.steps import Setting, Step
from edgewright.data import rows as data
from edgewright.errors import UsageError
from edgewright.model.two_sided import cuts_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgewright.model.source import Source

__all__ = ["TrimVocabulary"]

_CHUNK = 1000
"""Texts counted at once: a choice, enough to keep all cores busy, few enough to hold in memory."""


class TrimVocabulary(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Special tokens and all single characters or bytes stay, so that any text still has tokens.

    Attributes:
        size: how many tokens to keep, the most used first; 0 keeps every one that the corpus uses.
        least: tokens used less often than this go.
        corpus: a file of texts, for a translator of pairs, by default the rows to train on.
    """

    size: Annotated[int, Meta(ge=0)] = 0
    least: Annotated[int, Meta(ge=1)] = 1
    corpus: str = ""
    translates: ClassVar[bool] = True

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError without a corpus, and for a translator with more than one table or trimmed before."""
        if not self.corpus and setting.train is None:
            raise UsageError("trim-vocabulary needs texts", hint="give --data, or corpus = FILE in the recipe")
        if source.task != "translation":
            return
        from edgewright.compression.steps._model import skeleton

        if not getattr(skeleton(source).config, "share_encoder_decoder_embeddings", True):
            raise UsageError(f"{source.origin} has a table for each side", hint="models with one for both are trimmed")
        if not cuts_targets(source.origin) and not (source.origin / "target.spm").is_file():
            what = f"{source.origin} was trimmed before: what cuts its targets is no longer there"
            raise UsageError(what, hint="trim the model that it was made of")

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Count, choose, rewrite the tokenizer and the matrices that have a row for each token."""
        from edgewright.compression.steps._model import loaded, save
        from edgewright.compression.steps._token_ids import named_ids, renumber
        from edgewright.compression.steps._vocabulary import choose, rewrite

        spec = json.loads((source.directory / "tokenizer.json").read_text(encoding="utf-8"))
        file = Path(self.corpus or str(setting.train))
        count, cut, named = _used, _cut, set[int]()
        model = loaded(source)
        configs = model.config, getattr(model, "generation_config", None)
        if source.task == "translation":
            count, cut, named = _used_on_both_sides, _cut_both_sides, {*named_ids(configs[0]), *named_ids(configs[1])}
        used = Counter({at: n for at, n in count(source, file).items() if n >= self.least})
        kept = choose(spec, used, self.size, named)
        cut(model, kept)
        for config in configs:
            renumber(config, {token: at for at, token in enumerate(kept)})
        save(model, source, out, tokenizer=False)
        rewrite(spec, kept, source.directory, out)


def _used(source: Source, file: Path) -> Counter[int]:
    """How often each token stands in the texts of a file, each cut at the model's length."""
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


def _used_on_both_sides(source: Source, file: Path) -> Counter[int]:
    """The same of pairs, the source's prompts with them; a text is translated sentence by sentence, and none is cut."""
    from edgewright.compression.steps._model import task_of

    tokenizer, of_target = source.tokenizer(), _target_ids(source)
    used = Counter(at for prompt in source.settings.prompts.values() for at in tokenizer.ids(prompt))
    for pair in data.stream(file, task_of(source)):
        used.update(tokenizer.ids(pair.item))
        used.update(of_target(pair.label))
    return used


def _target_ids(source: Source) -> Callable[[str], list[int]]:
    """What cuts a text of the target: transformers' own tokenizer, where one of the target's model does."""
    if cuts_targets(source.origin):
        return source.tokenizer().ids
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(str(source.origin), local_files_only=True, trust_remote_code=False)
    return lambda text: list(theirs(text_target=text)["input_ids"])


def _cut(model: Any, kept: list[int]) -> None:
    """Keep these rows of the embedding, and of a head that has one for each token."""
    import torch
    from torch import nn

    rows = torch.tensor(kept)
    inner = model.get_input_embeddings()
    before = inner.weight.shape[0]
    new = nn.Embedding.from_pretrained(inner.weight.detach()[rows].clone(), freeze=False)
    if inner.padding_idx in kept:
        new.padding_idx = kept.index(inner.padding_idx)
    model.set_input_embeddings(new)
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if module is not new and parameter.shape[:1] == (before,) and not isinstance(module, nn.Embedding):
                setattr(module, name, nn.Parameter(parameter.detach()[rows].clone()))
                if isinstance(module, nn.Linear):
                    module.out_features = len(kept)
    model.config.vocab_size = len(kept)
    model.tie_weights()


def _cut_both_sides(model: Any, kept: list[int]) -> None:
    """The same of an encoder-decoder: its table wherever it stands, a head of its own, and what is added to its logits.

    Not by `resize_token_embeddings`, which ties the head of a T5 1.1 to its table.
    """
    import torch
    from torch import nn

    rows = torch.tensor(kept)
    homes = (model.get_input_embeddings(), model.get_output_embeddings(), model.get_encoder().get_input_embeddings())
    new = {id(home.weight): nn.Parameter(home.weight.detach()[rows].clone()) for home in homes}
    for module in model.modules():
        if id(getattr(module, "weight", None)) in new:
            module.weight = new[id(module.weight)]
            setattr(module, "num_embeddings" if isinstance(module, nn.Embedding) else "out_features", len(kept))
            if getattr(module, "padding_idx", None) is not None:
                module.padding_idx = kept.index(module.padding_idx) if module.padding_idx in kept else None
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias = model.final_logits_bias[:, rows].clone()
    for name in ("vocab_size", "decoder_vocab_size"):
        if getattr(model.config, name, None) is not None:
            setattr(model.config, name, len(kept))
