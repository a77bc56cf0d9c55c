"""What a directory is: every kind that people have, made here, in one line with what to do next."""

import json
import zipfile

import pytest

from edgewright import registry
from edgewright.model.identify import identify

ST = "sentence_transformers.models"


def written(root, files):
    """A directory with these files: objects as JSON, anything else as it is."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return root


def modules(*kinds):
    return [{"idx": at, "path": path, "type": f"{ST}.{kind}"} for at, (kind, path) in enumerate(kinds)]


BERT = {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}
WEIGHTS = {"model.safetensors": b"x"}
KINDS = {
    "model": ({"config.json": BERT, **WEIGHTS}, "model", "build makes artifacts for text-classification"),
    "checkpoint": (
        {"config.json": BERT, "trainer_state.json": {}, **WEIGHTS},
        "model",
        "(a checkpoint of a Trainer)",
    ),
    "trainer": (
        {f"checkpoint-{at}/config.json": BERT for at in (50, 100, 1000)},
        "checkpoints",
        "the output of a Trainer with 3 checkpoints; take the best, or the last one, checkpoint-1000",
    ),
    "lora": (
        {"adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "some/base"}},
        "adapter",
        "an adapter of kind LORA (adapter_config.json) for the base some/base; build merges it",
    ),
    "prompt": (
        {"adapter_config.json": {"peft_type": "PROMPT_TUNING", "base_model_name_or_path": None}},
        "foreign-adapter",
        "for the base that it does not name; merge it where it was trained",
    ),
    "sentence": (
        {"modules.json": modules(("Transformer", ""), ("Pooling", "1_Pooling")), "config.json": BERT, **WEIGHTS},
        "sentence",
        "a sentence-transformers model of Transformer and Pooling; build takes it with its modules",
    ),
    "old layout": (
        {"modules.json": modules(("Transformer", "0_T")), "0_T/config.json": BERT},
        "sentence",
        "build takes it with its modules",
    ),
    "half": ({"modules.json": modules(("Transformer", "0_T"))}, "broken-sentence", "0_T, which has no config.json"),
    "words": ({"modules.json": modules(("BoW", ""))}, "foreign-sentence", "that begins with BoW"),
    "outside": ({"modules.json": modules(("Transformer", "../x"))}, "foreign-sentence", "none of Transformer"),
    "static": ({"modules.json": modules(("StaticEmbedding", "0_S"))}, "static", "build makes a table and a mean"),
    "model2vec": ({"config.json": {"model_type": "model2vec"}, **WEIGHTS}, "static", "(model2vec)"),
    "setfit": (
        {"modules.json": modules(("Transformer", "")), "config.json": BERT, "model_head.pkl": b"x"},
        "setfit",
        "a SetFit model: sentence-transformers with a head",
    ),
    "custom": (
        {"config.json": {"model_type": "my_bert", "auto_map": {"AutoModel": "modeling_my.MyModel"}}, **WEIGHTS},
        "custom-code",
        "a model of custom code (auto_map: modeling_my.py); edgewright never runs code from strangers",
    ),
    "quantized": (
        {"config.json": {**BERT, "quantization_config": {"quant_method": "gptq"}}, **WEIGHTS},
        "quantized",
        "whose weights are quantized already (gptq); build from the model in float",
    ),
    "decoder": (
        {"config.json": {"architectures": ["GPT2LMHeadModel"]}, **WEIGHTS},
        "model",
        "artifacts for text-generation",
    ),
    "translator": (
        {"config.json": {"architectures": ["MarianMTModel"], "model_type": "marian"}, **WEIGHTS},
        "model",
        "artifacts for translation",
    ),
    "another": (
        {"config.json": {"architectures": ["BartForConditionalGeneration"], "model_type": "bart"}, **WEIGHTS},
        "translator",
        "of those marian and t5 are taken",
    ),
    "tensorflow": ({"config.json": BERT, "tf_model.h5": b"x"}, "foreign-weights", "weights of TensorFlow"),
    "gguf": ({"model-q8_0.gguf": b"GGUF", "tokenizer.json": {}}, "gguf", "a directory with model-q8_0.gguf, a GGUF"),
    "ggufs": (
        {"b-q8_0.gguf": b"GGUF", "a-q4_1.gguf": b"GGUF"},
        "gguf",
        "a-q4_1.gguf, one of 2, a GGUF file, llama.cpp's; build takes the file itself: edgewright build ",
    ),
    "llama2c": (
        {"stories260K.bin": b"x", "tok512.bin": b"x", "readme.md": b"x"},
        "llama2c",
        "stories260K.bin, a checkpoint of llama2.c; build takes the file itself: edgewright build ",
    ),
    "torch's bin": ({"pytorch_model.bin": b"x"}, "unknown", "(pytorch_model.bin)"),
    "onnx": ({"model.onnx": b"x"}, "onnx", "already converted; edgewright builds from the model it was made of"),
    "tflite": ({"model.tflite": b"x"}, "tflite", "already converted"),
    "saved": ({"saved_model.pb": b"x"}, "keras", "a SavedModel of TensorFlow; build takes it with a tokenizer"),
    "bundle": ({"manifest.json": {"artifacts": []}}, "bundle", "a bundle of edgewright; it is built already"),
    "lightning": ({"epoch=3.ckpt": b"x"}, "ckpt", "a checkpoint of a trainer, a pickle"),
    "weights": ({"model.safetensors": b"x"}, "unknown", "has no config.json, modules.json or adapter_config.json"),
    "nothing": ({}, "empty", "empty; save a model there with save_pretrained"),
    "notes": ({"notes.md": b"x", "a.py": b"x"}, "unknown", "(a.py, notes.md)"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_directory_says_what_it_is(tmp_path, name):
    files, kind, words = KINDS[name]
    found = identify(written(tmp_path, files))
    line = found.line(tmp_path)
    assert found.kind == kind
    assert words in line
    assert "\n" not in line
    assert line.startswith(f"{tmp_path} is ")


@pytest.mark.parametrize("name", [name for name, (_, kind, _) in KINDS.items() if kind in ("model", "sentence")])
def test_what_is_taken_comes_with_its_command(tmp_path, name):
    found = identify(written(tmp_path, KINDS[name][0]))
    assert found.taken
    assert found.command == f"edgewright build {tmp_path} --out BUNDLE"


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"null", b"5", b"[]", b'"x"', b"\xff\xfe", b"{}"])
@pytest.mark.parametrize(
    "name", ["config.json", "modules.json", "adapter_config.json", "manifest.json", "config_setfit.json"]
)
def test_no_contents_of_a_file_make_it_fail(tmp_path, name, text):
    (tmp_path / name).write_bytes(text)
    assert "\n" not in identify(tmp_path).line(tmp_path)


@pytest.mark.parametrize("value", [None, 5, [], [None], {}, "BertModel", [["x"]]])
def test_no_architecture_makes_it_fail(tmp_path, value):
    written(tmp_path, {"config.json": {"architectures": value, "auto_map": value, "model_type": value}, **WEIGHTS})
    assert identify(tmp_path).line(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.gguf", "gguf"),
        ("a.onnx", "onnx"),
        ("a.keras", "keras"),
        ("a.pt", "pt"),
        ("a.txt", "file"),
        ("a.tar", "packed"),
    ],
)
def test_a_file_says_what_it_is(tmp_path, name, kind):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("x", "y")
    assert identify(tmp_path / name).kind == kind


def test_what_is_not_there_says_so(tmp_path):
    assert identify(tmp_path / "gone").kind == "nothing"


def test_every_head_of_a_task_is_a_model(tmp_path):
    """Ranking and labels of one's own are asked of a classifier by name: its head tells the first of its tasks."""
    heads = {name: registry.load("tasks", name).heads for name in registry.names("tasks")}
    for head in {head for own in heads.values() for head in own}:
        task = next(name for name, own in heads.items() if head in own)
        family = "marian" if task == "translation" else "bert"  # of those that translate two families are taken
        written(tmp_path, {"config.json": {"architectures": [f"Bert{head}"], "model_type": family}, **WEIGHTS})
        assert f"build makes artifacts for {task}" in identify(tmp_path).line(tmp_path)
