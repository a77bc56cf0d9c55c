"""Estimates: the sum of memory and the bound of latency, by hand, by law, and against what was counted."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edgewright import registry
from edgewright.boards.catalogue import Cluster, named
from edgewright.boards.estimate import estimate, peaks
from edgewright.bundle.bundle import Bundle
from edgewright.bundle.manifest import TensorSpec
from edgewright.errors import UsageError
from edgewright.inference.footprint import activation_bytes, engine_of, kv_cache_bytes, least_memory_mib, memory_mib
from edgewright.measure.roofline import encoder_macs

ROOT = Path(__file__).parents[2]
MINILM = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
PI4, PI5, PC = named("raspberry-pi-4"), named("raspberry-pi-5"), named("x86-64")


@pytest.fixture
def minilm(bundle_dir, make_manifest, make_artifact):
    """A bundle of MiniLM's sizes, whose files are none."""
    (bundle_dir / "config.json").write_text(json.dumps(MINILM))
    cells = {"onnx": "onnx/model.onnx", "tflite": "tflite/model.tflite"}
    sizes = {"fp32": 90_000_000, "int8": 23_000_000}
    record = make_manifest(
        artifacts=tuple(
            msgspec.structs.replace(make_artifact(path=path, format=name), precision=precision, size_bytes=size)
            for name, path in cells.items()
            for precision, size in sizes.items()
        ),
        source=msgspec.structs.replace(make_manifest().source, parameters=22_713_216),
        settings=msgspec.structs.replace(make_manifest().settings, max_length=512),
    )
    return Bundle(bundle_dir, record)


def test_the_parts_by_hand(minilm):
    fp32, int8, tflite, _ = estimate(minilm, PI4, tokens=128)
    assert list(fp32.parts_mib) == ["python", "tokenizer", "engine", "weights", "activations"]
    assert fp32.parts_mib["weights"] == pytest.approx(1.5 * 90_000_000 / 2**20)
    assert tflite.parts_mib["weights"] == pytest.approx(1.6 * 90_000_000 / 2**20 * (1 - 30522 * 384 / 22_713_216))
    assert fp32.parts_mib["activations"] == pytest.approx(4 * 128 * (12 * 128 + 1536 + 4 * 384) / 2**20)
    assert (fp32.engine, tflite.engine, fp32.measured) == ("onnxruntime", "litert", True)
    assert int8.sum_mib < fp32.sum_mib < 512
    assert (fp32.fits_mib, fp32.threads) == (1024, 4)


def test_the_bound_by_hand(minilm):
    """A Cortex-A72 begins 4 fp32 and 8 int8 products a cycle, a Cortex-A76 8 and 32."""
    layers, scores = encoder_macs(MINILM, 128)
    assert layers == 6 * 128 * 384 * (4 * 384 + 2 * 1536)
    a72, a76 = 4 * 1.8e6, 4 * 2.4e6  # cycles of four cores in a millisecond
    fp32, int8, *_ = estimate(minilm, PI4, tokens=128)
    assert fp32.bound_ms == pytest.approx((layers + scores) / (4 * a72))
    assert int8.bound_ms == pytest.approx(layers / (8 * a72) + scores / (4 * a72))
    _, dotted, *_ = estimate(minilm, PI5, tokens=128)
    assert dotted.bound_ms == pytest.approx(layers / (32 * a76) + scores / (8 * a76))
    one, *_ = estimate(minilm, PI4, tokens=128, threads=1)
    assert one.bound_ms == pytest.approx(4 * fp32.bound_ms)


def test_weights_beyond_the_caches_are_bound_by_memory(minilm, make_artifact):
    big = msgspec.structs.replace(make_artifact(), size_bytes=2_000_000_000)
    many = msgspec.structs.replace(minilm.manifest.source, parameters=500_000_000)
    record = msgspec.structs.replace(minilm.manifest, artifacts=(big,), source=many)
    (found,) = estimate(Bundle(minilm.directory, record), PI5, tokens=1)
    read = 2_000_000_000 * (1 - 30522 * 384 / 500_000_000) - 32 * 2**20
    assert found.bound_ms == pytest.approx(read / 17.1 / 1e6)
    assert found.fits_mib == 4096


def test_what_is_not_known_has_no_bound(minilm):
    assert all(one.bound_ms is None and one.fits_mib is None for one in estimate(minilm, PC))
    for change in ({"model_type": "squeezebert"}, {"edgewright_pruned": True}, {"hidden_size": None}):
        (minilm.directory / "config.json").write_text(json.dumps({**MINILM, **change}))
        assert all(one.bound_ms is None for one in estimate(minilm, PI4))


def test_an_app_has_no_python(minilm):
    assert "python" not in estimate(minilm, named("pixel-6"))[0].parts_mib


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tokens": 0}, "0 tokens were asked, the model takes 1 to 512"),
        ({"tokens": 513}, "513 tokens were asked, the model takes 1 to 512"),
        ({"threads": 5}, "5 threads were asked, the board has 4 cores"),
        ({"threads": 0}, "0 threads were asked, the board has 4 cores"),
    ],
)
def test_what_cannot_be_estimated_is_said(minilm, given, words):
    with pytest.raises(UsageError, match=words):
        estimate(minilm, PI4, **given)


def test_a_flash_asks_for_the_artifact_that_takes_least(minilm):
    each = [one.sum_mib for one in estimate(minilm, PI4, tokens=512)]
    assert sum(least_memory_mib(minilm).values()) == pytest.approx(min(each))


def test_a_cache_of_keys_and_values_where_a_model_generates():
    llama = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    }
    assert kv_cache_bytes(llama, 1000, bytes_each=2) == 2 * 30 * 3 * 64 * 1000 * 2
    assert kv_cache_bytes(MINILM, 1000) == kv_cache_bytes({}, 1000) == 0


@pytest.mark.parametrize("kinds", [{"layer_types": ["conv", "full_attention"] * 8}, {"full_attn_idxs": [*range(8)]}])
def test_a_short_convolution_keeps_its_last_states_whatever_is_read(kinds):
    sizes = {"hidden_size": 1024, "num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": 8}
    lfm2 = {"architectures": ["Lfm2ForCausalLM"], "model_type": "lfm2", "conv_L_cache": 3, **sizes, **kinds}
    assert kv_cache_bytes(lfm2, 1000) == 2 * 8 * 8 * 64 * 1000 * 4 + 8 * 1024 * 3 * 4
    assert kv_cache_bytes(lfm2, 1000, bytes_each=1) == 2 * 8 * 8 * 64 * 1000 + 8 * 1024 * 3 * 4


@pytest.mark.parametrize(("dtype", "bytes_each"), [("float32", 4), ("float16", 2), ("int8", 1), (None, 4)])
def test_a_cache_takes_what_its_numbers_take(minilm, dtype, bytes_each):
    llama = {"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    given = (TensorSpec("past_key_values.0.key", dtype, (1, 4, "past", 16)),) if dtype else ()
    artifact = replace(minilm.manifest.artifacts[0], inputs=given)
    parts = memory_mib(minilm.manifest, artifact, llama, 1024, engine_of(artifact))
    assert parts["kv_cache"] * 2**20 == 2 * 2 * 64 * 1024 * bytes_each


clusters = st.lists(
    st.builds(
        Cluster,
        core=st.just("a core"),
        count=st.integers(1, 8),
        clock_mhz=st.integers(100, 5000),
        fp32_macs_per_cycle=st.integers(1, 64),
    ),
    min_size=1,
    max_size=3,
).map(tuple)


@given(clusters, st.integers(1, 8))
def test_more_threads_or_wider_instructions_never_raise_a_bound(given_clusters, threads):
    cpu = msgspec.structs.replace(PI4.cpu, clusters=given_clusters)
    pi, wider = (
        msgspec.structs.replace(PI4, cpu=msgspec.structs.replace(cpu, instructions=names))
        for names in (("neon",), ("neon", "fp16", "dotprod", "i8mm"))
    )
    one, more, wide = peaks(pi, threads), peaks(pi, threads + 1), peaks(wider, threads)
    assert one.fp32_gmac_s <= more.fp32_gmac_s
    assert one.int8_gmac_s == pytest.approx(2 * one.fp32_gmac_s)
    assert wide.int8_gmac_s == pytest.approx(8 * wide.fp32_gmac_s)
    assert peaks(wider, threads, half=True).fp32_gmac_s == pytest.approx(2 * wide.fp32_gmac_s)


@given(st.integers(1, 512))
def test_activations_grow_with_the_length(tokens):
    assert activation_bytes(MINILM, tokens) < activation_bytes(MINILM, tokens + 1)


@pytest.mark.parametrize("tokens", [16, 128])
def test_the_work_of_the_bound_is_what_an_emulated_core_was_counted_to_do(tokens):
    """A dot product is 16 int8 products: a Cortex-A76 did at least those of the bound, and few more (the head)."""
    config = json.loads((ROOT / "tools/demo/model/config.json").read_text())
    rows = json.loads((ROOT / "tests/devices/counts.json").read_text())["rows"]
    counted = [row["dot_products"] for row in rows if row["cpu"] == "cortex-a76" and row["tokens"] == tokens]
    layers, _ = encoder_macs(config, tokens)
    assert len(counted) == 2
    assert all(1.0 <= 16 * dots / layers < 1.02 for dots in counted)


def test_every_engine_has_a_footprint_and_the_usual_two_are_measured():
    every = [registry.load("runtimes", name)() for name in registry.names("runtimes")]
    assert {one.engine for one in every if one.footprint.measured} == {"onnxruntime", "litert"}
    assert all(one.footprint.base_mib > 0 and one.footprint.copies >= 1 for one in every)
