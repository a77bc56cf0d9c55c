"""Small sources of the kinds that people bring: each function writes one, random weights and a trained tokenizer."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

WIDTH = 32
ST = "sentence_transformers.models"
IDENTITY = "torch.nn.modules.linear.Identity"


def edited(path, *, drop=(), **fields):
    """Change fields of a JSON file, which need not be there; its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    tree = {key: value for key, value in tree.items() if key not in drop}
    path.write_text(json.dumps({**tree, **fields}), encoding="utf-8")
    return path.parent


def spec(directory):
    """tokenizer.json as an object."""
    return json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(0, 0.4, shape).astype(np.float32)


def body(source):
    """The classifier's directory as a model of hidden states."""
    edited(source / "config.json", architectures=["BertModel"], drop=("id2label", "label2id"))
    return source


def sentence(source, modules=("Normalize",), *, pooling=None, options=None, own=None, old=False):
    """A sentence-transformers model: a transformer, a pooling, and `modules`, of which Dense goes from 32 to 8."""
    body(source)
    kinds = ["Transformer", "Pooling", *modules]
    paths = ["0_Transformer" if old else "", *(f"{at}_{kind}" for at, kind in enumerate(kinds) if at)]
    listed = [
        {"idx": at, "name": str(at), "path": path, "type": f"{ST}.{kind}"}
        for at, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (source / "modules.json").write_text(json.dumps(listed))
    modes = pooling or {"pooling_mode_mean_tokens": True}
    edited(source / paths[1] / "config.json", word_embedding_dimension=WIDTH, **modes)
    edited(source / "sentence_bert_config.json", **(options or {}))
    edited(source / "config_sentence_transformers.json", **(own or {}))
    for kind, path in zip(kinds[2:], paths[2:], strict=True):
        module(source / path, kind)
    if old:
        (source / paths[0]).mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
            shutil.move(source / name, source / paths[0] / name)
        shutil.move(source / "sentence_bert_config.json", source / paths[0] / "sentence_bert_config.json")
    return source


def module(place, kind, *, width=WIDTH, **more):
    """A module with weights of its own, where it has some."""
    place.mkdir(exist_ok=True)
    if kind == "Dense":
        given = {"in_features": width, "out_features": 8, "bias": True}
        edited(place / "config.json", **given, activation_function="torch.nn.modules.activation.Tanh", **more)
        weights = {"linear.weight": numbers(3, 8, width), "linear.bias": numbers(4, 8)}
        residual = {"residual.weight": numbers(5, 8, width)} if more.get("use_residual") else {}
        save_file({**weights, **residual}, place / "model.safetensors")
    if kind == "LayerNorm":
        edited(place / "config.json", dimension=width)
        save_file({"norm.weight": numbers(6, width), "norm.bias": numbers(7, width)}, place / "model.safetensors")


def static(source, out, *, alone=False, name="", **extra):
    """A table of static embeddings with the tokenizer of `source`: sentence-transformers', or model2vec's."""
    place = out if alone else out / "0_StaticEmbedding"
    place.mkdir(parents=True)
    rows = max(spec(source)["model"]["vocab"].values()) + 1
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / file, place / file)
    name = name or ("embeddings" if alone else "embedding.weight")
    save_file({name: numbers(8, rows, 16), **extra}, place / "model.safetensors")
    if alone:
        edited(out / "config.json", model_type="model2vec", architectures=["StaticModel"], normalize=True)
    else:
        one = {"idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": f"{ST}.StaticEmbedding"}
        (out / "modules.json").write_text(json.dumps([one]))
    return out


def setfit(source, *, rows=3, normalizes=False, **config):
    """A SetFit model with a head from numpy."""
    sentence(source)
    names = [f"class {at}" for at in range(max(rows, 2))]
    weights = {"coef": numbers(9, rows, WIDTH) * 4, "intercept": numbers(10, rows), "classes": np.array(names)}
    np.savez(source / "model_head.npz", **weights)
    edited(source / "config_setfit.json", labels=names, normalize_embeddings=normalizes, **config)
    return source


def adapter(base, out, *, rank=4, **config):
    """A LoRA adapter for queries and values of both layers, with a head of its own; as peft saves it."""
    weights, prefix = {}, "base_model.model."
    for layer in range(2):
        for part in ("query", "value"):
            name = f"{prefix}bert.encoder.layer.{layer}.attention.self.{part}.lora_"
            weights |= {f"{name}A.weight": numbers(layer, rank, WIDTH), f"{name}B.weight": numbers(9, WIDTH, rank)}
    weights |= {f"{prefix}classifier.weight": numbers(11, 2, WIDTH), f"{prefix}classifier.bias": numbers(12, 2)}
    out.mkdir()
    save_file(weights, out / "adapter_model.safetensors")
    given = {"peft_type": "LORA", "task_type": "SEQ_CLS", "r": rank, "lora_alpha": 8, "bias": "none"}
    given |= {"base_model_name_or_path": str(base), "target_modules": ["query", "value"], "use_dora": False}
    edited(out / "adapter_config.json", **{**given, "modules_to_save": ["classifier", "score"], **config})
    return out


def one_label(**config):
    def make(source):
        tensors = load_file(source / "model.safetensors")
        tensors |= {name: tensors[name][:1].copy() for name in ("classifier.weight", "classifier.bias")}
        save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
        return edited(source / "config.json", id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}, **config)

    return make


def saved_activation(source):
    """As sentence-transformers 6 saves a cross-encoder."""
    one_label(problem_type=None)(source)
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}]
    (source / "modules.json").write_text(json.dumps(listed))
    edited(source / "sentence_bert_config.json", transformer_task="sequence-classification")
    return edited(source / "config_sentence_transformers.json", model_type="CrossEncoder", activation_fn=IDENTITY)


def vocabulary_only(source):
    """The words of tokenizer.json as vocab.txt, in its place."""
    names = sorted(spec(source)["model"]["vocab"].items(), key=lambda pair: pair[1])
    (source / "vocab.txt").write_text("".join(f"{name}\n" for name, _ in names), encoding="utf-8")
    (source / "tokenizer.json").unlink()
    return source


def pieces_only(source):
    """A sentencepiece model in the place of tokenizer.json, of a family that has such."""
    import sentencepiece

    lines, made = (Path(__file__).parent / "story.txt").read_text().splitlines(), io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=made, vocab_size=150, model_type="unigram", minloglevel=2
    )
    (source / "sentencepiece.bpe.model").write_bytes(made.getvalue())
    (source / "tokenizer.json").unlink()
    (source / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}))
    return edited(
        source / "config.json", model_type="xlm-roberta", architectures=["XLMRobertaForSequenceClassification"]
    )


def t5(source, out):
    """The encoder of T5 alone, with the tokenizer of `source`."""
    import transformers

    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    config = transformers.T5Config(vocab_size=len(spec(source)["model"]["vocab"]), **sizes)
    return _saved(transformers.T5EncoderModel(config), source, out)


def gpt2(source, out, head="LMHeadModel"):
    """GPT-2 with 96 positions, and the tokenizer of `source`."""
    import transformers

    words = spec(source)["model"]["vocab"]
    ids = dict.fromkeys(("bos_token_id", "eos_token_id"), words["[SEP]"])
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 96}
    config = transformers.GPT2Config(vocab_size=len(words), pad_token_id=words["[PAD]"], **ids, **sizes)
    return _saved(getattr(transformers, f"GPT2{head}")(config), source, out)


def _saved(model, source, out):
    import torch

    draw = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.1, generator=draw) if parameter.dim() > 1 else None
    model.save_pretrained(out)
    shutil.copyfile(source / "tokenizer.json", out / "tokenizer.json")
    plain = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    return edited(out / "tokenizer_config.json", **plain)


def altered(directory, out, **changes):
    """A copy of a plain directory, links followed, with functions of objects applied to its JSON files by name."""
    shutil.copytree(directory, out)
    for name, change in changes.items():
        path = out / f"{name}.json"
        tree = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(change(tree) or tree), encoding="utf-8")
    return out


def weights_of(directory):
    return load_file(Path(directory) / "model.safetensors")
