"""A layer that is broken on purpose, in a real model, and named by the build that refuses the artifact."""

from __future__ import annotations

import shutil

import pytest
from conftest import DEMO, edgewright

import edgewright as ew

VALUE = "electra.encoder.layer.1.attention.self.value"


@pytest.fixture
def crushed(tmp_path):
    """The demo model with a channel that is always zero and a huge weight on it: exact in float, lost at 8 bits.

    A weight column's int8 scale follows its largest entry, so that all the others become zero.
    """
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    home = tmp_path / "crushed"
    shutil.copytree(DEMO, home)
    weights = load_file(home / "model.safetensors")
    norm = "electra.encoder.layer.0.output.LayerNorm"
    for name in (f"{norm}.weight", f"{norm}.bias"):
        weights[name][11] = 0
    weights[f"{VALUE}.weight"][:, 11] = torch.tensor(2000.0, dtype=torch.float16)
    save_file(weights, home / "model.safetensors", metadata={"format": "pt"})
    return home


@pytest.mark.heavy
def test_the_broken_layer_is_named_with_its_stage_and_numbers(crushed, tmp_path):
    line = edgewright("build", crushed, "--out", tmp_path / "b", "--precision", "fp32,int8", check=4)
    assert "onnx/int8" in line
    assert "is wanted" in line
    assert f"departs in stage quantize, first at {VALUE}: SQNR" in line
    assert f"{tmp_path / 'b'} holds what passed: onnx/fp32" in line
    assert not (tmp_path / "b/onnx/model_quantized.onnx").exists()
    assert [artifact.precision for artifact in ew.Bundle.open(tmp_path / "b").manifest.artifacts] == ["fp32"]
