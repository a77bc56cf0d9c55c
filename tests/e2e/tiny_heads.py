"""Tiny random models with every head and every kind of tokenizer, saved as Hugging Face saves them."""

import json
from importlib import resources

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
}  # fmt: skip
LENGTH = 96
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")


def texts():
    """The project's own gate texts, pairs taken apart."""
    stored = json.loads(resources.files("edgewright").joinpath("gate_texts.json").read_text())
    found = [text for case in stored["texts"] for text in case["texts"]]
    return found + [text for case in stored["pairs"] for pair in case["texts"] for text in pair]


def _wordpiece():
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    backend.train_from_iterator(
        texts(), trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return backend, "bert", {"tokenizer_class": "PreTrainedTokenizerFast", **roles}


def _byte_level():
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts(), trainer)
    return _rounded(backend), "roberta", _roles()


def _unigram():
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(texts(), trainer)
    return _rounded(backend), "xlm-roberta", _roles()


def _rounded(backend):
    """Add RoBERTa's mask and its special tokens around a text."""
    from tokenizers import AddedToken

    backend.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return backend


def _roles():
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }


FAMILIES = {"Bert": _wordpiece, "Roberta": _byte_level, "XLMRoberta": _unigram}


def save(directory, family, head, **config):
    """Write a tiny random model of a family with a head such as `ForMaskedLM`; give its directory."""
    backend, kind, names = FAMILIES[family]()
    directory.mkdir(parents=True, exist_ok=True)
    offset = 0 if family == "Bert" else 2
    torch.manual_seed(11)
    filled = getattr(transformers, f"{family}Config")(
        **SIZES, vocab_size=backend.get_vocab_size(), max_position_embeddings=LENGTH + offset,
        pad_token_id=offset // 2, type_vocab_size=1 if offset else 2, **config,
    )  # fmt: skip
    model = getattr(transformers, family + head)(filled).eval()
    for parameter in model.parameters():  # the default initialisation is too small to choose anything
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(directory)
    backend.save(str(directory / "tokenizer.json"))
    names = {**names, "model_max_length": LENGTH, "backend": "tokenizers", "mask_token": names["mask_token"]}
    (directory / "tokenizer_config.json").write_text(json.dumps(names))
    assert kind == filled.model_type
    return directory


def labels(*names):
    """The fields of config.json for some labels."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: at for at, name in enumerate(names)}}
