"""Shapes of decoders: what they say of themselves is what transformers makes of them."""

import pytest

from edgewright.errors import UsageError
from edgewright.training.decoder_shape import PRESETS, DecoderShape, named

SMALL = DecoderShape(vocabulary=300, width=32, layers=2, heads=4, kv_heads=2, feed_forward=64, context=32)


@pytest.mark.parametrize(("name", "most"), [("1m", 1.02e6), ("10m", 10.5e6), ("60m", 60.5e6), ("135m", 135e6)])
def test_a_preset_has_the_parameters_that_it_is_called_after(name, most):
    assert 0.95 * most < named(name).parameters < most


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gpt2", "lfm2"])
@pytest.mark.parametrize("name", [*PRESETS, "small"])
def test_transformers_counts_the_same(name, family):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = (PRESETS | {"small": SMALL})[name].changed(family=family)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**shape.config()))
    model.tie_weights()
    assert sum(one.numel() for one in model.parameters()) == shape.parameters


def test_a_cache_is_as_large_as_its_heads_and_its_window():
    assert SMALL.cache_bytes() == 2 * 2 * 2 * 8 * 32 * 4
    assert SMALL.changed(kv_heads=1).cache_bytes() == SMALL.cache_bytes() // 2
    assert SMALL.changed(window=8).cache_bytes() == SMALL.cache_bytes() // 4
    assert SMALL.changed(window=8).config()["model_type"] == "mistral"
    assert SMALL.changed(family="lfm2").cache_bytes() == SMALL.cache_bytes() // 2 + 32 * 3 * 4


@pytest.mark.parametrize(("layers", "attend"), [(1, [0]), (2, [1]), (3, [2]), (4, [2]), (6, [2, 5]), (8, [2, 5])])
def test_every_third_layer_of_lfm2_attends(layers, attend):
    shape = SMALL.changed(family="lfm2", layers=layers)
    kinds = shape.config()["layer_types"]
    assert [at for at, kind in enumerate(kinds) if kind == "full_attention"] == shape.attention_layers == attend
    assert kinds.count("conv") == layers - len(attend)


def test_dropout_of_a_shape_that_has_none_is_refused():
    assert SMALL.config(dropout=0.1)["attention_dropout"] == 0.1
    with pytest.raises(UsageError, match=r"dropout is 0\.1, LFM2 has none; leave it out"):
        SMALL.changed(family="lfm2").config(dropout=0.1)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"heads": 5}, "width 32 gives 5 heads 6.4 numbers each"),
        ({"heads": 32}, "an even number is needed"),
        ({"kv_heads": 3}, "4 heads cannot share 3"),
        ({"layers": -1}, "layers is -1, it must be at least 1"),
        ({"vocabulary": 100}, "100 tokens is below 257"),
        ({"family": "gpt2", "window": 8}, "choose the shape llama"),
        ({"family": "lfm2", "window": 8}, "LFM2's attention has no window; choose the shape llama"),
        ({"family": "bert"}, "unknown shape 'bert'"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(sizes, words):
    with pytest.raises(UsageError, match=words):
        SMALL.changed(**sizes)


def test_an_unknown_preset_is_refused():
    with pytest.raises(UsageError, match="unknown preset '7b'; choose from 1m, 10m, 60m, 135m"):
        named("7b")
