"""Every kind of source with each of its files broken, with settings that contradict each other, with what nobody knows.

All of it ends in one line, exit code 3 or 4, and leaves nothing where the bundle would be.
"""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from strange_sources import (
    adapter,
    edited,
    gpt2,
    numbers,
    one_label,
    pieces_only,
    saved_activation,
    sentence,
    setfit,
    static,
    t5,
    vocabulary_only,
)

from edgewright import build
from edgewright.errors import EdgewrightError

PROMPT = {"prompts": {"query": "a good story: "}, "default_prompt_name": "query"}
SHIFTED = {"pooling_mode": "cls"}


def pickled(source):
    """Weights as a checkpoint of torch."""
    import torch

    tensors = {name: torch.from_numpy(value) for name, value in load_file(source / "model.safetensors").items()}
    (source / "model.safetensors").unlink()
    torch.save(tensors, source / "pytorch_model.bin")
    return source


KINDS = {
    "model": lambda source, _: source,
    "weights as .bin": lambda source, _: pickled(source),
    "vocab.txt": lambda source, _: vocabulary_only(source),
    "sentencepiece": lambda source, _: pieces_only(source),
    "adapter": adapter,
    "modules": lambda source, _: sentence(source, ("Dense", "LayerNorm", "Normalize")),
    "old layout": lambda source, _: sentence(source, old=True),
    "pooling as a text": lambda source, _: sentence(source, pooling=SHIFTED),
    "prompts": lambda source, _: sentence(source, own=PROMPT, options={"max_seq_length": 40, "do_lower_case": True}),
    "setfit": lambda source, _: setfit(source),
    "static": static,
    "model2vec": lambda source, out: static(source, out, alone=True),
    "cross-encoder": lambda source, _: saved_activation(source),
    "t5": t5,
    "gpt2": gpt2,
}
SPARED = {"README.md", "generation_config.json"}
"""Files that nothing is read of: a card, defaults of an answer that `generation/defaults.py` drops one by one."""
WORDS_ALONE = {"vocab.txt"}
"""Where half of the file is a whole one."""


def cut(data):
    return data[: len(data) // 2]


def noise(data):
    middle = len(data) // 2
    return data[: middle - 8] + b"\xff" * 16 + data[middle + 8 :]


def outcome(source, out):
    """What a build ends with: its exit code and its words, 0 where it makes a bundle."""
    try:
        build(source, out=out, formats=("onnx",), precisions=("fp32",))
    except EdgewrightError as error:
        return error.exit_code, str(error)
    return 0, "a bundle"


def refused(source, tmp_path):
    code, words = outcome(source, tmp_path / "bundle")
    left = [path.name for path in tmp_path.iterdir() if "bundle" in path.name]
    assert (code in (3, 4), "\n" in words, left) == (True, False, []), (code, words, left)
    return words


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_broken_in_the_middle(source_dir, tmp_path, kind):
    if kind == "sentencepiece":
        pytest.importorskip("sentencepiece", reason="transformers reads such a model with it")
    made, wrong = KINDS[kind](source_dir, tmp_path / "made"), []
    files = [path for path in sorted(made.rglob("*")) if path.is_file() and path.name not in SPARED]
    assert len(files) >= 2
    for path in files:
        whole = path.read_bytes()
        if len(whole) < 3:  # an empty object
            continue
        for breaks in (cut, noise):
            if breaks is cut and path.name in WORDS_ALONE:
                continue
            path.write_bytes(breaks(whole))
            code, words = outcome(made, tmp_path / "bundle")
            if code not in (3, 4) or "\n" in words or (tmp_path / "bundle").exists():
                wrong.append((path.relative_to(made).as_posix(), breaks.__name__, code, words))
                shutil.rmtree(tmp_path / "bundle", ignore_errors=True)
        path.write_bytes(whole)
    assert wrong == []


def dense(source):
    return sentence(source, ("Dense",))


def two_activations(source):
    """One in config.json, another one beside modules.json."""
    saved_activation(source)
    return edited(source / "config.json", sentence_transformers={"activation_fn": "torch.nn.Sigmoid"})


def other_rank(source, out):
    return adapter(source, out, r=8, rank_pattern={})


def table_of(rows):
    def make(source, out):
        made = static(source, out)
        save_file({"embedding.weight": numbers(8, rows, 16)}, made / "0_StaticEmbedding/model.safetensors")
        return made

    return make


def config(**fields):
    return lambda source, _: edited(source / "config.json", **fields)


CONTRADICTIONS = {
    "labels and a head": config(id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2}),
    "two ways round of labels": config(label2id={"positive": 0, "negative": 1}),
    "a vocabulary and its embedding": config(vocab_size=100),
    "positions and their table": config(max_position_embeddings=32),
    "layers and their weights": config(num_hidden_layers=3),
    "a vocabulary without the model's rows": lambda source, _: edited(
        vocabulary_only(source) / "config.json", vocab_size=50
    ),
    "an adapter's rank and its weights": other_rank,
    "a Dense module's width and its weights": lambda source, _: (
        edited(dense(source) / "2_Dense/config.json", in_features=16).parent
    ),
    "two ways of pooling": lambda source, _: sentence(
        source, pooling={"pooling_mode": "cls", "pooling_mode_mean_tokens": True}
    ),
    "a default prompt that is none": lambda source, _: sentence(
        source, own={"prompts": {"query": "q: "}, "default_prompt_name": "passage"}
    ),
    "SetFit's labels and its head": lambda source, _: edited(setfit(source) / "config_setfit.json", labels=["a", "b"]),
    "a static table and its tokenizer": table_of(7),
    "two activations": lambda source, _: two_activations(source),
    "t5's width and its weights": lambda source, out: edited(t5(source, out) / "config.json", d_model=64),
    "gpt2's positions and their table": lambda source, out: edited(gpt2(source, out) / "config.json", n_positions=128),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_two_settings_that_contradict_each_other(source_dir, tmp_path, name):
    refused(CONTRADICTIONS[name](source_dir, tmp_path / "made"), tmp_path)


def listed(source, *, at, kind):
    """A module that nobody knows at a place of modules.json."""
    sentence(source, ("Dense",))
    modules = json.loads((source / "modules.json").read_text())
    modules.insert(at, {"idx": at, "name": "own", "path": f"{at}_Own", "type": kind})
    (source / f"{at}_Own").mkdir()
    edited(source / f"{at}_Own/config.json", of_its_own=1)
    (source / "modules.json").write_text(json.dumps(modules))
    return source


UNKNOWN = {
    "a module at the end": lambda source, _: listed(source, at=3, kind="sentence_transformers.models.Magic"),
    "a module in the middle": lambda source, _: listed(source, at=1, kind="sentence_transformers.models.WordWeights"),
    "a module of their own code": lambda source, _: listed(source, at=2, kind="my_modules.Own"),
    "a way of pooling": lambda source, _: sentence(source, pooling={"pooling_mode": "magic"}),
    "a key of pooling": lambda source, _: sentence(source, pooling={"pooling_mode_magic_tokens": True}),
    "a key of sentence_bert_config.json": lambda source, _: sentence(source, options={"magic": True}),
    "an activation of a cross-encoder": lambda source, _: one_label(
        sentence_transformers={"activation_fn": "my.Magic"}
    )(source),
    "a kind of adapter": lambda source, out: adapter(source, out, peft_type="MAGIC"),
    "a key of an adapter": lambda source, out: adapter(source, out, magic=1),
    "a key of SetFit": lambda source, _: setfit(source, magic=1),
    "a family of models": config(model_type="magic", architectures=["MagicForSequenceClassification"]),
    "a problem": config(problem_type="magic"),
    "a tokenizer's class": lambda source, _: edited(
        vocabulary_only(source) / "tokenizer_config.json", tokenizer_class="MagicTokenizer"
    ),
    "a head that names no weights": lambda source, _: magic_head(source),
    "an activation of GPT-2": lambda source, out: edited(
        gpt2(source, out) / "config.json", activation_function="magic"
    ),
    "a step of T5": lambda source, out: edited(t5(source, out) / "config.json", feed_forward_proj="magic-magic"),
    "a module behind a static table": lambda source, out: behind(static(source, out)),
}


def magic_head(source):
    setfit(source)
    np.savez(source / "model_head.npz", magic=numbers(1, 3, 5))
    return source


def behind(made):
    modules = json.loads((made / "modules.json").read_text())
    modules.append({"idx": 1, "name": "1", "path": "1_Magic", "type": "sentence_transformers.models.Magic"})
    (made / "modules.json").write_text(json.dumps(modules))
    return made


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_nobody_knows(source_dir, tmp_path, name):
    refused(UNKNOWN[name](source_dir, tmp_path / "made"), tmp_path)


def test_the_sources_are_whole_before_they_are_broken(source_dir, tmp_path):
    """Of a kind that nothing else builds here: what the tests above refuse, they refuse for what was broken."""
    made = saved_activation(source_dir)
    assert outcome(made, tmp_path / "bundle") == (0, "a bundle")
