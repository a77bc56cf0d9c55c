"""Sources that are no plain directory: a hub id and a torch module."""

import json
import shutil

import numpy as np
import pytest
from conftest import DEMO, edgewright
from safetensors.torch import load_file

import edgewright as ew

torch = pytest.importorskip("torch")


def test_a_hub_id_is_found_in_the_local_cache(tmp_path):
    revision = "0123456789abcdef0123456789abcdef01234567"
    home = tmp_path / "hub" / "models--someone--sentiment"
    shutil.copytree(DEMO, home / "snapshots" / revision)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(revision)
    out = tmp_path / "b"
    edgewright("build", "someone/sentiment", "--out", out, "--precision", "int8", HF_HUB_CACHE=str(tmp_path / "hub"))
    assert ew.load(out)("a delight")[0]["label"] == "positive"


def test_a_checkpoint_of_tensors_alone_is_taken(tmp_path):
    """pytorch_model.bin, which torch reads with weights_only."""
    shutil.copytree(DEMO, tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "model" / "pytorch_model.bin")
    edgewright("build", tmp_path / "model", "--out", tmp_path / "b", "--precision", "int8")
    assert ew.load(tmp_path / "b")("a delight")[0]["label"] == "positive"


def test_an_unknown_hub_id(tmp_path):
    line = edgewright("build", "nobody/nothing", "--out", tmp_path / "b", check=3, HF_HUB_CACHE=str(tmp_path))
    assert "cannot fetch nobody/nothing" in line


class Bag(torch.nn.Module):
    """A user's own classifier: the mean of embeddings, then a layer."""

    def __init__(self, rows):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(rows, 48)
        self.head = torch.nn.Linear(48, 3)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask[:, :, None].float()
        return self.head((self.table(input_ids) * mask).sum(1) / mask.sum(1))


def test_a_module(tmp_path):
    module = Bag(json.loads((DEMO / "config.json").read_text())["vocab_size"])
    example = {"input_ids": torch.ones(2, 7, dtype=torch.long), "attention_mask": torch.ones(2, 7, dtype=torch.long)}
    bundle = ew.build(
        module, example_inputs=example, tokenizer=DEMO, task="text-classification", labels=["a", "b", "c"],
        max_length=64, out=tmp_path / "b", precisions=["fp32", "int8"],
    )  # fmt: skip
    pipeline = ew.load(bundle, precision="fp32")
    encoding = pipeline.task.encode(pipeline.tokenizer, ["a charming journey"])
    feeds = {name: torch.from_numpy(encoding.feeds[name]) for name in example}
    want = module(**feeds).detach().numpy()
    assert np.abs(pipeline.session.run(encoding.feeds)["logits"] - want).max() < 1e-5
    assert bundle.manifest.source.architecture == "Bag"


def test_a_module_that_cannot_be_exported(tmp_path):
    class Stubborn(torch.nn.Module):
        def forward(self, input_ids):
            return torch.tensor([len(input_ids.tolist())] * 2)[None] if input_ids.sum().item() > 3 else input_ids

    with pytest.raises(ew.EdgewrightError, match="Stubborn cannot be exported"):
        ew.build(
            Stubborn(), example_inputs={"input_ids": torch.ones(2, 7, dtype=torch.long)}, tokenizer=DEMO,
            task="text-classification", labels=["a", "b"], out=tmp_path / "b",
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
