"""The C project: compiled, and asked through the real engine; its answers are those of Python."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import c_programs
import pytest
import token_texts
from click.testing import CliRunner
from strange_sources import edited, static

import edgewright
from edgewright.cli._export.c import command
from edgewright.errors import StorageError, UnsupportedConversion
from edgewright.exporting.android import export_android
from edgewright.exporting.c import export_c

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import tiny_models

pytestmark = pytest.mark.slow
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")
TEXTS = [text for text in tiny_models.texts() if text.strip()][:40]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """With gcc's sanitizers; what the engine itself leaves behind is not looked for."""
    return c_programs.compiled(tmp_path_factory.mktemp("program") / "answers", *token_texts.SANITIZED)


def held(place, program, items, **options):
    with edgewright.load(place / "bundle", careful=False, **options) as pipeline:
        wanted = pipeline.answered([pipeline.task.taken(one) for one in items])
        task = pipeline.task.name
    found = c_programs.answers(program, place / "c" / "assets", items, **options)
    return [
        (item, why)
        for item, mine, theirs in zip(items, found, wanted, strict=True)
        if (why := c_programs.unlike(task, mine, theirs, 2e-6))
    ]


@pytest.mark.parametrize("strategy", ["", "simple", "average"])
def test_entities_are_those_of_python(made, program, strategy, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    options = {"aggregation_strategy": strategy} if strategy else {}
    assert held(made("bert", "token-classification", TAGS), program, TEXTS, **options) == []


@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"handle_impossible_answer": True}])
def test_answers_from_windows_are_those_of_python(made, program, options, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    long = " ".join(TEXTS[:20])
    items = [
        {"question": text.split()[0], "context": long if at % 4 == 0 else text} for at, text in enumerate(TEXTS[:12])
    ]
    assert held(made("roberta", "question-answering"), program, items, **options) == []


def test_characters_are_cut_as_model2vec_does(program, source_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    place = tmp_path / "place"
    source = edited(static(source_dir, place / "source", alone=True) / "config.json", max_length=6)
    edgewright.build(source, formats=["onnx"], precisions=["fp32"], out=place / "bundle")
    export_c(place / "bundle", out=place / "c")
    assert held(place, program, [*TEXTS[:8], "a story " * 10, "naïve " * 20, "good" + " " * 90 + "story"]) == []


def test_threads_share_a_model(made, program, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    place = made("bert", "token-classification", TAGS)
    found = c_programs.answers(program, place / "c" / "assets", TEXTS[:10], threads=3)
    assert [one["code"] for one in found] == [0] * 10


def test_a_request_that_cannot_be_is_told(made, program, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    assets = made("roberta", "question-answering") / "c" / "assets"
    (alone,) = c_programs.answers(program, assets, ["no context"])
    assert (alone["code"], alone["why"]) == (5, "question-answering wants a question and its context")
    (long,) = c_programs.answers(program, assets, [{"question": "a", "context": "b" * ((1 << 20) + 1)}])
    assert long["code"] == 4


def test_assets_that_are_missing_or_altered(made, program, tmp_path):
    assets = made("bert", "token-classification", TAGS) / "c" / "assets"
    for name, change, why in (
        ("model.txt", None, "model.txt: a file is missing"),
        ("model.txt", b"edgewright 2\n", "not what was exported"),
        ("model.txt", b"edgewright 1\nmax_length many\n", "max_length many is nothing that is known"),
        ("tokenizer.bin", None, "tokenizer.bin: a file is missing"),
        ("tokenizer.bin", b"EWTOK", "not what was exported"),
        ("model.onnx", b"no model", "ONNX Runtime: "),
        ("model.onnx.data", None, "ONNX Runtime: "),
        ("model.onnx.data", bytes(5000), "ONNX Runtime: "),
    ):
        copy = tmp_path / f"{name}-{change}"[:40].replace("\n", "_").replace("'", "")
        shutil.copytree(assets, copy)
        (copy / name).unlink() if change is None else (copy / name).write_bytes(change)
        done = subprocess.run([program, copy, c_programs.engine()], input=b"", capture_output=True, check=False)
        assert done.returncode == 1
        assert why in done.stderr.decode()
    done = subprocess.run([program, assets, "/nowhere.so"], input=b"", capture_output=True, check=False)
    assert "the engine does not load" in done.stderr.decode()


def test_the_project_builds_with_cmake_and_its_sample_answers(made, tmp_path, monkeypatch):
    if shutil.which("cmake") is None:
        pytest.skip("there is no cmake")
    place = made("bert", "token-classification", TAGS)
    argv = [str(place / "bundle"), "--out", str(tmp_path / "app"), "--json"]
    assert CliRunner().invoke(command, argv, catch_exceptions=False).exit_code == 0
    subprocess.run(["cmake", "-S", tmp_path / "app", "-B", tmp_path / "build"], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", tmp_path / "build"], check=True, capture_output=True)
    monkeypatch.setenv("EW_ENGINE", str(c_programs.engine()))
    argv = [tmp_path / "build" / "sample", tmp_path / "app" / "assets", TEXTS[0]]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    with edgewright.load(place / "bundle", careful=False) as pipeline:
        wanted = [(one["entity_group"], one["word"]) for one in pipeline(TEXTS[0])]
    assert [(line.split("\t")[1], line.split("\t")[4]) for line in said.splitlines()] == wanted
    with pytest.raises(StorageError, match="exists"):
        export_c(place / "bundle", out=tmp_path / "app")
    assert {path.name for path in (tmp_path / "app" / "assets").iterdir()} == {
        "model.onnx", "model.onnx.data", "model.txt", "tokenizer.bin", "vectors.json",
    }  # fmt: skip


def test_vectors_are_what_the_tokenizer_gives(made, tmp_path):
    assets = made("bert", "token-classification", TAGS) / "c" / "assets"
    vectors = json.loads((assets / "vectors.json").read_text(encoding="utf-8"))
    program = token_texts.compiled(tmp_path / "tokens", "tokens.c", "ew_tokenizer.c")
    short = [one for one in vectors if len(one["ids"][0]) < 64]  # which nothing was cut from
    found = token_texts.tokens(program, assets / "tokenizer.bin", [one["text"].encode() for one in short])
    assert len(short) > 3
    assert found == [(one["ids"][0], [tuple(pair) for pair in one["offsets"][0]]) for one in short]
    assert all(one["outputs"] and one["answer"] is not None for one in vectors)


def test_a_translator_of_another_format_is_refused(made):
    from msgspec import structs

    from edgewright.bundle.bundle import Bundle

    bundle = Bundle.open(made("bert", "token-classification", TAGS) / "bundle")
    for export, kind, formats in ((export_c, "ort", "onnx and tflite"), (export_android, "tflite", "onnx")):
        artifacts = tuple(structs.replace(one, format=kind) for one in bundle.manifest.artifacts)
        translates = Bundle(bundle.directory, structs.replace(bundle.manifest, task="translation", artifacts=artifacts))
        with pytest.raises(UnsupportedConversion, match=f"translates with {formats} alone, .* is {kind}"):
            export(translates, out="nowhere", format=kind)


def test_a_decoder_with_short_convolutions_is_refused(made):
    from msgspec import structs

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import TensorSpec

    bundle = Bundle.open(made("bert", "token-classification", TAGS) / "bundle")
    state = (TensorSpec("past_conv.0", "float32", (1, 64, 3)),)
    artifacts = tuple(structs.replace(one, inputs=one.inputs + state) for one in bundle.manifest.artifacts)
    writes = Bundle(bundle.directory, structs.replace(bundle.manifest, task="text-generation", artifacts=artifacts))
    with pytest.raises(UnsupportedConversion, match=r"keys and values alone, onnx/\S+ has short convolutions too"):
        export_c(writes, out="nowhere")
