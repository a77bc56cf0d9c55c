"""Models scored, compared and looked into through the command line, on the demo model and on tiny random ones."""

import json
import sys

import numpy as np
import pytest
from conftest import DEMO, ROOT, SENTENCES, edgewright, rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
sys.path.insert(0, str(ROOT / "tools"))
import tiny_models  # noqa: E402

TEXTS = ("Nobody laughed.", "The river had risen in the night.")


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return tiny_models.make("bert", "fill-mask", tmp_path_factory.mktemp("tiny") / "bert", length=32, std=0.3)


@pytest.mark.heavy
def test_a_source_scores_as_its_bundle(demo_bundle):
    asked = ("--data", SENTENCES, "--metric", "accuracy,f1,matthews")
    eager = {row["score"]["metric"]: row for row in rows("eval", DEMO, *asked, "--cost")}
    built = {r["score"]["metric"]: r for r in rows("eval", demo_bundle, *asked, "--precision", "fp32", "--cost")}
    assert list(eager) == list(built) == ["accuracy", "f1", "matthews"]
    for metric, row in eager.items():
        assert row["score"] == built[metric]["score"]
        assert (row["low"], row["high"]) == (built[metric]["low"], built[metric]["high"])
        assert row["low"] < row["score"]["value"] < row["high"]
        assert min(row["median_ms"], built[metric]["median_ms"]) > 0
        assert row["peak_rss_mib"] > built[metric]["peak_rss_mib"] > 10
    assert "eager" in eager["f1"]["timed"]
    assert built["f1"]["timed"].startswith("onnxruntime ")


@pytest.mark.heavy
def test_pseudo_perplexity_is_that_of_masking_one_token_after_the_other(masked, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n\n")
    tokenizer = transformers.AutoTokenizer.from_pretrained(masked)
    model = transformers.AutoModelForMaskedLM.from_pretrained(masked).eval()
    losses = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt").input_ids
        for at in range(1, ids.shape[1] - 1):
            hidden = ids.clone()
            hidden[0, at] = tokenizer.mask_token_id
            with torch.no_grad():
                losses.append(-model(hidden).logits[0, at].log_softmax(0)[ids[0, at]].item())
    (row,) = rows("eval", masked, "--data", path, "--metric", "perplexity")
    assert row["score"]["value"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)
    assert row["score"]["n"] == len(TEXTS)


def test_a_metric_or_a_format_that_is_not_there_is_one_line(masked):
    line = edgewright("eval", DEMO, "--data", SENTENCES, "--metric", "bleu", check=2)
    assert "text-classification has no metric 'bleu'; choose from accuracy" in line
    line = edgewright("eval", masked, "--data", SENTENCES, "--format", "onnx", check=2)
    assert "is no bundle" in line


def test_a_source_beside_its_bundle(demo_bundle):
    out = json.loads(edgewright("compare", DEMO, demo_bundle, "--precision", "fp32", "--data", SENTENCES, "--json"))
    eager, built = out["rows"]
    assert (eager["kind"], built["kind"]) == ("eager/fp32", "onnx/fp32")
    assert eager["parameters"] == built["parameters"] >= eager["nonzeros"] > 0
    assert eager["size_bytes"] > eager["compressed_bytes"]
    assert eager["score"] == built["score"]
    assert out["points"] == {"value": 0, "low": 0, "high": 0}
    assert 0 < out["outputs"]["max_abs"] < 1e-3 < out["outputs"]["rms"]
    assert out["outputs"]["agreement"] == 1
    assert "eager" in eager["timed"]
    assert "onnxruntime" in built["timed"]
    assert min(eager["latency_ms"], built["latency_ms"]) > 0


def test_what_pruning_half_of_the_weights_changes(tmp_path):
    from safetensors.torch import load_file, save_file

    pruned = tmp_path / "pruned"
    pruned.mkdir()
    for path in DEMO.iterdir():
        (pruned / path.name).write_bytes(path.read_bytes())
    weights = load_file(pruned / "model.safetensors")
    for name, weight in weights.items():
        if weight.dim() == 2:
            weights[name] = weight * (weight.abs() > weight.abs().float().median())
    save_file(weights, pruned / "model.safetensors", metadata={"format": "pt"})
    out = json.loads(edgewright("compare", DEMO, pruned, "--json"))
    before, after = out["rows"]
    assert after["nonzeros"] == pytest.approx(before["nonzeros"] / 2, rel=0.02)
    assert after["size_bytes"] == pytest.approx(before["size_bytes"], rel=0.01)
    assert after["compressed_bytes"] < 0.75 * before["compressed_bytes"]
    assert out["outputs"]["rms_error"] > 0.01
    assert (out["points"], out["latency_ratio"]) == (None, None)


def test_models_of_two_tasks_are_not_compared(masked):
    line = edgewright("compare", DEMO, masked, check=2)
    assert "answers text-classification" in line
    assert "answers fill-mask" in line


def test_attention_is_that_of_transformers_and_is_drawn(masked, tmp_path):
    from edgewright.analysis.attention import attend
    from edgewright.model.source import open_source

    found = attend(open_source(masked), TEXTS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(masked)
    model = transformers.AutoModel.from_pretrained(masked, attn_implementation="eager").eval()
    encoded = tokenizer(*TEXTS, return_tensors="pt")
    with torch.no_grad():
        theirs = model(**encoded, output_attentions=True).attentions
    assert found.weights == pytest.approx(torch.cat(theirs).numpy(), abs=1e-5)
    assert found.weights.sum(axis=-1) == pytest.approx(1, abs=1e-5)
    assert sum(found.special) == 3
    pytest.importorskip("matplotlib", reason="the PNG is drawn by matplotlib, of the extra `report`")
    out = json.loads(edgewright("analyze", "attention", masked, *TEXTS, "--out", tmp_path / "a.png", "--json"))
    assert len(out["rows"]) == found.weights.shape[0] * found.weights.shape[1]
    assert len(out["tokens"]) == len(found.tokens)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_a_probe_of_words_sees_the_word_in_the_embeddings(masked, tmp_path):
    """The label is the word's own first letter, which the embeddings tell, and a random class is as easy: no choice."""
    words = [word for text in tiny_models.texts() for word in text.split() if word.isalpha()]
    lines = [
        words[at : at + 8] for at in range(0, len(words) - 8, 2)
    ]  # fewer are too few: the tokenizer is another each time
    path = tmp_path / "words.jsonl"
    tagged = [{"tokens": line, "tags": ["early" if w[0].lower() < "m" else "late" for w in line]} for line in lines]
    path.write_text("\n".join(map(json.dumps, tagged)))
    args = ("analyze", "probe", masked, "--data", path, "--out", tmp_path / "p.html")
    out = json.loads(edgewright(*args, "--json"))
    first = out["rows"][0]
    assert out["unit"] == "words"
    assert first["accuracy"] > out["majority"] + 10
    assert first["control"] > 70
    assert first["selectivity"] == pytest.approx(first["accuracy"] - first["control"], abs=0.02)
    assert [row["layer"] for row in out["rows"]] == [0, 1, 2]
    assert "<svg" in (tmp_path / "p.html").read_text()
