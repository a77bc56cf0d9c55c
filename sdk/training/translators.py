"""New encoder-decoders: a Marian of random weights with a tokenizer of its own, to be trained on sentence pairs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.data import rows as data
from edgewright.errors import DataError
from edgewright.system.atomic import staged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["SHAPES", "Shape", "begin", "keep_start"]


@dataclass(frozen=True)
class Shape:
    """The sizes of a Marian.

    Attributes:
        vocabulary: tokens of both languages together; fewer where the sentences do not fill them.
        positions: the most tokens of a sentence.
    """

    width: int
    heads: int
    feed_forward: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int
    positions: int = 128


SHAPES = {
    "marian-4m": Shape(192, 4, 768, 3, 3, 6000),
    "marian-8m": Shape(256, 4, 1024, 3, 3, 8000),
    "marian-11m": Shape(256, 4, 1024, 6, 4, 8000),
}
"""By name, with about so many parameters: choices for sentences of commands, on boards."""
_SPECIALS = ("</s>", "<unk>", "<pad>")
"""Ids 0, 1 and 2: an end is 0 and an unknown piece 1 in OPUS-MT's models, too."""
_DROPOUT = 0.1
"""Of Vaswani et al. 2017 (arXiv 1706.03762), section 5.4."""


def begin(shape: Shape, pairs: Path, out: Path, *, seed: int) -> None:
    """Make a directory of a new Marian: tokenizer of the pairs' both sides, configuration, random weights.

    Raises:
        DataError: no pairs, broken ones, or too little text for a tokenizer.
        StorageError: it cannot be written.
    """
    import torch
    from transformers import MarianConfig, MarianMTModel

    with staged(out, marker="config.json", force=False) as work:
        size = _tokenizer(shape, pairs, work)
        torch.manual_seed(seed)
        config = MarianConfig(
            vocab_size=size,
            d_model=shape.width,
            encoder_layers=shape.encoder_layers,
            decoder_layers=shape.decoder_layers,
            encoder_attention_heads=shape.heads,
            decoder_attention_heads=shape.heads,
            encoder_ffn_dim=shape.feed_forward,
            decoder_ffn_dim=shape.feed_forward,
            activation_function="swish",
            dropout=_DROPOUT,
            scale_embedding=True,
            max_position_embeddings=shape.positions,
            eos_token_id=0,
            forced_eos_token_id=0,
            pad_token_id=2,
            decoder_start_token_id=2,
        )
        model = MarianMTModel(config)
        _draw(model)
        model.generation_config.bad_words_ids = [[2]]
        model.save_pretrained(work)


def keep_start(model: Any, step: int, steps: int) -> None:
    """Put the row of Marian's padding back to zero: texts begin after it, and the head that shares its table moves it.

    Engines of Marian's begin with zeros whatever the table has there.
    """
    del step, steps
    if model.config.model_type == "marian":
        model.model.shared.weight.data[model.config.pad_token_id] = 0


def _draw(model: Any) -> None:
    """Weights by Glorot and Bengio 2010, the table with a variance of 1 once it is scaled; padding's row is zero."""
    from torch import nn

    for name, weight in model.named_parameters():
        if weight.dim() == 2 and "embed_positions" not in name and "shared" not in name:
            nn.init.xavier_uniform_(weight)
    table = model.model.shared.weight
    nn.init.normal_(table, std=table.shape[1] ** -0.5)
    table.data[model.config.pad_token_id] = 0


def _tokenizer(shape: Shape, pairs: Path, out: Path) -> int:
    """Train a Unigram tokenizer on both sides, and save it; how many tokens it has."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=shape.vocabulary, special_tokens=list(_SPECIALS), unk_token=_SPECIALS[1], show_progress=False
    )
    try:
        backend.train_from_iterator(_sentences(pairs), trainer)
    except DataError:
        raise
    except Exception as error:
        what = f"{pairs} has too little text for {shape.vocabulary} tokens: {error}"
        raise DataError(what, hint="give more pairs") from error
    backend.add_special_tokens([AddedToken(one, special=True) for one in _SPECIALS])
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 0)]
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": shape.positions,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        "eos_token": _SPECIALS[0],
        "unk_token": _SPECIALS[1],
        "pad_token": _SPECIALS[2],
    }
    backend.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return int(backend.get_vocab_size())


def _sentences(pairs: Path) -> Iterator[str]:
    """Both sides of every pair. Raises DataError for rows that are none, or for none at all."""
    from edgewright.bundle.manifest import Settings
    from edgewright.tasks.translation import Translation

    for example in data.stream(pairs, Translation(Settings(max_length=1))):
        yield example.item
        yield example.label
