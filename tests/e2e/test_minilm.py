"""all-MiniLM-L6-v2 as feature-extraction, held against sentence-transformers' pooling of the eager model."""

import numpy as np
import pytest
from conftest import edgewright, rows

import edgewright as ew

TEXTS = [
    "The cat sits outside",
    "A man is playing guitar",
    "The new movie is awesome",
    "🎉",
    "映画はとても良かった",
    "",
    "ok",
    "A sentence of some length, with a comma, that goes on for a while and then comes to its end. " * 30,
]


@pytest.fixture(scope="module")
def bundle(minilm, tmp_path_factory):
    out = tmp_path_factory.mktemp("minilm") / "embed"
    edgewright("build", minilm, "--out", out, "--format", "onnx", "--precision", "fp32,int8")
    return out


@pytest.fixture(scope="module")
def eager(minilm):
    """sentence-transformers' own steps: mean over the real tokens, then L2, at most 256 tokens."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = transformers.AutoModel.from_pretrained(minilm).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm)
    feeds = tokenizer(TEXTS, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**feeds).last_hidden_state
    mask = feeds["attention_mask"][:, :, None].float()
    pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(pooled, dim=1).numpy()


def test_fp32_equals_sentence_transformers(bundle, eager):
    ours = np.stack(ew.load(bundle, precision="fp32")(TEXTS))
    assert np.abs(ours - eager).max() < 1e-4


def test_int8_is_near(bundle, eager):
    ours = np.stack(ew.load(bundle, precision="int8")(TEXTS))
    assert (ours * eager).sum(axis=1).min() > 0.97


def test_sizes(bundle):
    sizes = {r["precision"]: r["size_bytes"] for r in rows("inspect", bundle)}
    assert sizes["fp32"] < 92e6
    assert sizes["int8"] < 25e6


def test_verify(bundle):
    assert all(r["golden"] == "7 of 7" for r in rows("verify", bundle))


def test_spearman_on_pairs(bundle, tmp_path):
    pairs = [("A dog runs.", "A dog is running.", 5), ("A dog runs.", "The puppy sprints.", 4),
             ("A dog runs.", "A man cooks rice.", 1), ("A dog runs.", "Interest rates rose.", 0)]  # fmt: skip
    (tmp_path / "sts.tsv").write_text(
        "sentence1\tsentence2\tscore\n" + "".join(f"{a}\t{b}\t{c}\n" for a, b, c in pairs)
    )
    for row in rows("eval", bundle, "--data", tmp_path / "sts.tsv"):
        assert row["score"]["metric"] == "spearman"
        assert row["score"]["value"] > 79
