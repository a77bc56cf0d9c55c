"""A model from nothing, end to end: from a text to a bundle that writes, and is scored as transformers scores it."""

import json
import math
import random
from pathlib import Path

import pytest
from conftest import edgewright

WORDS = (Path(__file__).parents[1] / "story.txt").read_text().split()
SMALL = (
    *("--preset", "1m", "--vocabulary", "280", "--width", "64", "--layers", "2", "--context", "64"),
    *("--tokens", "8192", "--batch", "4", "--validation", "0.1", "--evaluations", "2", "--threads", "1", "-q"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    rng = random.Random(1)
    out = tmp_path_factory.mktemp("pretrained")
    (out / "stories.txt").write_text("<|endoftext|>".join(" ".join(rng.choices(WORDS, k=40)) for _ in range(150)))
    (row,) = json.loads(edgewright("pretrain", out / "stories.txt", *SMALL, "--out", out / "model", "--json"))["rows"]
    assert row["steps"] == 8192 // (4 * 64)
    assert row["directory"] == str(out / "model")
    return out / "model"


@pytest.fixture(scope="module")
def bundle(model):
    out = model.with_name("bundle")
    edgewright("build", model, "--out", out, "--precision", "fp32,int8", "-q")  # every gate passes
    return out


def test_it_writes(bundle):
    (row,) = json.loads(edgewright("run", bundle, "the captain", "--max-new-tokens", "8", "--json"))["rows"]
    assert row["answer"][0]["generated_text"].startswith("the captain")


def scores(model, *asked):
    rows = json.loads(edgewright("eval", model, *asked, "--json", "-q"))["rows"]
    return {(row["format"], row["precision"], row["score"]["metric"]): row["score"]["value"] for row in rows}


def test_text_is_as_likely_as_transformers_finds_it(model, bundle, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = [" ".join(WORDS[at : at + 12]) for at in range(0, 120, 12)]
    (tmp_path / "held.txt").write_text("<|endoftext|>".join(texts))
    theirs, words = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    total = tokens = 0
    for text in texts:
        ids = words(text, return_tensors="pt").input_ids[:, :64]
        with torch.no_grad():
            total += float(theirs(ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    wanted = math.exp(total / tokens)
    eager, ours = (scores(one, "--data", tmp_path / "held.txt") for one in (model, bundle))
    assert eager["eager", "fp32", "perplexity"] == pytest.approx(wanted, rel=1e-5)
    assert ours["onnx", "fp32", "perplexity"] == pytest.approx(wanted, rel=1e-5)
    assert ours["onnx", "int8", "perplexity"] == pytest.approx(wanted, rel=0.01)
    assert ours["onnx", "fp32", "bits_per_byte"] == pytest.approx(eager["eager", "fp32", "bits_per_byte"], rel=1e-5)


@pytest.mark.heavy
def test_an_ending_is_chosen_alike(model, bundle, tmp_path):
    rows = [{"text": " ".join(WORDS[at : at + 9]), "endings": WORDS[at + 9 : at + 12], "label": 0} for at in range(20)]
    (tmp_path / "cloze.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = ("--data", tmp_path / "cloze.jsonl", "--metric", "cloze")
    assert scores(bundle, *asked)["onnx", "fp32", "cloze"] == scores(model, *asked)["eager", "fp32", "cloze"]
    assert "tokens a second" in edgewright("eval", bundle, *asked, "--cost", check=2)
