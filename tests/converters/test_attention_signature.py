"""The attention that each exporter says, run as it is and held against transformers' own."""

import numpy as np
import pytest
import torch
import transformers

from edgewright.converters._executorch import export as executorch
from edgewright.converters._model.attention import additive, replaced
from edgewright.converters._onnx import export as onnx
from edgewright.converters._tflite import export as tflite
from edgewright.converters._torchscript import trace as torchscript

SAID = {
    "onnx": (onnx._attention, additive),
    "torchscript": (torchscript._attention, additive),
    "executorch": (executorch._attention, executorch._mask, executorch._first),
    "tflite": (tflite._attention, tflite._mask, tflite._clamped),
}
SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}


def model(kind, **given):
    torch.manual_seed(3)
    config = getattr(transformers, f"{kind}Config")(**SIZES, **given, attn_implementation="eager")
    made = getattr(transformers, f"{kind}Model")(config).eval()
    for parameter in made.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.2)
    return made


@pytest.fixture(params=["Bert", "Qwen2"])
def any_model(request):
    """An encoder, and a causal model whose four heads share the keys of two."""
    heads = {"Bert": {}, "Qwen2": {"num_key_value_heads": 2}}[request.param]
    return model(request.param, num_attention_heads=4, **heads)


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("hidden", [0, 3])
def test_a_models_states_are_its_own(any_model, name, hidden):
    feeds = {"input_ids": torch.arange(9)[None], "attention_mask": torch.ones(1, 9, dtype=torch.int64)}
    feeds["attention_mask"][:, 9 - hidden :] = 0
    with torch.no_grad():
        want = any_model(**feeds)[0]
        with replaced(any_model, f"test_{name}", *SAID[name]):
            got = any_model(**feeds)[0]
    kept = slice(0, 9 - hidden)
    assert np.allclose(got[:, kept], want[:, kept], atol=1e-4)
    assert any_model.config._attn_implementation == "eager"


@pytest.mark.parametrize("name", SAID)
def test_a_causal_layer_without_a_mask_sees_nothing_later_or_has_one(name):
    asked = []
    causal = model("Qwen2", num_attention_heads=4, num_key_value_heads=2)

    def attend(attention):
        asked.append(attention)
        return SAID[name][0](attention)

    with torch.no_grad(), replaced(causal, f"test_{name}", attend, *SAID[name][1:]):
        causal(input_ids=torch.arange(9)[None])
    assert len(asked) == 2
    assert all(one.causal == (one.mask is None) for one in asked)


def test_what_an_exporter_does_not_say_is_refused():
    capped = model("Gemma2", num_attention_heads=4, num_key_value_heads=2, head_dim=8, attn_logit_softcapping=5.0)
    with (
        replaced(capped, "test_refused", *SAID["tflite"]),
        pytest.raises(NotImplementedError, match=r"^attention with softcap$"),
    ):
        capped(input_ids=torch.arange(9)[None])


def test_a_position_bias_is_for_those_that_add_it():
    from transformers import AttentionInterface

    small, bias = model("Bert", num_attention_heads=4), torch.randn(1, 4, 3, 3)
    q, k, v = torch.randn(3, 1, 4, 3, 8)
    for biased in (False, True):
        with replaced(small, "test_biased", *SAID["tflite"], biased=biased):
            attend = AttentionInterface()["test_biased"]
            if biased:
                got, _ = attend(small, q, k, v, None, position_bias=bias)
            else:
                with pytest.raises(NotImplementedError, match="position_bias"):
                    attend(small, q, k, v, None, position_bias=bias)
    want = (q @ k.transpose(2, 3) / 8**0.5 + bias).softmax(-1) @ v
    assert torch.allclose(got, want.transpose(1, 2), atol=1e-5)
