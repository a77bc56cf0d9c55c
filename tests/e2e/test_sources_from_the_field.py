"""Sources as people have them: each is made here, and built, or refused in one line that is true, with nothing left."""

import json
import re
import shutil

import numpy as np
import pytest
from lighter import first
from safetensors.numpy import load_file, save_file
from strange_sources import (
    IDENTITY,
    WIDTH,
    adapter,
    edited,
    gpt2,
    numbers,
    one_label,
    pieces_only,
    sentence,
    setfit,
    spec,
    static,
    t5,
    vocabulary_only,
)
from tokenizers import AddedToken, Tokenizer

from edgewright import build, load
from edgewright.compression.chain import compress
from edgewright.errors import EdgewrightError
from edgewright.model.source import open_source

TEXTS = ["Good.", "What a bright, kind story; it drags a little!", "", "GOOD Story", "naïve café 東京 😀"]


QUICK, ONNX = ("torchscript",), ("onnx",)
"""What is read of a source is in every format, so most are made in the one that is made soonest; an architecture that
no other test exports is made in the one that most people take."""


def built(source, tmp_path, formats=QUICK, precisions=("fp32",), **more):
    return build(source, out=tmp_path / "bundle", formats=formats, precisions=precisions, **more)


def refused(source, tmp_path, exit_code=3):
    """The one line that ends a build, which leaves nothing behind."""
    with pytest.raises(EdgewrightError) as caught:
        built(source, tmp_path)
    assert caught.value.exit_code == exit_code
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "bundle").exists()
    return str(caught.value)


def ids_of(directory, texts, length, **options):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(directory), **options)
    return [tokenizer(text, truncation=True, max_length=length)["input_ids"] for text in texts]


def same_ids(source, texts=TEXTS):
    opened = open_source(source)
    tokenizer, length = opened.tokenizer(), opened.settings.max_length
    ours = [tokenizer.encode([text]).feeds["input_ids"][0].tolist() for text in texts]
    return ours == ids_of(source, texts, length)


def test_a_tokenizer_json_is_made_of_a_vocabulary_and_kept_in_the_bundle(source_dir, tmp_path):
    before = spec(source_dir)["model"]["vocab"]
    bundle = built(vocabulary_only(source_dir), tmp_path)
    assert spec(bundle.directory)["model"]["vocab"] == before
    assert same_ids(source_dir)
    assert not (source_dir / "tokenizer.json").exists()


def test_a_tokenizer_json_is_made_of_a_sentencepiece_model(source_dir):
    pytest.importorskip("sentencepiece", reason="transformers reads such a model with it")
    assert same_ids(pieces_only(source_dir))


@pytest.mark.parametrize(
    "content",
    [b"\x0a\x08\x0a\x01a\x15\x00\x00\x00\x00" * 9 + b"\x0a\x08", b"", b"\xff" * 100],
    ids=["half", "empty", "noise"],
)
def test_a_broken_sentencepiece_model_is_one_line(source_dir, tmp_path, content):
    (source_dir / "sentencepiece.bpe.model").write_bytes(content)
    (source_dir / "tokenizer.json").unlink()
    (source_dir / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}))
    refused(source_dir, tmp_path)


@pytest.mark.parametrize("lower", [True, False])
def test_ids_are_those_of_autotokenizer_whatever_tokenizer_json_says(source_dir, tmp_path, lower):
    tree = spec(source_dir)
    tree["normalizer"]["lowercase"] = lower
    (source_dir / "tokenizer.json").write_text(json.dumps(tree))
    edited(source_dir / "tokenizer_config.json", do_lower_case=not lower)
    bundle = built(source_dir, tmp_path)
    assert same_ids(source_dir)
    ours = bundle.tokenizer().encode(["GOOD Story"]).feeds["input_ids"][0].tolist()
    assert [ours] == ids_of(source_dir, ["GOOD Story"], 64)
    assert [ours] == ids_of(bundle.directory, ["GOOD Story"], 64)  # whoever opens the bundle with transformers


def test_added_tokens_without_rows_of_the_embedding_say_what_to_do(source_dir, tmp_path):
    backend = Tokenizer.from_file(str(source_dir / "tokenizer.json"))
    backend.add_tokens([AddedToken("<hashtag>"), AddedToken("<user>")])
    backend.save(str(source_dir / "tokenizer.json"))
    words = refused(source_dir, tmp_path)
    assert "2 tokens (<hashtag>, <user>) were added after the embedding of 300 rows; call model.resize_token" in words


@pytest.mark.parametrize(
    "said", [{"alpha_pattern": {"layer.1.attention.self.value": 2}}, {"fan_in_fan_out": True}], ids=str
)
def test_an_adapter_is_merged_as_peft_merges_it(source_dir, tmp_path, said):
    """Which turns a matrix by what the module is, whatever fan_in_fan_out says."""
    peft = pytest.importorskip("peft", reason="the oracle of this test: pip install peft")
    import torch
    import transformers

    made = adapter(source_dir, tmp_path / "adapter", **said)
    base = transformers.BertForSequenceClassification.from_pretrained(source_dir)
    merged = peft.PeftModel.from_pretrained(base, str(made)).merge_and_unload().state_dict()
    ours = load_file(open_source(made).directory / "model.safetensors")
    assert all(torch.allclose(torch.from_numpy(value), merged[name], atol=1e-6) for name, value in ours.items())
    assert len(ours) > 30


def test_an_adapter_of_gpt2_lies_the_other_way(source_dir, tmp_path):
    peft = pytest.importorskip("peft", reason="the oracle of this test: pip install peft")
    import torch
    import transformers

    place = gpt2(source_dir, tmp_path / "gpt2")
    small = peft.LoraConfig(r=4, target_modules=["attn.c_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    base = transformers.GPT2LMHeadModel.from_pretrained(place)
    peft.get_peft_model(base, small).save_pretrained(tmp_path / "adapter")
    said = {"base_model_name_or_path": str(place), "fan_in_fan_out": False}
    made = edited(tmp_path / "adapter" / "adapter_config.json", **said)
    again = peft.PeftModel.from_pretrained(transformers.GPT2LMHeadModel.from_pretrained(place), str(made))
    merged = again.merge_and_unload().state_dict()
    ours = load_file(open_source(made).directory / "model.safetensors")
    assert all(torch.allclose(torch.from_numpy(value), merged[name], atol=1e-6) for name, value in ours.items())


def test_an_adapter_is_built(source_dir, tmp_path):
    bundle = built(adapter(source_dir, tmp_path / "adapter"), tmp_path)
    assert bundle.manifest.settings.labels == ("negative", "positive")
    assert load(bundle)("good")


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({"base_model_name_or_path": None}, "names no base; write the base's directory into base_model_name_or_path"),
        ({"base_model_name_or_path": "no/such"}, "wants the base no/such, which is not at hand"),
        ({"use_dora": True}, "has use_dora = True, which edgewright does not carry out"),
        ({"magic": 1}, "has magic = 1, which edgewright does not carry out"),
        ({"peft_type": "IA3"}, "is an adapter of kind IA3"),
        ({"task_type": "MAGIC"}, "an adapter for MAGIC; known: SEQ_CLS"),
    ],
)
def test_an_adapter_that_cannot_be_merged_says_why(source_dir, tmp_path, config, shown):
    assert shown in refused(adapter(source_dir, tmp_path / "adapter", **config), tmp_path)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda t: {**t, "base_model.model.magic.weight": numbers(1, 2)}, "magic.weight of the adapter"),
        (lambda t: {k: v[..., :-1].copy() if "lora_A" in k else v for k, v in t.items()}, "is it the base"),
        (lambda t: {k: v for k, v in t.items() if "lora_A" not in k}, "has no place in its base"),
    ],
)
def test_weights_of_an_adapter_that_fit_nothing_are_refused(source_dir, tmp_path, change, shown):
    made = adapter(source_dir, tmp_path / "adapter")
    save_file(change(load_file(made / "adapter_model.safetensors")), made / "adapter_model.safetensors")
    assert shown in refused(made, tmp_path)


LIGHT = ("onnx", "torchscript")
"""One that is traced and one that is exported: what they share with the others is what is looked at here."""


def test_modules_behind_the_pooling_are_in_every_artifact(source_dir, tmp_path):
    bundle = built(sentence(source_dir, ("LayerNorm", "Dense", "Normalize"), old=True), tmp_path, LIGHT)
    assert bundle.manifest.settings.pooling == "model"
    vectors = [load(bundle, format=name)("a good story") for name in LIGHT]
    assert vectors[0].shape == (8,)
    assert all(np.allclose(vectors[0], one, atol=1e-4) for one in vectors)


@pytest.mark.heavy
def test_dense_is_built_at_int8_and_its_golden_cases_hold(source_dir, tmp_path):
    bundle = built(
        sentence(source_dir, ("Dense",), pooling={"pooling_mode": "weightedmean"}), tmp_path, ("onnx",), ("int8",)
    )
    pipeline = load(bundle)
    assert pipeline.prove(bundle) > 5


@pytest.mark.parametrize("name", first(2, ["onnx", "tflite", "executorch", "torchscript"]))
def test_static_embeddings_are_a_table_and_a_mean_in_every_format(source_dir, tmp_path, name):
    made = static(source_dir, tmp_path / "static")
    bundle = built(made, tmp_path, (name,))
    table = load_file(made / "0_StaticEmbedding/model.safetensors")["embedding.weight"]
    ids = Tokenizer.from_file(str(made / "0_StaticEmbedding/tokenizer.json")).encode(
        "a story", add_special_tokens=False
    )
    pipeline = load(bundle)
    assert np.allclose(pipeline("a story"), table[ids.ids].mean(axis=0), atol=1e-5)
    several = ["a story", "it was", "a good long story of a king", "the king", "of a story of a king", "a king"]
    assert np.array_equal(pipeline(several), np.stack([pipeline(one) for one in several])), "to the bit, as alone"


@pytest.mark.parametrize(
    ("spoil", "shown"),
    [
        (lambda d: (d / "0_StaticEmbedding/model.safetensors").unlink(), "no weights; expected one of"),
        (lambda d: (d / "0_StaticEmbedding/model.safetensors").write_bytes(b"x" * 9), "is corrupt"),
        (lambda d: (d / "0_StaticEmbedding/tokenizer.json").unlink(), "has a table and no tokenizer.json"),
        (
            lambda d: save_file({"other": numbers(1, 3, 3)}, d / "0_StaticEmbedding/model.safetensors"),
            "holds other, a table embedding.weight or embeddings is wanted",
        ),
        (
            lambda d: save_file({"embedding.weight": numbers(1, 3, 3)}, d / "0_StaticEmbedding/model.safetensors"),
            "the embedding has 3 rows; the tokenizer belongs to another model",
        ),
    ],
)
def test_static_embeddings_that_are_not_whole_are_refused(source_dir, tmp_path, spoil, shown):
    made = static(source_dir, tmp_path / "static")
    spoil(made)
    assert shown in refused(made, tmp_path)


@pytest.mark.parametrize("said", [{"max_length": 6}, {"max_length": None}, {}], ids=str)
def test_vectors_are_those_of_model2vec(source_dir, tmp_path, said):
    """Which cuts characters before it looks for tokens, and tokens then."""
    library = pytest.importorskip("model2vec", reason="the oracle of this test")
    made = static(source_dir, tmp_path / "static", alone=True)
    edited(made / "config.json", **said)
    model = library.StaticModel.from_pretrained(str(made))
    texts = [
        *filter(None, TEXTS),
        "a story " * 40,
        "good " + " " * 90 + "story",
        "a" * 30 + " good story",
        "naïve " * 20,
    ]
    bundle = built(made, tmp_path, ONNX)
    assert bundle.manifest.source.outside.startswith("model2vec ")
    assert bundle.manifest.settings.characters == (model.max_length or 0) * model.median_token_length
    pipeline = load(bundle)
    assert np.abs(pipeline(texts) - model.encode(texts)).max() < 1e-6
    assert all(np.abs(pipeline(text) - model.encode([text])[0]).max() < 1e-6 for text in texts)


@pytest.mark.parametrize("said", ["64", 0, -1, True, 1.5])
def test_a_length_of_model2vec_that_is_none_is_refused(source_dir, tmp_path, said):
    made = static(source_dir, tmp_path / "static", alone=True)
    edited(made / "config.json", max_length=said)
    assert f"has the max_length {said!r}" in refused(made, tmp_path)


def test_setfit_is_a_classifier_with_its_own_labels(source_dir, tmp_path):
    bundle = built(setfit(source_dir), tmp_path, LIGHT)
    assert bundle.manifest.task == "text-classification"
    assert bundle.manifest.settings.labels == ("class 0", "class 1", "class 2")
    assert len({load(bundle, format=name)("good")[0]["label"] for name in LIGHT}) == 1


@pytest.mark.parametrize(
    ("spoil", "shown"),
    [
        (
            lambda d: (d / "model_head.npz").rename(d / "model_head.pkl"),
            "is a pickle, which is a program and is never run; run: python -c",
        ),
        (lambda d: (d / "model_head.npz").unlink(), "has a config_setfit.json and no head"),
        (lambda d: (d / "model_head.npz").write_bytes(b"PK" * 50), "cannot be read"),
        (
            lambda d: np.savez(d / "model_head.npz", coef=numbers(1, 3, 5), intercept=numbers(1, 3)),
            "do not fit each other",
        ),
        (
            lambda d: np.savez(d / "model_head.npz", coef=numbers(1, 3, WIDTH), intercept=numbers(1, 2)),
            "weights [3, 32] and biases [2]",
        ),
        (lambda d: edited(d / "config_setfit.json", labels=["a", "b"]), "names 2 labels, its head has 3"),
        (lambda d: edited(d / "config_setfit.json", multi_target_strategy="one-vs-rest"), "has multi_target_strategy"),
        (
            lambda d: np.savez(d / "model_head.npz", coef=np.array([{}], dtype=object), intercept=numbers(1, 3)),
            "cannot be read",
        ),
    ],
)
def test_a_head_that_cannot_be_read_is_refused_with_the_way_out(source_dir, tmp_path, spoil, shown):
    made = setfit(source_dir)
    spoil(made)
    assert shown in refused(made, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "shown"),
    [
        (lambda d: (d / "2_Dense/model.safetensors").unlink(), "the weights in"),
        (lambda d: (d / "2_Dense/model.safetensors").write_bytes(b"x" * 40), "cannot be read"),
        (lambda d: save_file({"a": numbers(1, 2)}, d / "2_Dense/model.safetensors"), "linear.weight are missing from"),
        (
            lambda d: save_file({"linear.weight": numbers(1, 8, 5)}, d / "2_Dense/model.safetensors"),
            "do not fit each other",
        ),
        (lambda d: (d / "2_Dense/config.json").write_text("{"), "2_Dense/config.json cannot be read"),
        (lambda d: edited(d / "2_Dense/config.json", activation_function="my.Magic"), "has the activation my.Magic"),
        (lambda d: edited(d / "2_Dense/config.json", module_input_name="token_embeddings"), "has module_input_name"),
        (lambda d: edited(d / "2_Dense/config.json", magic=2), "has magic = 2"),
        (
            lambda d: (d / "modules.json").write_text('[{"type": "x.Transformer"'),
            "is a sentence-transformers model that",
        ),
    ],
)
def test_a_module_that_is_not_whole_is_refused(source_dir, tmp_path, spoil, shown):
    made = sentence(source_dir, ("Dense",))
    spoil(made)
    assert shown in refused(made, tmp_path)


def test_weights_of_a_module_in_a_pickle_are_read_as_weights_alone(source_dir, tmp_path):
    import pickle

    import torch

    made = sentence(source_dir, ("Dense",))
    tensors = {name: torch.from_numpy(value) for name, value in load_file(made / "2_Dense/model.safetensors").items()}
    (made / "2_Dense/model.safetensors").unlink()
    torch.save(tensors, made / "2_Dense/pytorch_model.bin")
    assert load(built(made, tmp_path))("good").shape == (8,)
    shutil.rmtree(tmp_path / "bundle")

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (made / "2_Dense/pytorch_model.bin").write_bytes(pickle.dumps({"linear.weight": Evil()}))
    assert "cannot be read" in refused(made, tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["bin", "float16", "bfloat16", "shards"])
def test_checkpoints_in_every_form_give_the_same_answers(source_dir, tmp_path, kind):
    import torch
    import transformers

    model = transformers.BertForSequenceClassification.from_pretrained(source_dir)
    (wanted,) = transformers.pipeline("text-classification", model=str(source_dir), device="cpu")("a good story")
    (source_dir / "model.safetensors").unlink()
    if kind == "bin":
        torch.save(model.state_dict(), source_dir / "pytorch_model.bin")
    elif kind == "shards":
        model.save_pretrained(source_dir, max_shard_size="20KB")
        assert len(list(source_dir.glob("model-*.safetensors"))) > 2
    else:
        model.to(getattr(torch, kind)).save_pretrained(source_dir)
    found = load(built(source_dir, tmp_path))("a good story")[0]
    assert found["label"] == wanted["label"]
    assert found["score"] == pytest.approx(wanted["score"], abs=0.02 if "float" in kind else 1e-5)


def test_the_encoder_of_t5_makes_vectors(tmp_path, source_dir):
    made = t5(source_dir, tmp_path / "t5")
    assert load(built(made, tmp_path, ONNX))("good").shape == (32,)


def test_gpt2_with_a_language_head_writes(tmp_path, source_dir):
    """In a context that is no longer than a prompt of the gate and what is written after it."""
    bundle = built(gpt2(source_dir, tmp_path / "gpt2"), tmp_path, ONNX)
    assert (bundle.manifest.task, bundle.manifest.settings.max_length) == ("text-generation", 96)
    decoding = bundle.manifest.artifacts[0].decoding
    assert (decoding.equal, decoding.written) == (20, 64)
    assert load(bundle)("good", max_new_tokens=5)


def test_gpt2_that_classifies_looks_no_segments_up_among_its_words(tmp_path, source_dir):
    bundle = built(gpt2(source_dir, tmp_path / "gpt2", head="ForSequenceClassification"), tmp_path, ONNX)
    assert [spec.name for spec in bundle.manifest.artifacts[0].inputs] == ["input_ids", "attention_mask"]
    assert bundle.manifest.source.outside.startswith("transformers ")


@pytest.mark.parametrize("kind", first(1, ["CLIPModel", "CLIPTextModelWithProjection", "CLIPTextModel"]))
def test_the_text_tower_of_clip_has_its_own_pooling(tmp_path, source_dir, kind):
    import transformers

    words = spec(source_dir)["model"]["vocab"]
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    end = words["[SEP]"]
    text = {**sizes, "vocab_size": len(words), "max_position_embeddings": 40, "eos_token_id": end, "projection_dim": 16}
    if kind == "CLIPModel":
        vision = {**sizes, "image_size": 32, "patch_size": 16}
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    else:
        config = transformers.CLIPTextConfig(**text)
    model, out = getattr(transformers, kind)(config), tmp_path / "clip"
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.1) if parameter.dim() > 1 else None
    model.save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source_dir / name, out / name)
    bundle = built(out, tmp_path, ONNX)
    assert bundle.manifest.settings.max_length == 40
    assert load(bundle)("good").shape == ((32,) if kind == "CLIPTextModel" else (16,))


def test_what_a_source_says_of_itself_goes_along_when_it_is_compressed(source_dir, tmp_path):
    said = {"prompts": {"query": "a good story: "}, "default_prompt_name": "query"}
    made = sentence(source_dir, pooling={"pooling_mode": "cls"}, options={"max_seq_length": 40}, own=said, old=True)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[step]]\nuse = "prune-layers"\nkeep = [0]\n[[step]]\nuse = "store"\n')
    compress(made, recipe, tmp_path / "small", threads=1, cache=tmp_path / "cache")
    before, after = open_source(made), open_source(tmp_path / "small")
    assert before.settings == after.settings
    assert (after.settings.pooling, after.settings.normalize, after.settings.max_length) == ("cls", True, 40)
    assert after.settings.prompt == "a good story: "
    assert built(tmp_path / "small", tmp_path).manifest.settings == before.settings


def test_the_manifest_says_what_a_source_was_held_against(source_dir, tmp_path):
    edited(source_dir / "config.json", my_own_key=1)
    origin = built(source_dir, tmp_path).manifest.source
    assert re.fullmatch(r"transformers [\d.]+ on 35 texts", origin.outside)
    assert origin.unread == ("my_own_key",)


def test_what_a_build_has_run_is_opened_at_once(source_dir, tmp_path, monkeypatch):
    """It ran in a child, whose engine did not die of it: no other child looks first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = built(source_dir, tmp_path)
    monkeypatch.setattr("edgewright.inference.first_look.call", lambda *_, **__: pytest.fail("it was looked at"))
    assert load(bundle)("good")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with pytest.raises(pytest.fail.Exception, match="looked at"):
        load(bundle)


def test_what_is_no_source_is_said(source_dir, tmp_path):
    place = tmp_path / "quantized"
    place.mkdir()
    (place / "model-q8_0.gguf").write_bytes(b"GGUF\x03\0\0\0" + bytes(64))
    shutil.copyfile(source_dir / "tokenizer.json", place / "tokenizer.json")
    assert "model-q8_0.gguf, a GGUF file, llama.cpp's; build takes the file itself" in refused(place, tmp_path)
    own = {"AutoModelForSequenceClassification": "modeling_my.MyModel"}
    edited(source_dir / "config.json", model_type="my_bert", auto_map=own)
    (source_dir / "modeling_my.py").write_text("raise SystemExit('it ran')\n")
    assert "edgewright never runs code from strangers" in refused(source_dir, tmp_path)


@pytest.mark.parametrize("activation", ["torch.nn.modules.activation.Sigmoid", IDENTITY])
def test_a_cross_encoder_scores_with_the_activation_that_it_was_saved_with(source_dir, tmp_path, activation):
    import transformers

    made = one_label(sentence_transformers={"activation_fn": activation})(source_dir)
    function = "sigmoid" if "Sigmoid" in activation else "none"
    pipe = transformers.pipeline("text-classification", model=str(made), device="cpu")
    wanted = pipe(TEXTS[0], function_to_apply=function)[0]["score"]
    assert load(built(made, tmp_path))(TEXTS[0])[0]["score"] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("family", first(1, ["Data2VecText", "RobertaPreLayerNorm", "Xmod"]))
def test_positions_that_begin_behind_the_padding_id_are_those_of_the_model(source_dir, tmp_path, family):
    """Whose tokenizers know no length."""
    import transformers

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    own = {"default_language": "en_XX", "languages": ("en_XX",)} if family == "Xmod" else {}
    words = len(spec(source_dir)["model"]["vocab"])
    config = getattr(transformers, f"{family}Config")(
        vocab_size=words, max_position_embeddings=50, pad_token_id=1, type_vocab_size=1, num_labels=3, **sizes, **own
    )
    out = tmp_path / "offset"
    getattr(transformers, f"{family}ForSequenceClassification")(config).save_pretrained(out)
    shutil.copyfile(source_dir / "tokenizer.json", out / "tokenizer.json")
    plain = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[UNK]", "model_max_length": 10**30}
    bundle = built(edited(out / "tokenizer_config.json", **plain), tmp_path, ONNX)
    assert bundle.manifest.settings.max_length == 48
    assert load(bundle)("good story " * 60)


SENTENCES = {
    "prompt": {"own": {"prompts": {"query": "a good story: "}, "default_prompt_name": "query"}},
    "lower case": {"options": {"do_lower_case": True, "max_seq_length": 12}},
    "modules": {"modules": ("Dense", "Normalize"), "pooling": {"pooling_mode": "weightedmean"}},
    "old layout": {"pooling": {"pooling_mode": "lasttoken"}, "old": True},
}


@pytest.mark.parametrize("name", first(2, SENTENCES))
def test_vectors_are_those_of_sentence_transformers(source_dir, tmp_path, name):
    """And of its documented arithmetic, which every build is held against where the library is not installed."""
    library = pytest.importorskip("sentence_transformers", reason="the oracle of this test")
    from edgewright.converters._model import outside

    made = sentence(source_dir, **SENTENCES[name])
    texts = [*TEXTS, "GOOD Story with MANY words that go on and on for longer than it may be read"]
    wanted = library.SentenceTransformer(str(made), device="cpu").encode(texts)
    assert np.abs(load(built(made, tmp_path))(texts) - wanted).max() < 1e-4
    arithmetic = outside._Embedder(open_source(made).job())
    assert np.abs(np.array(arithmetic.answers([[text] for text in texts])) - wanted).max() < 1e-4
