"""The gate that looks outside: it passes what is read rightly, and fails for every setting that is ignored on purpose.

`SETTINGS` is the list of what edgewright reads of a source. For each, a source that has it is made, opened as it should
be, held; then the very setting is taken away where edgewright keeps it, and the gate has to see that.
"""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lighter import some
from msgspec import structs
from safetensors.numpy import load_file, save_file
from strange_sources import (
    IDENTITY,
    WIDTH,
    adapter,
    altered,
    edited,
    module,
    numbers,
    one_label,
    saved_activation,
    sentence,
    setfit,
    spec,
    static,
)

from edgewright.errors import EdgewrightError
from edgewright.model.source import open_source
from edgewright.proof.reference import Proof
from edgewright.system.jobs import Jobs

PAIRS = "sentence1\tsentence2\tlabel\na good film\tit drags on\tpositive\nwhat a story\tthe end\tnegative\n"


def held(source, scratch, rows=None):
    """Hold a source's ids and answers against its own library's; what that was."""
    scratch.mkdir()
    return Proof(source, Jobs(scratch), labelled=rows).outside


def lower_off(directory):
    """A cased tokenizer.json beside a tokenizer_config.json that lower-cases."""
    tree = spec(directory)
    tree["normalizer"]["lowercase"] = False
    (directory / "tokenizer.json").write_text(json.dumps(tree))
    return edited(directory / "tokenizer_config.json", do_lower_case=True)


def settings(**changes):
    return lambda source, _: replace(source, settings=structs.replace(source.settings, **changes))


def steps(change):
    return lambda source, _: replace(source, sentence=structs.replace(source.sentence, **change(source.sentence)))


def files(**changes):
    """Change JSON files of the plain directory, each by a function of its object."""
    return lambda source, out: replace(source, directory=altered(source.directory, out, **changes))


def set_in(*way, value):
    def change(tree):
        *parents, last = way
        for key in parents:
            tree = tree[key]
        tree[last] = value

    return change


def no_lowercase(tree):
    tree["normalizer"] = {**tree["normalizer"], "lowercase": False} if "lowercase" in tree["normalizer"] else None


def without_first_normalizer(tree):
    tree["normalizer"]["normalizers"] = tree["normalizer"]["normalizers"][1:]


def two_segments(tree):
    for part in tree["post_processor"]["pair"][-2:]:
        next(iter(part.values()))["type_id"] = 1


def weights(change):
    """Change the weights of the plain directory, a function of them by name."""

    def ignore(source, out, name="model.safetensors"):
        shutil.copytree(source.directory, out)
        kept = {key: np.ascontiguousarray(value) for key, value in change(load_file(out / name)).items()}
        save_file(kept, out / name, metadata={"format": "pt"})
        return replace(source, directory=out)

    return ignore


def head(change):
    def ignore(source, out):
        return weights(change)(source, out, "head.safetensors")

    return ignore


def dense(**fields):
    def make(source):
        sentence(source, ("Dense",))
        shutil.rmtree(source / "2_Dense")
        module(source / "2_Dense", "Dense", **fields)
        return source

    return make


def base_instead(source, out):
    """The base of an adapter, as if nothing had been trained."""
    base = json.loads((source.origin / "adapter_config.json").read_text())["base_model_name_or_path"]
    shutil.copytree(source.directory, out)
    shutil.copyfile(f"{base}/model.safetensors", out / "model.safetensors")
    return replace(source, directory=out)


def lora(**config):
    return lambda source: adapter(source, source.with_name("adapter"), **config)


def merged_otherwise(**config):
    """What another reading of the adapter's configuration would have merged."""

    def ignore(source, out):
        base = json.loads((source.origin / "adapter_config.json").read_text())["base_model_name_or_path"]
        other = adapter(base, out.with_name("other-adapter"), **config)
        return replace(source, directory=open_source(other).directory)

    return ignore


def long_vectors(source):
    """SetFit's own normalization is the only one."""
    setfit(source, normalizes=True)
    listed = json.loads((source / "modules.json").read_text())
    kept = [one for one in listed if not one["type"].endswith("Normalize")]
    (source / "modules.json").write_text(json.dumps(kept))
    return source


def with_biases(source):
    made = lora(bias="all")(source)
    weights = load_file(made / "adapter_model.safetensors")
    for part in ("query", "value"):
        weights[f"base_model.model.bert.encoder.layer.0.attention.self.{part}.bias"] = numbers(13, WIDTH)
    save_file(weights, made / "adapter_model.safetensors")
    return made


def cased(**fields):
    """tokenizer_config.json says a setting of BERT's normalizer otherwise than tokenizer.json."""
    return lambda source: edited(source / "tokenizer_config.json", **fields)


def plain_class(source):
    """A tokenizer class that gives the model no segment ids."""
    return edited(source / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")


def offset(source):
    """A model that counts positions from its padding id, made of the classifier's own weights."""
    prefixed = {
        name.replace("bert.", "roberta_prelayernorm.", 1): value
        for name, value in load_file(source / "model.safetensors").items()
        if "pooler" not in name and not name.startswith("classifier")
    }
    rows = np.random.default_rng(1)
    more = {
        "classifier.dense.weight": rows.normal(0, 0.2, (WIDTH, WIDTH)),
        "classifier.dense.bias": np.zeros(WIDTH),
        "classifier.out_proj.weight": rows.normal(0, 0.9, (2, WIDTH)),
        "classifier.out_proj.bias": np.zeros(2),
        "roberta_prelayernorm.LayerNorm.weight": np.ones(WIDTH),
        "roberta_prelayernorm.LayerNorm.bias": np.zeros(WIDTH),
    }
    for layer in range(2):
        name = f"roberta_prelayernorm.encoder.layer.{layer}"
        for part in ("attention.LayerNorm", "intermediate.LayerNorm"):
            more |= {f"{name}.{part}.weight": np.ones(WIDTH), f"{name}.{part}.bias": np.zeros(WIDTH)}
    kept = {k: v for k, v in prefixed.items() if ".output.LayerNorm" not in k and ".embeddings.LayerNorm" not in k}
    kept |= {k: v for k, v in prefixed.items() if ".embeddings.LayerNorm" in k}
    save_file(
        {**kept, **{k: v.astype(np.float32) for k, v in more.items()}},
        source / "model.safetensors",
        metadata={"format": "pt"},
    )
    edited(source / "tokenizer_config.json", model_max_length=10**30, tokenizer_class="PreTrainedTokenizerFast")
    return edited(
        source / "config.json",
        model_type="roberta-prelayernorm",
        pad_token_id=1,
        architectures=["RobertaPreLayerNormForSequenceClassification"],
    )


def cut_static(source):
    made = static(source, source.with_name("static"))
    tokenizer = made / "0_StaticEmbedding/tokenizer.json"
    cut = {"direction": "Right", "max_length": 12, "strategy": "LongestFirst", "stride": 0}
    tokenizer.write_text(json.dumps({**spec(tokenizer.parent), "truncation": cut}))
    return made


def model2vec(source):
    return static(source, source.with_name("static"), alone=True)


def folded(source):
    rows = max(spec(source)["model"]["vocab"].values()) + 1
    extra = {"mapping": np.arange(rows)[::-1].copy(), "weights": np.linspace(0.1, 2, rows, dtype=np.float32)}
    return static(source, source.with_name("static"), name="embeddings", **extra)


def st(*args, **kwargs):
    return lambda source: sentence(source, *args, **kwargs)


MODES = {"pooling_mode_cls_token": True}
PROMPT = {"prompts": {"query": "a good story: "}, "default_prompt_name": "query"}

# What is read, a source that says it, and how edgewright would have it that ignored it.
SETTINGS = {
    "tokenizer_config.json do_lower_case": (lower_off, files(tokenizer=no_lowercase)),
    "tokenizer_config.json strip_accents": (
        cased(strip_accents=False),
        files(tokenizer=set_in("normalizer", "strip_accents", value=None)),
    ),
    "tokenizer_config.json tokenize_chinese_chars": (
        cased(tokenize_chinese_chars=False),
        files(tokenizer=set_in("normalizer", "handle_chinese_chars", value=True)),
    ),
    "tokenizer_config.json tokenizer_class, model_input_names": (plain_class, files(tokenizer=two_segments)),
    "tokenizer_config.json model_max_length": (
        lambda source: edited(source / "tokenizer_config.json", model_max_length=24),
        settings(max_length=64),
    ),
    "tokenizer_config.json truncation_side": (
        lambda source: edited(source / "tokenizer_config.json", truncation_side="left"),
        files(tokenizer_config=set_in("truncation_side", value="right")),
    ),
    "tokenizer_config.json padding_side": (
        lambda source: edited(source / "tokenizer_config.json", padding_side="left"),
        files(tokenizer_config=set_in("padding_side", value="right")),
    ),
    "tokenizer_config.json pad_token": (
        lambda source: edited(source / "tokenizer_config.json", pad_token="[MASK]"),
        files(tokenizer_config=set_in("pad_token", value="[PAD]")),
    ),
    "config.json positions and their offset": (offset, settings(max_length=64)),
    "config.json id2label": (
        lambda source: edited(source / "config.json", id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1}),
        settings(labels=("b", "a")),
    ),
    "config.json problem_type": (
        lambda source: edited(source / "config.json", problem_type="multi_label_classification"),
        settings(problem="single_label"),
    ),
    "config.json one label without a problem_type": (one_label(), settings(activation="identity")),
    "config.json sentence_transformers.activation_fn": (
        one_label(sentence_transformers={"activation_fn": IDENTITY}),
        settings(activation="sigmoid"),
    ),
    "config.json sbert_ce_default_activation_function": (
        one_label(sbert_ce_default_activation_function=IDENTITY),
        settings(activation="sigmoid"),
    ),
    "config_sentence_transformers.json activation_fn": (saved_activation, settings(activation="sigmoid")),
    "config_sentence_transformers.json default_prompt_name": (st(own=PROMPT), settings(prompt="")),
    "sentence_bert_config.json max_seq_length": (st(options={"max_seq_length": 20}), settings(max_length=64)),
    "sentence_bert_config.json do_lower_case": (
        lambda source: sentence(
            edited(lower_off(source) / "tokenizer_config.json", do_lower_case=False), options={"do_lower_case": True}
        ),
        files(tokenizer=without_first_normalizer),
    ),
    "modules.json Normalize": (st(), settings(normalize=False)),
    "Pooling pooling_mode_cls_token": (st(pooling=MODES), settings(pooling="mean")),
    "Pooling pooling_mode": (st(pooling={"pooling_mode": "max"}), settings(pooling="mean")),
    **{
        f"Pooling {mode}": (
            st((), pooling={"pooling_mode": mode if mode != "both" else ["cls", "mean"]}),
            steps(lambda said: {"modes": said.modes[::-1] if len(said.modes) > 1 else ("mean",)}),
        )
        for mode in ("mean_sqrt_len_tokens", "weightedmean", "lasttoken", "both")
    },
    "modules.json Dense": (st(("Dense",)), steps(lambda _: {"steps": ()})),
    "Dense activation_function": (
        st(("Dense",)),
        steps(lambda said: {"steps": tuple(structs.replace(one, activation="Identity") for one in said.steps)}),
    ),
    "Dense use_residual": (
        dense(use_residual=True),
        steps(lambda said: {"steps": tuple(structs.replace(one, residual=False) for one in said.steps)}),
    ),
    "modules.json LayerNorm": (st(("LayerNorm", "Normalize")), steps(lambda said: {"steps": said.steps[1:]})),
    "modules.json the order of modules": (st(("LayerNorm", "Dense")), steps(lambda said: {"steps": said.steps[:1]})),
    "static embeddings: no special tokens": (
        lambda source: static(source, source.with_name("static")),
        lambda source, out: replace(
            source,
            directory=altered(
                source.directory,
                out,
                tokenizer=lambda tree: {
                    **tree,
                    "post_processor": spec(source.origin / "0_StaticEmbedding")["post_processor"],
                },
            ),
        ),
    ),
    "static embeddings: mapping and weights": (
        folded,
        weights(lambda tensors: {name: value[::-1].copy() for name, value in tensors.items()}),
    ),
    "static embeddings: truncation of tokenizer.json": (cut_static, settings(max_length=8192)),
    "model2vec max_length": (
        lambda source: edited(model2vec(source) / "config.json", max_length=12),
        settings(max_length=512),
    ),
    "model2vec cut of characters": (
        lambda source: edited(model2vec(source) / "config.json", max_length=8),
        settings(characters=0),
    ),
    "model2vec normalize": (model2vec, files(config=set_in("normalize", value=False))),
    "model2vec unknown tokens": (model2vec, files(config=set_in("unknown_id", value=None))),
    "SetFit head": (setfit, head(lambda tensors: {**tensors, "bias": np.zeros_like(tensors["bias"])})),
    "SetFit labels": (setfit, settings(labels=("class 2", "class 1", "class 0"))),
    "SetFit normalize_embeddings": (long_vectors, head(dict)),
    "SetFit a head of one row": (
        lambda source: setfit(source, rows=1),
        head(lambda tensors: {**tensors, "weight": tensors["weight"][::-1].copy()}),
    ),
    "LoRA adapter": (lora(), base_instead),
    "LoRA lora_alpha": (lora(lora_alpha=16), merged_otherwise(lora_alpha=8)),
    "LoRA use_rslora": (lora(use_rslora=True), merged_otherwise()),
    "LoRA bias": (with_biases, merged_otherwise()),
    "LoRA alpha_pattern": (lora(alpha_pattern={"layer.0.attention.self.query": 32}), merged_otherwise()),
}
BY_PAIRS = {"tokenizer_config.json tokenizer_class, model_input_names"}
"""Settings that single texts do not show."""
LIGHT = (
    "tokenizer_config.json do_lower_case",
    "tokenizer_config.json tokenizer_class, model_input_names",
    "tokenizer_config.json model_max_length",
    "tokenizer_config.json truncation_side",
    "config.json positions and their offset",
    "config.json id2label",
    "config.json problem_type",
    "config_sentence_transformers.json activation_fn",
    "config_sentence_transformers.json default_prompt_name",
    "Pooling pooling_mode_cls_token",
    "modules.json Dense",
    "static embeddings: mapping and weights",
    "model2vec max_length",
    "model2vec cut of characters",
    "model2vec normalize",
    "model2vec unknown tokens",
    "SetFit head",
    "LoRA adapter",
)
"""At least one of each file that is read."""


@pytest.mark.parametrize("name", some(LIGHT, SETTINGS))
def test_a_setting_that_is_ignored_on_purpose_fails_the_gate(name, source_dir, tmp_path):
    make, ignore = SETTINGS[name]
    rows = None
    if name in BY_PAIRS:
        rows = tmp_path / "pairs.tsv"
        rows.write_text(PAIRS)
    source = open_source(make(source_dir))
    assert " on " in held(source, tmp_path / "right", rows)
    with pytest.raises(EdgewrightError) as caught:
        held(ignore(source, tmp_path / "ignored"), tmp_path / "wrong", rows)
    words = str(caught.value)
    assert caught.value.exit_code in (3, 4), words
    assert "\n" not in words


def test_the_page_names_every_setting_that_was_ignored():
    page = (Path(__file__).parents[2] / "docs/sources.md").read_text(encoding="utf-8")
    block = page.partition("ignores a setting on purpose")[2].partition("What is read beside them, such as")[0]
    assert re.findall(r"`([^`]+)`", " ".join(block.split())) == list(SETTINGS)
    assert f"lists {len(SETTINGS)} of these settings" in page
