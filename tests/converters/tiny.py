"""Tiny random models of every architecture, their batches and conversion specs: what each format's tests share."""

from pathlib import Path

import numpy as np
import torch
import transformers

from edgewright.bundle.manifest import Settings
from edgewright.contracts.converter import ConversionSpec

SIZES = {
    "vocab_size": 120, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
    "max_position_embeddings": 70,
}  # fmt: skip
ARCHITECTURES = {
    "Bert": {},
    "Electra": {"embedding_size": 24},
    "Roberta": {"type_vocab_size": 1, "pad_token_id": 1},
    "DistilBert": {"dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 96},
    "Albert": {"embedding_size": 24},
    "MPNet": {},
    "MobileBert": {"embedding_size": 24, "intra_bottleneck_size": 24, "true_hidden_size": 24},
    "DebertaV2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
}


def eager(kind):
    from edgewright.converters._model.eager import Eager, _inputs
    from edgewright.converters._model.last_layer import cut

    torch.manual_seed(7)
    config = getattr(transformers, f"{kind}Config")(**SIZES, **ARCHITECTURES[kind])
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    for parameter in model.parameters():  # the default initialisation is too small to show an error
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.15)
    cut(model, "text-classification")
    return Eager(model, _inputs(model), ("logits",))


def batch(lengths, seed=0):
    rng, longest = np.random.default_rng(seed), max(lengths)
    mask = np.array([[int(at < n) for at in range(longest)] for n in lengths])
    ids = np.where(mask, rng.integers(5, 120, mask.shape), 1)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def spec(precision, model):
    example = {name: array for name, array in batch([9, 4]).items() if name in model.inputs}
    settings = Settings(max_length=64, labels=("no", "yes"))
    texts = [
        {name: array for name, array in batch([n], seed=n).items() if name in model.inputs} for n in range(3, 65, 4)
    ]
    return ConversionSpec(
        precision, model.inputs, model.outputs, example, "text-classification", settings, Path("unread"), texts
    )
