"""Tiny random models with trained tokenizers: any architecture and encoder task, for tests and tables.

.venv/bin/python tools/tiny_models.py ARCHITECTURE TASK OUT
"""

from __future__ import annotations

import argparse
import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
}  # fmt: skip
"""Widths of whole groups of 32, so that int4 is int4."""
WORDPIECE = {
    "unk_token": "[UNK]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
SENTENCES = {
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
OFFSET = {"type_vocab_size": 1, "pad_token_id": 1}

STD = {"deberta-v2": 0.06}
"""Its positions are added at every layer: with larger weights one token is noise, of which 4 bits leave nothing."""

# prefix of the classes, kind of tokenizer, what differs from SIZES
ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("Bert", "wordpiece", {}),
    "distilbert": ("DistilBert", "wordpiece", {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}),
    "albert": ("Albert", "unigram", {"embedding_size": 32}),
    "mobilebert": (
        "MobileBert", "wordpiece", {"embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    ),
    "roberta": ("Roberta", "bytes", OFFSET),
    "electra": ("Electra", "wordpiece", {"embedding_size": 32}),
    "mpnet": ("MPNet", "wordpiece", {"pad_token_id": 1}),
    "deberta-v2": (
        "DebertaV2", "unigram", {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
    ),
    "xlm-roberta": ("XLMRoberta", "unigram", OFFSET),
    "camembert": ("Camembert", "unigram", OFFSET),
    "convbert": ("ConvBert", "wordpiece", {"embedding_size": 32}),
    "squeezebert": ("SqueezeBert", "wordpiece", {"embedding_size": 64}),
    "modernbert": ("ModernBert", "bytes", {"global_attn_every_n_layers": 2, "local_attention": 32}),
}  # fmt: skip
HEADS = {
    "text-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "fill-mask": "ForMaskedLM",
    "feature-extraction": "Model",
}
OTHERS = {"text-ranking": "ForSequenceClassification", "zero-shot-classification": "ForSequenceClassification"}
"""Tasks that are asked of classifiers: what converts is what converts of those."""
LABELS = {
    "text-ranking": ("LABEL_0",),
    "zero-shot-classification": ("contradiction", "neutral", "entailment"),
    "text-classification": ("negative", "positive"),
    "token-classification": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
}


def make(
    architecture: str, task: str, out: Path, *, labels: Sequence[str] = (), length: int = 128, std: float | None = None
) -> Path:
    """Write a Hugging Face directory to `out` and give it; the same arguments give the same weights.

    Args:
        architecture: a key of ARCHITECTURES.
        task: a key of HEADS or OTHERS.
        out: the directory.
        labels: the names of the classes; by default those of LABELS.
        length: the largest number of tokens.
        std: standard deviation of the matrices, by default the architecture's in `STD` or 0.1; the usual 0.02 is too
            small to show an error or to choose anything.
    """
    prefix, kind, own = ARCHITECTURES[architecture]
    tokenizer = train_tokenizer(kind, pad_first=own.get("pad_token_id", 0) == 0)
    labels = labels or LABELS.get(task, ())
    names = {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}} if labels else {}
    ids = {"pad_token_id": tokenizer.pad_token_id}
    sizes = {**SIZES, "max_position_embeddings": length + 2, "vocab_size": len(tokenizer), **own, **names, **ids}
    config = getattr(transformers, f"{prefix}Config")(**sizes, attn_implementation="eager")
    torch.manual_seed(7)
    head = {**HEADS, **OTHERS}[task]
    model = getattr(transformers, f"{prefix}{head}")(config).eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=std or STD.get(architecture, 0.1))
    model.save_pretrained(out)
    tokenizer.model_max_length = length
    tokenizer.save_pretrained(out)
    return out


def train_tokenizer(kind: str, *, pad_first: bool) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of one kind, trained on the texts of the gate, as Hugging Face's models of that kind have it."""
    special = WORDPIECE if kind == "wordpiece" else SENTENCES
    names = list(special.values())
    order = [special["pad_token"], special["unk_token"]] if pad_first else [special["unk_token"], special["pad_token"]]
    backend, trainer = _BUILDERS[kind](special, [*order, *(n for n in names if n not in order)])
    backend.train_from_iterator(texts() * 3, trainer)
    first, last = special["cls_token"], special["sep_token"]
    if kind != "wordpiece":
        backend.add_special_tokens([AddedToken(special["mask_token"], lstrip=True)])
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1" if kind == "wordpiece" else f"{first} $A {last} {last} $B {last}",
        special_tokens=[(name, backend.token_to_id(name)) for name in (first, last)],
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def texts() -> list[str]:
    """Every text of the gate, pairs taken apart."""
    stored = json.loads(resources.files("edgewright.proof").joinpath("gate_texts.json").read_text(encoding="utf-8"))
    found = [text for case in stored["texts"] for text in case["texts"]]
    return found + [text for case in stored["pairs"] for pair in case["texts"] for text in pair]


def _wordpiece(special: dict[str, str], names: list[str]) -> tuple[Tokenizer, Any]:
    backend = Tokenizer(models.WordPiece(unk_token=special["unk_token"]))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend, trainers.WordPieceTrainer(vocab_size=700, special_tokens=names, show_progress=False)


def _bytes(special: dict[str, str], names: list[str]) -> tuple[Tokenizer, Any]:
    del special
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return backend, trainers.BpeTrainer(
        vocab_size=700, special_tokens=names, initial_alphabet=alphabet, show_progress=False
    )


def _unigram(special: dict[str, str], names: list[str]) -> tuple[Tokenizer, Any]:
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=names, unk_token=special["unk_token"], show_progress=False
    )
    return backend, trainer


_BUILDERS = {"wordpiece": _wordpiece, "bytes": _bytes, "unigram": _unigram}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", choices=ARCHITECTURES)
    parser.add_argument("task", choices=[*HEADS, *OTHERS])
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    make(args.architecture, args.task, args.out)


if __name__ == "__main__":
    main()
