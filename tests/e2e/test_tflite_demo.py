"""The main job on the shipped demo model in the format tflite, as a user runs it."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import DEMO, PRECISIONS, SENTENCES, edgewright, prints_answers_alone, rows

import edgewright as ew
from edgewright import registry

sys.path.append(str(Path(__file__).parents[1] / "exporting"))
import c_programs


@pytest.fixture
def bundle(tflite_bundle):
    return tflite_bundle


def test_every_precision_passes_its_gates(bundle):
    artifacts = json.loads((bundle / "manifest.json").read_text())["artifacts"]
    assert [a["precision"] for a in artifacts] == list(PRECISIONS)
    assert all(a["parity"]["diverged"] is None for a in artifacts)
    sizes = {a["precision"]: a["size_bytes"] for a in artifacts}
    assert sizes["int8"] <= 0.30 * sizes["fp32"]


@pytest.mark.heavy
def test_the_other_precisions_pass_theirs(bundle, tmp_path):
    more, out = ("fp16", "int8-static", "int4"), tmp_path / "more"
    edgewright("build", DEMO, "--out", out, "--format", "tflite", "--precision", ",".join(more), "--data", SENTENCES)
    assert [r["golden"] for r in rows("verify", out)] == ["7 of 7"] * len(more)
    sizes = {r["precision"]: r["size_bytes"] for at in (bundle, out) for r in rows("inspect", at)}
    assert sizes["int4"] < sizes["int8"] < sizes["fp16"] < sizes["fp32"]


def test_verify_replays_every_golden_case(bundle):
    assert [r["golden"] for r in rows("verify", bundle)] == ["7 of 7"] * len(PRECISIONS)


def test_eval_repeats_the_metric_of_the_manifest(bundle):
    stored = {a["precision"]: a["score"] for a in json.loads((bundle / "manifest.json").read_text())["artifacts"]}
    for row in rows("eval", bundle, "--data", SENTENCES):
        assert row["score"]["value"] == pytest.approx(stored[row["precision"]]["value"])


def test_run_answers_without_a_word_of_the_engine(bundle):
    argv = [sys.executable, "-m", "edgewright", "run", str(bundle), "a charming and often affecting journey"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["answer"][0]["label"] == "positive"
    assert done.stderr == ""


def test_a_batch_gets_the_answers_of_its_texts(bundle):
    pipeline, texts = ew.load(bundle, precision="int8"), ["fine", "a much longer sentence of quite another kind", "no"]
    together, alone = pipeline(texts), [pipeline(text) for text in texts]
    assert [a["score"] for a in together] == [b[0]["score"] for b in alone]


def test_mediapipe_gets_one_length_with_vocabulary_and_labels(bundle, tmp_path):
    """The tables and files are there; tools/check_mediapipe has MediaPipe itself open them."""
    from edgewright.converters._tflite import file

    out = tmp_path / "model.tflite"
    (row,) = rows("export", "mediapipe", bundle, "--out", out, "--precision", "int8")
    assert (row["precision"], row["size_bytes"]) == ("int8", out.stat().st_size)
    names = ("input_ids", "attention_mask", "token_type_ids")
    engine = registry.load("runtimes", "litert")().open(out, threads=1)
    (scores,) = engine.run({name: np.ones((1, 16), np.int64) for name in names}).values()
    assert scores.sum() == pytest.approx(1, abs=1e-5)
    assert scores.min() >= 0
    model = file.read(out.read_bytes())
    assert len(model.subgraphs) == len(model.signatureDefs) == 1
    assert b"TFLITE_METADATA" in [bytes(entry.name) for entry in model.metadata]
    with zipfile.ZipFile(out) as archive:
        assert archive.read("labels.txt").decode().split() == ["negative", "positive"]
        assert archive.read("vocab.txt").decode().splitlines()[0] == "[PAD]"


def test_an_answer_is_all_that_is_printed(bundle):
    prints_answers_alone(bundle)


def test_a_c_program_answers_on_litert_as_python_does(bundle, tmp_path):
    (row,) = rows("export", "c", bundle, "--out", tmp_path / "c", "--format", "tflite", "--precision", "int8")
    assert row["format"] == "tflite"
    program = c_programs.compiled(tmp_path / "answers", "-O1")
    texts = [line.partition("\t")[0] for line in SENTENCES.read_text().splitlines()[1:13]]
    texts += ["a delight, " * 12, "it drags " * 200]  # of three lengths
    found = c_programs.answers(program, tmp_path / "c" / "assets", texts, threads=3)
    with ew.load(bundle, engine="litert", precision="int8", careful=False, threads=1) as pipeline:
        for text, mine in zip(texts, found, strict=True):
            (theirs,) = pipeline(text)
            assert mine["items"][0]["label"] == theirs["label"]
            assert mine["items"][0]["score"] == pytest.approx(theirs["score"], abs=1e-6)
