"""Decoders of every family, tiny and random, beside transformers' own: logits of every position, however it is read."""

from types import SimpleNamespace

import numpy as np
import pytest

from edgewright.errors import DataError, UnsupportedConversion

pytestmark = pytest.mark.slow

SMALL = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}
TURNS = ["sliding_attention", "full_attention", "sliding_attention"]
FAMILIES = {
    "llama": {},
    "llama, wide heads, tied": {"head_dim": 32, "tie_word_embeddings": True},
    "llama, narrow heads, biases": {"num_attention_heads": 8, "attention_bias": True, "mlp_bias": True},
    "llama, scaled angles": {"head_dim": 16, "rope_parameters": LLAMA3},
    "mistral, a window": {"sliding_window": 7, "head_dim": 32},
    "qwen2": {},
    "qwen2, yarn": {"head_dim": 16, "rope_parameters": YARN},
    "qwen2, a window in some layers": {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    "qwen3": {"head_dim": 16},
    "qwen3, narrow heads": {"head_dim": 8},
    "smollm3": {},
    "phi": {"partial_rotary_factor": 0.5, "hidden_act": "gelu_new"},
    "phi3, a window": {"sliding_window": 9},
    "gemma": {"head_dim": 16},
    "gemma3_text, a window in some layers": {"head_dim": 16, "sliding_window": 6, "layer_types": TURNS},
    "gpt2": {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 128},
}


HYBRIDS = {
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"]},
    "lfm2, wide kernels, biases": {
        "full_attn_idxs": [2],
        "conv_bias": True,
        "conv_L_cache": 5,
        "block_multiple_of": 32,
    },
}
"""Families some of whose layers are short convolutions, which ONNX alone has."""


def tiny(name, given):
    """A random model in eval mode, its norms and biases random, too."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    kind = name.split(",")[0]
    common = SMALL if kind != "gpt2" else {key: SMALL[key] for key in ("vocab_size", "bos_token_id", "eos_token_id")}
    config = AutoConfig.for_model(kind, **{**common, **given})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().float()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def opened(model, root, context=128, products=None, change=lambda decoder: decoder, peaks=()):
    from edgewright.converters._decoder.families import read
    from edgewright.converters._onnx.decoder import decoder_model
    from edgewright.converters._onnx.products import Plain
    from edgewright.converters._onnx.storing import save_beside
    from edgewright.runtimes.onnxruntime import OnnxRuntime

    path = root / "model.onnx"
    made = decoder_model(change(read(model, context)), products or Plain(), peaks)
    save_beside({path: made}, root / "model.onnx.data")
    return OnnxRuntime().open_decoder(path, threads=1, context=context)


@pytest.mark.parametrize("name", [*FAMILIES, *HYBRIDS])
def test_logits_are_those_of_transformers_at_every_position(name, tmp_path, monkeypatch):
    """In chunks, then token by token: each has kernels of its own, and windows and angles differ by position."""
    import torch

    from edgewright.runtimes._decoding import growing

    monkeypatch.setattr(growing, "_FIRST_SLOTS", 32)
    model = tiny(name, (FAMILIES | HYBRIDS)[name])
    ids = torch.randint(3, 97, (3, 100))
    with torch.no_grad():
        each = model(ids).logits.numpy()
    wanted, decoder = each[0], opened(model, tmp_path)
    read = [decoder.read(ids[0, :60].numpy(), kept=60).copy(), decoder.read(ids[0, 60:80].numpy(), kept=20).copy()]
    read += [decoder.read([int(token)]).copy() for token in ids[0, 80:]]
    assert np.abs(np.concatenate(read) - wanted).max() < 2e-5 * np.abs(wanted).max()
    held = decoder.held(70)
    assert held == (60 if name in HYBRIDS else 70), "where a reading of several tokens ended, or anywhere"
    decoder.rewind(held)  # and after going back
    again = decoder.read(ids[0, held:].numpy(), kept=100 - held)
    assert np.abs(again - wanted[held:]).max() < 2e-5 * np.abs(wanted).max()
    check_rows(decoder.rows(3), ids.numpy(), each)


def check_rows(rows, ids, wanted, tolerance=2e-5):
    """Texts of several lengths whose tokens are read together, one of which rests, and comes to another's place."""
    lengths = [3, 40, 17]
    for decoder, text, length in zip(rows.decoders, ids, lengths, strict=True):
        decoder.read(text[:length])
    texts = [0, 1, 2]

    def written(count, steps):
        for _ in range(steps):
            given = [ids[text, length] for text, length in zip(texts, lengths, strict=True)]
            for at, row in enumerate(rows.step(given[:count])):
                assert np.abs(row - wanted[texts[at], lengths[at]]).max() < tolerance * np.abs(wanted).max()
                lengths[at] += 1
        assert [decoder.length for decoder in rows.decoders] == lengths

    written(3, 20)
    rows.swap(0, 2)  # the last one moves up, and what was there is kept
    texts, lengths = texts[::-1], lengths[::-1]
    written(2, 15)
    written(3, 3)
    rows.copy(0, 2, lengths[0])
    texts[2], lengths[2] = texts[0], lengths[0]
    written(3, 5)


@pytest.mark.heavy
def test_int4_in_tflite_computes_with_the_very_weights_that_were_rounded(tmp_path):
    """Blocks with scales and shifts in the engine, beside transformers' own model with what they say as its weights."""
    import torch

    from edgewright.converters._decoder.families import read
    from edgewright.converters._decoder.module import linears
    from edgewright.converters._decoder.observe import moments
    from edgewright.converters._tflite.decoder import export_decoder
    from edgewright.converters._tflite.int4 import decoder_on_grids
    from edgewright.converters._tflite.quantize import at_4_bits
    from edgewright.runtimes.litert import Litert

    model = tiny("llama", {"num_hidden_layers": 1, "intermediate_size": 80})
    decoder, ids = read(model, 128), torch.randint(3, 97, (2, 70))
    rounded, shifts = decoder_on_grids(decoder, moments(model, [{"input_ids": ids[:1].numpy()}]).factor)
    with torch.no_grad():
        eager = model(ids[1:]).logits[0].numpy()
        parameters = dict(model.named_parameters())
        for _, linear in linears(rounded.blocks[0]):
            if linear.name in shifts:
                weight = linear.weight + np.repeat(shifts[linear.name], 32, 1)
                parameters[linear.name].copy_(torch.from_numpy(weight))
        wanted = model(ids[1:]).logits[0].numpy()
    assert [name.split(".")[-2] for name in parameters if name.endswith("_proj.weight") and name not in shifts] == [
        "down_proj"
    ], "80 inputs are no whole blocks"
    path = tmp_path / "model.tflite"
    path.write_bytes(at_4_bits(export_decoder(rounded, fine=True, shifts=shifts)))
    engine = Litert().open_decoder(path, threads=1, context=128)
    found = [engine.read(ids[1, :64].numpy(), kept=64).copy(), *(engine.read([int(one)]).copy() for one in ids[1, 64:])]

    def apart(logits):
        return np.sqrt(np.square(logits - wanted).mean() / np.square(wanted).mean())

    assert apart(np.concatenate(found)) < 0.03, "states are rounded, and what has 8 bits"
    assert apart(eager) > 0.09


@pytest.mark.parametrize("name", FAMILIES)
def test_the_torch_module_of_the_parts_is_the_model(name):
    """What the formats that are exported from torch begin with; its cache here is the keys and values so far."""
    import torch
    from torch.nn import functional

    from edgewright.converters._decoder.families import read
    from edgewright.converters._decoder.module import DecoderModule

    class Joined(DecoderModule[tuple[int, int]]):
        def _rows(self, table, where):
            return table[where[0] : where[1]]

        def _attended(self, at, query, key, value, where):
            attention, (first, end) = self.decoder.blocks[at].attention, where
            before = kept.get(at, (key[:, :0], value[:, :0]))
            kept[at] = tuple(torch.cat([a[:, :first], b], 1) for a, b in zip(before, (key, value), strict=True))
            behind = torch.arange(first, end)[:, None] - torch.arange(end)
            seen = (behind >= 0) & (behind < (attention.window or end))
            parts = [part.transpose(1, 2) for part in (query, *kept[at])]
            found = functional.scaled_dot_product_attention(
                *parts, attn_mask=seen, scale=attention.scale, enable_gqa=True
            )
            return found.transpose(1, 2)

    kept = {}
    model = tiny(name, FAMILIES[name])
    ids = torch.randint(3, 97, (1, 100))
    module = Joined(read(model, 128))
    with torch.no_grad():
        wanted = model(ids).logits
        cuts = [(0, 60), (60, 61), (61, 100), (30, 100)]
        found = [module.logits(ids[:, first:end], (first, end)) for first, end in cuts]
    for (first, end), logits in zip(cuts, found, strict=True):
        assert (logits - wanted[:, first:end]).abs().max() < 2e-5 * wanted.abs().max()


def test_what_is_rounded_to_eight_bits_in_two_parts_stays_what_it_was():
    """By the quantizer's own arithmetic: the first part lies on its steps, and the second makes up for it."""
    import torch

    from edgewright.converters._decoder.module import _halves

    def rounded(rows):
        quantized = torch.ops.quantized_decomposed
        scale, zero = quantized.choose_qparams_per_token_asymmetric(rows, torch.int8)
        codes = quantized.quantize_per_token(rows, scale, zero, -128, 127, torch.int8)
        return quantized.dequantize_per_token(codes, scale, zero, -128, 127, torch.int8, torch.float32)

    from torch.ao.quantization.fx import _decomposed  # noqa: F401 - registers the operators

    rows = torch.randn(6, 64, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 2, 64)
    rows[3], rows[4] = 0, rows[4].abs()
    coarse, left = _halves(rows)
    assert torch.equal(coarse + left, rows)
    assert (rounded(coarse) - coarse).abs().max() <= 1e-6 * rows.abs().max()
    error, before = rounded(coarse) + rounded(left) - rows, rounded(rows) - rows
    assert error.abs().max() < before.abs().max() / 100


@pytest.mark.parametrize("name", FAMILIES)
def test_a_lite_interpreter_writes_in_the_caches_that_it_is_given(name, tmp_path):
    import torch

    from edgewright.converters._decoder.families import read
    from edgewright.converters._torchscript.decoder import CachedModule, example, signature, traced
    from edgewright.converters._torchscript.file import save
    from edgewright.runtimes.lite_interpreter import LiteInterpreter

    model = tiny(name, FAMILIES[name])
    ids, parts = torch.randint(3, 97, (1, 100)), read(model, 128)
    about = SimpleNamespace(about={}, precision="fp32")
    save(traced(CachedModule(parts), example(parts)), signature(parts, about), tmp_path / "model.ptl")
    decoder = LiteInterpreter().open_decoder(tmp_path / "model.ptl", threads=1, context=128)
    with torch.no_grad():
        wanted = model(ids).logits[0].numpy()
    tokens = ids[0].numpy()
    found = [decoder.read(tokens[:60], kept=60), decoder.read(tokens[60:61]), decoder.read(tokens[61:], kept=39)]
    assert np.abs(np.concatenate(found) - wanted).max() < 2e-5 * np.abs(wanted).max()
    decoder.rewind(30)
    kept = decoder.keys_and_values()
    again = LiteInterpreter().open_decoder(tmp_path / "model.ptl", threads=1, context=128)
    again.restore(kept, 30)
    assert np.abs(again.read(tokens[30:], kept=70) - wanted[30:]).max() < 2e-5 * np.abs(wanted).max()


def loud(model, times=100.0):
    """Some channels of each norm so many times the others, as in trained models."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ("norm" in name or ".ln_" in name) and name.endswith("weight") and parameter.numel() == 64:
                parameter[::16] *= times
    return model


def seen(model, ids):
    from edgewright.converters._decoder.observe import moments

    return moments(model, [{"input_ids": ids.numpy()}])


@pytest.mark.parametrize("name", [*FAMILIES, *HYBRIDS])
def test_smoothing_changes_no_answer(name, tmp_path):
    import torch

    from edgewright.converters._decoder.smoothing import smoothed

    model = loud(tiny(name, (FAMILIES | HYBRIDS)[name]))
    ids = torch.randint(3, 97, (1, 60))
    with torch.no_grad():
        wanted = model(ids).logits[0].numpy()
    found = seen(model, ids)
    decoder = opened(model, tmp_path, change=lambda decoder: smoothed(decoder, found))
    got = decoder.read(ids[0].numpy(), kept=60)
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["llama, wide heads, tied", "qwen2", "phi", "gemma", "gpt2", "lfm2"])
def test_rows_of_eight_bits_are_near_and_do_not_depend_on_what_is_read_beside_them(name, tmp_path):
    import torch

    from edgewright.converters._decoder.smoothing import smoothed
    from edgewright.converters._onnx.rows import Rows
    from edgewright.statistics.signal import sqnr_db

    model = loud(tiny(name, (FAMILIES | HYBRIDS)[name]), 8.0)
    ids = torch.randint(3, 97, (1, 60))
    with torch.no_grad():
        wanted = model(ids).logits[0].numpy()
    found = seen(model, ids)
    decoder = opened(model, tmp_path, products=Rows(), change=lambda decoder: smoothed(decoder, found))
    got = decoder.read(ids[0].numpy(), kept=60).copy()
    assert sqnr_db(wanted, got - wanted) > 20
    decoder.rewind(0)
    alone = np.concatenate([decoder.read([int(token)]).copy() for token in ids[0]])
    assert sqnr_db(got, alone - got) > 70, "float32 in another order alone"
    plain = opened(model, tmp_path, products=Rows()).read(ids[0].numpy(), kept=60)
    assert sqnr_db(wanted, plain - wanted) < sqnr_db(wanted, got - wanted), "what was not smoothed is worse"


@pytest.mark.parametrize("name", ["llama", "phi", "gemma3_text, a window in some layers", "gpt2", "lfm2"])
def test_a_cache_of_8_bits_holds_what_comes_later_in_a_text(name, tmp_path):
    """Measured on the beginnings of texts: keys are turned on, and what a window has left is forgotten."""
    import torch

    from edgewright.converters._decoder.families import read
    from edgewright.converters._decoder.observe import cache_peaks
    from edgewright.generation.session import CacheSession
    from edgewright.statistics.signal import sqnr_db

    model = tiny(name, (FAMILIES | HYBRIDS)[name])
    ids = torch.randint(3, 97, (3, 100))
    with torch.no_grad():
        each = model(ids).logits.numpy()
    wanted = each[0]
    pieces = [{"input_ids": torch.randint(3, 97, (1, 24)).numpy()} for _ in range(20)]
    peaks = cache_peaks(model, read(model, 128), pieces)
    decoder = opened(model, tmp_path, peaks=peaks)
    at_once = decoder.read(ids[0].numpy(), kept=100).copy()
    assert sqnr_db(wanted, at_once - wanted) > 30
    cached = decoder.keys_and_values()[: -1 if name in HYBRIDS else None]
    assert {array.dtype for array in cached} == {np.dtype(np.int8)}
    assert all((np.abs(array.astype(int)) == 127).mean() < 0.03 for array in cached), "cut off"
    assert {spec.dtype for spec in decoder.inputs if spec.name.startswith("past_key")} == {"int8"}
    decoder.rewind(0)
    alone = np.concatenate([decoder.read([int(token)]).copy() for token in ids[0]])
    assert sqnr_db(at_once, alone - at_once) > 50
    check_rows(decoder.rows(3), ids.numpy(), each, tolerance=0.05)

    session = CacheSession(opened(model, tmp_path))
    session.prompt(ids[0, :20].tolist())
    session.save(tmp_path / "float32")
    with pytest.raises(DataError, match=r"has a cache of another shape: float32 .*, int8 .* is wanted"):
        CacheSession(decoder).resume(tmp_path / "float32")


@pytest.mark.heavy
def test_executorch_at_fp16_computes_what_the_model_does(tmp_path):
    """Products alone are in float16: the squares of a norm are too large for it, and attention has no kernel there."""
    pytest.importorskip("executorch")
    import torch

    from edgewright.bundle.manifest import Settings, TensorSpec
    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._decoder.families import read
    from edgewright.converters._executorch import decoder as decoders
    from edgewright.converters._executorch.lower import lower
    from edgewright.runtimes.executorch import ExecutorchRuntime
    from edgewright.statistics.signal import sqnr_db

    model = tiny("llama", {"attention_bias": True, "num_hidden_layers": 1})
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(500)  # states whose squares float16 has no number for
    ids = torch.randint(3, 97, (1, 24))
    with torch.no_grad():
        wanted = model(ids).logits[0].numpy()
    asked = ("fp16", ("input_ids",), ("logits",), {}, "text-generation", Settings(max_length=128), tmp_path)
    spec = ConversionSpec(*asked)
    inputs = [TensorSpec("input_ids", "int64", (1, "length")), TensorSpec("start", "int64", (1,))]
    program = decoders.program(read(model, 128), spec, None)
    kinds = {str(value.dtype) for value in program.state_dict.values() if value.dim() == 2}
    (tmp_path / "m.pte").write_bytes(lower(program, spec, inputs, decoders.methods(read(model, 128), spec)))
    decoder = ExecutorchRuntime().open_decoder(tmp_path / "m.pte", threads=1, context=128)
    read_so = [decoder.read(ids[0, :20].numpy(), kept=20).copy()]
    read_so += [decoder.read([int(token)]).copy() for token in ids[0, 20:]]
    assert sqnr_db(wanted, np.concatenate(read_so) - wanted) > 45
    assert "torch.float16" in kinds


def test_the_head_reads_a_state_to_twice_eight_bits():
    """All but what the weights lose, which are taken as they were rounded."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    from edgewright.converters._decoder.families import read
    from edgewright.converters._onnx.rows import Rows
    from edgewright.converters._onnx.writer import Writer
    from edgewright.statistics.signal import sqnr_db

    graph = Writer(read(tiny("llama", {}), 64))
    Rows().head(graph, "state", "logits")
    given = helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, "n", 64])
    told = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "n", 97])
    made = helper.make_graph(graph.nodes, "head", [given], [told], list(graph.constants.values()))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    state = np.random.default_rng(0).normal(size=(1, 5, 64)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # as every model is opened where bytes saturate
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"state": state})
    kept = {name: numpy_helper.to_array(value).astype(np.float32) for name, value in graph.constants.items()}
    (codes,), (scales,) = (
        [value for name, value in kept.items() if name.endswith(f".{end}")] for end in ("codes", "scales")
    )
    wanted = state @ (codes * scales)
    assert sqnr_db(wanted, got - wanted) > 75, "eight bits once are some 45 dB"


def test_a_cache_grows_and_is_taken_over_with_what_it_holds(tmp_path):
    import torch

    model = tiny("llama", {"max_position_embeddings": 700})
    ids = torch.randint(3, 97, (600,)).numpy()
    decoder, other = opened(model, tmp_path, 700), opened(model, tmp_path, 700)
    whole = decoder.read(ids)[0].copy()
    for at in range(0, 600, 50):
        stepped = other.read(ids[at : at + 50])[0]
    assert np.abs(stepped - whole).max() < 1e-4 * np.abs(whole).max()
    other.rewind(0)
    decoder.rewind(400)
    other.restore(decoder.keys_and_values(), 400)
    assert np.abs(other.read(ids[400:])[0] - whole).max() < 1e-4 * np.abs(whole).max()


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("gpt_neox", {}, "family 'gpt_neox'"),
        (
            "llama, by length",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "'dynamic'",
        ),
        ("gpt2, scaled", {**FAMILIES["gpt2"], "scale_attn_by_inverse_layer_idx": True}, "scaled by the layer"),
        ("gpt2, strange", {**FAMILIES["gpt2"], "activation_function": "tanh"}, "activation 'tanh'"),
    ],
)
def test_what_is_not_carried_out_is_refused_by_name(name, given, words):
    from edgewright.converters._decoder.families import read

    with pytest.raises(UnsupportedConversion, match=words):
        read(tiny(name, given), 64)


@pytest.mark.parametrize("broken", ["", "chunked", "cached", "resumed"])
def test_the_certificate_of_a_cache_finds_a_state_that_is_not_what_it_was(broken, tmp_path, monkeypatch):
    from edgewright.proof.decoder_limits import DECODER_LIMITS
    from edgewright.proof.decoding_artifact import _ways
    from edgewright.runtimes._decoding.kept_states import KeptStates
    from edgewright.runtimes._decoding.onnx import OnnxDecoder

    model = tiny("lfm2", HYBRIDS["lfm2"])
    prompt = np.random.default_rng(0).integers(3, 97, 60).tolist()
    if broken == "chunked":  # a chunk begins as a text does
        run = OnnxDecoder._run_states
        monkeypatch.setattr(OnnxDecoder, "_run_states", lambda *given: given[1].now.fill(0) or run(*given))
    elif broken:
        monkeypatch.setattr(KeptStates, {"cached": "go_back", "resumed": "take"}[broken], lambda *_: None)
    ways = _ways(opened(model, tmp_path), lambda: opened(model, tmp_path), prompt)
    assert set(ways) == {"chunked", "cached", "resumed"}
    least = DECODER_LIMITS["fp32"].way_db
    assert {way for way, db in ways.items() if db < least} >= {broken} - {""}
    assert broken or min(ways.values()) > least


def test_onnxruntime_genai_carries_the_state_of_a_convolution(tmp_path):
    genai = pytest.importorskip("onnxruntime_genai", reason="it is a client of others, not an engine of ours")
    from edgewright.builder.genai import FILE, genai_config
    from edgewright.generation.session import CacheSession
    from edgewright.proof.decoding_artifact import greedy

    model = tiny("lfm2", HYBRIDS["lfm2"])
    decoder = opened(model, tmp_path)
    ids = [5, 40, 7, 61]
    _, tokens = greedy(CacheSession(decoder), ids, 20)
    artifact = SimpleNamespace(path="model.onnx", inputs=decoder.inputs)
    config = {**model.config.to_dict(), "eos_token_id": 96}  # which is not among them
    (tmp_path / FILE).write_bytes(genai_config(artifact, config, {}))
    asked = genai.GeneratorParams(opened_there := genai.Model(str(tmp_path)))
    asked.set_search_options(max_length=len(ids) + 20, do_sample=False)
    found = genai.Generator(opened_there, asked)
    found.append_tokens(ids)
    while not found.is_done():
        found.generate_next_token()
    assert list(found.get_sequence(0)) == ids + list(tokens)
    assert len(set(tokens)) > 3


@pytest.mark.parametrize(("kind", "bits"), [("Q8_0", 8), ("Q4_1", 4)])
def test_a_gguf_of_lfm2_is_carried_code_by_code(kind, bits, tmp_path):
    import torch
    from gguf_file import gguf_file
    from transformers import AutoModelForCausalLM

    from edgewright.converters._decoder.families import read
    from edgewright.converters._decoder.gguf import read_grids, unpack
    from edgewright.converters._onnx.carried import Carried, carries
    from edgewright.converters._onnx.decoder_maker import _weights
    from edgewright.converters._onnx.products import Plain
    from edgewright.statistics.signal import sqnr_db

    assert unpack(gguf_file(tmp_path / "m.gguf", kind, "lfm2"), tmp_path) == kind
    model, grids = AutoModelForCausalLM.from_pretrained(tmp_path).eval().float(), read_grids(tmp_path)
    assert model.config.layer_types == ["conv", "full_attention"]
    assert carries(grids, _weights(read(model, 128)), bits)
    ids = torch.randint(3, 97, (1, 60))
    with torch.no_grad():
        wanted = model(ids).logits[0].numpy()
    got = opened(model, tmp_path, products=Carried(grids, Plain())).read(ids[0].numpy(), kept=60)
    assert sqnr_db(wanted, got - wanted) > 25, "the activations alone are rounded; a wrong code would be below 10"


def test_formats_whose_caches_hold_keys_and_values_refuse_a_convolution():
    from edgewright.builder.support import gap
    from edgewright.converters._decoder.families import read
    from edgewright.converters._torchscript.decoder import CachedModule

    with pytest.raises(UnsupportedConversion, match=r"a short convolution, whose state .* no place for; --format onnx"):
        CachedModule(read(tiny("lfm2", HYBRIDS["lfm2"]), 64))
    for name in ("tflite", "executorch", "torchscript"):
        assert gap(name, "int8", model_type="lfm2", task="text-generation").instead == "--format onnx"
    assert gap("onnx", "int8", model_type="lfm2", task="text-generation") is None


def test_tied_tables_lie_in_the_file_once(tmp_path):
    from edgewright.converters._decoder.families import read
    from edgewright.converters._onnx.decoder import decoder_model
    from edgewright.converters._onnx.products import Blocks, Plain, nearest_int8
    from edgewright.converters._onnx.rows import Rows
    from edgewright.converters._onnx.storing import save_beside

    model = tiny("llama", {"tie_word_embeddings": True, "vocab_size": 3000})
    parts, table = read(model, 64), 3000 * 64
    apart = read(tiny("llama", {"vocab_size": 3000}), 64)
    blocks = Blocks(8, 32, lambda one, block: nearest_int8(one.weight, block))
    for products, bytes_each in ((Plain, 4), (lambda: blocks, 1), (Rows, 1)):
        sizes = []
        for decoder in (parts, apart):
            save_beside({tmp_path / "m.onnx": decoder_model(decoder, products())}, tmp_path / "m.onnx.data")
            sizes.append((tmp_path / "m.onnx.data").stat().st_size)
        assert sizes[1] - sizes[0] >= table * bytes_each * 0.99
