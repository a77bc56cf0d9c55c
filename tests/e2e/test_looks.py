"""Models scored, compared and looked into through the command line, on the demo model and on tiny random ones."""

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
