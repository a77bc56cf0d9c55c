"""Training from nothing for real, on tiny models: beside a plain loop, killed and resumed, and told what goes wrong."""

import json
import math
import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lighter import first
from safetensors.numpy import load_file

from edgewright.errors import DataError, StorageError, UsageError
from edgewright.training import DecoderShape, PretrainingRecipe, pretrain

pytestmark = pytest.mark.slow

WORDS = (Path(__file__).parents[1] / "story.txt").read_text().split()
LLAMA = DecoderShape(vocabulary=280, width=32, layers=2, heads=4, kv_heads=2, feed_forward=64, context=32)
GPT2 = DecoderShape(family="gpt2", vocabulary=280, width=32, layers=2, heads=4, feed_forward=128, context=32)
QUICK = PretrainingRecipe(
    tokens=32 * 4 * 24, batch=4, learning_rate=3e-3, warmup=0.1, validation=0.1, evaluations=4, threads=1,
    precision="fp32",
)  # fmt: skip


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    rng = random.Random(1)
    path = tmp_path_factory.mktemp("text") / "stories.txt"
    path.write_text("<|endoftext|>".join(" ".join(rng.choices(WORDS, k=40)) for _ in range(120)))
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    return pretrain(text, out, shape=LLAMA, recipe=QUICK, token_files=out.parent / "tokens")


def weights(folder):
    return {name: array.tobytes() for name, array in load_file(folder / "model.safetensors").items()}


def record(folder):
    return json.loads((folder / "training/pretraining.json").read_text())


def at(step, do):
    def say(phrase):
        if phrase.startswith(f"step {step} of") and "validation loss" not in phrase:
            do()

    return say


def kill():
    raise Killed


def test_it_learns_and_says_how(trained, text):
    told = record(trained.directory)
    assert [step for step, _ in told["validations"]] == [0, 6, 12, 18, 24]
    assert told["validations"][0][1] == pytest.approx(math.log(280), rel=0.05)
    assert trained.loss == min(loss for step, loss in told["validations"] if step) < told["validations"][0][1] - 0.5
    assert trained.parameters == LLAMA.parameters
    assert (trained.steps, trained.tokens) == (24, 32 * 4 * 24)
    per_byte = trained.validation_tokens / (len(text.read_bytes()) * 0.1)
    assert trained.bits_per_byte == pytest.approx(trained.loss / math.log(2) * per_byte, rel=0.5)
    assert trained.perplexity == math.exp(trained.loss)
    page = (trained.directory / "training/curves.html").read_text()
    assert "<svg" in page
    assert "validation" in page
    assert not trained.directory.with_name("model-training").exists()


def test_transformers_opens_what_it_leaves(trained):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(trained.directory)
    words = AutoTokenizer.from_pretrained(trained.directory)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.config.tie_word_embeddings
    assert "lm_head.weight" not in load_file(trained.directory / "model.safetensors")
    assert model.config.eos_token_id == words.eos_token_id == 0
    assert words.model_max_length == model.config.max_position_embeddings == 32
    with torch.no_grad():
        assert torch.isfinite(model(**words("the captain", return_tensors="pt")).logits).all()


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_run_that_was_killed_ends_with_the_same_bits(text, tmp_path, dropout):
    recipe = replace(QUICK, dropout=dropout, accumulation=2, tokens=32 * 8 * 12)
    whole = pretrain(text, tmp_path / "whole", shape=LLAMA, recipe=recipe)
    for step in (2, 5, 11):
        with pytest.raises(Killed):
            pretrain(text, tmp_path / "m", shape=LLAMA, recipe=recipe, resume=step > 2, progress=at(step, kill))
        assert not (tmp_path / "m").exists()
    with pytest.raises(StorageError, match="unfinished run; give --resume"):
        pretrain(text, tmp_path / "m", shape=LLAMA, recipe=recipe)
    with pytest.raises(StorageError, match=r"learning_rate was 0.003, now 0.1"):
        pretrain(text, tmp_path / "m", shape=LLAMA, recipe=replace(recipe, learning_rate=0.1), resume=True)
    resumed = pretrain(text, tmp_path / "m", shape=LLAMA, recipe=recipe, resume=True)
    assert weights(resumed.directory) == weights(whole.directory)
    for what in ("losses", "validations", "samples"):
        assert record(resumed.directory)[what] == record(whole.directory)[what]


def plain_gpt(model):
    """GPT-2 as nanoGPT writes it: one function of the weights, which are the model's own, copied."""
    import torch
    from torch.nn import functional

    weight = {name: one.detach().clone().requires_grad_() for name, one in model.named_parameters()}

    def norm(x, name):
        return functional.layer_norm(x, (32,), weight[f"{name}.weight"], weight[f"{name}.bias"])

    def linear(x, name):
        return x @ weight[f"{name}.weight"] + weight[f"{name}.bias"]

    def forward(ids, targets):
        x = weight["transformer.wte.weight"][ids] + weight["transformer.wpe.weight"][: ids.shape[1]]
        for layer in ("transformer.h.0", "transformer.h.1"):
            parts = linear(norm(x, f"{layer}.ln_1"), f"{layer}.attn.c_attn").split(32, dim=2)
            q, k, v = (one.view(*one.shape[:2], 4, 8).transpose(1, 2) for one in parts)
            scores = (q @ k.transpose(2, 3)) / math.sqrt(8)
            scores = scores.masked_fill(~torch.ones(ids.shape[1], ids.shape[1]).tril().bool(), -math.inf)
            x = x + linear((scores.softmax(-1) @ v).transpose(1, 2).flatten(2), f"{layer}.attn.c_proj")
            inner = functional.gelu(linear(norm(x, f"{layer}.ln_2"), f"{layer}.mlp.c_fc"), approximate="tanh")
            x = x + linear(inner, f"{layer}.mlp.c_proj")
        logits = norm(x, "transformer.ln_f") @ weight["transformer.wte.weight"].T
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return weight, forward


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_plain_loop_comes_to_the_same_losses(text, tmp_path, accumulation, monkeypatch):
    """Of the same weights and the same batches; AdamW is written out after its paper, algorithm 2."""
    import torch

    from edgewright.training import _pretraining

    starts = []
    real = _pretraining.Pretraining.run
    monkeypatch.setattr(
        _pretraining.Pretraining, "run", lambda run: starts.append((plain_gpt(run.model), run)) or real(run)
    )
    recipe = replace(QUICK, tokens=32 * 4 * accumulation * 12, accumulation=accumulation)
    ours = pretrain(text, tmp_path / "model", shape=GPT2, recipe=recipe, token_files=tmp_path / "tokens")
    ((weight, forward), run) = starts[0]
    first = {name: torch.zeros_like(one) for name, one in weight.items()}
    second = {name: torch.zeros_like(one) for name, one in weight.items()}
    theirs = []
    for step in range(12):
        rate = 3e-3 * (step + 1) if step < 1 else 3e-3 * (0.1 + 0.45 * (1 + math.cos(math.pi * (step - 1) / 11)))
        rows = run.batches.rows(step * 4 * accumulation, 4 * accumulation)
        loss = forward(rows[:, :-1], rows[:, 1:])
        grads = dict(zip(weight, torch.autograd.grad(loss, weight.values()), strict=True))
        norm = torch.sqrt(sum((grad**2).sum() for grad in grads.values()))
        theirs.append(float(loss.detach()))
        with torch.no_grad():
            for name, one in weight.items():
                grad = grads[name] / max(1.0, float(norm))
                first[name].mul_(0.9).add_(0.1 * grad)
                second[name].mul_(0.95).add_(0.05 * grad**2)
                root = (second[name] / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8
                decay = 0.1 if one.dim() > 1 else 0.0
                one.sub_(rate * (first[name] / (1 - 0.9 ** (step + 1)) / root + decay * one))
    found = [loss for _, loss, _ in record(ours.directory)["losses"]]
    assert found == pytest.approx(theirs, rel=0.01)
    assert theirs[-1] < theirs[0] - 0.3


def test_rows_are_all_tokens_once_a_pass_in_an_order_of_the_seed(trained):
    from edgewright.training._pretraining import Batches
    from edgewright.training.token_files import TokenFiles

    files = TokenFiles(trained.directory.parent / "tokens")
    batches, other = Batches(files, 32, 0), Batches(files, 32, 1)
    (shard,) = files.shards("train")
    stream = files.read(shard, 0, shard.tokens)
    places = {stream[at : at + 33].tobytes(): at for at in range(len(stream))}
    for epoch in (0, 1):
        rows = batches.rows(epoch * len(batches), len(batches)).numpy()
        starts = sorted(places[row.tobytes()] for row in rows)
        assert (np.diff(starts) == 32).all()
        assert len(rows) >= shard.tokens // 32 - 2
    assert not (batches.rows(0, 8) == batches.rows(len(batches), 8)).all()
    assert not (batches.rows(0, 8) == other.rows(0, 8)).all()
    assert (batches.rows(5, 1) == batches.rows(0, 8)[5]).all()


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_what_was_good(text, tmp_path):
    from transformers import AutoModelForCausalLM

    recipe = replace(QUICK, learning_rate=1e18, clip=1e18, warmup=1.0, evaluations=24)
    with pytest.raises(
        DataError, match=r"(the loss|the norm of the gradients) is (nan|inf) at step \d+ of 24"
    ) as caught:
        pretrain(text, tmp_path / "model", shape=LLAMA, recipe=recipe)
    assert "lower the learning rate" in caught.value.hint
    assert not (tmp_path / "model").exists()
    good = tmp_path / "model-training/best"
    if good.exists():
        assert AutoModelForCausalLM.from_pretrained(good).config.vocab_size == 280


def test_a_shard_that_is_cut_meanwhile_ends_the_run_and_keeps_its_state(text, tmp_path):
    shard = tmp_path / "tokens/train-00000.bin"
    data = []

    def cut():
        data.append(shard.read_bytes())
        os.truncate(shard, 64)

    with pytest.raises(DataError, match=r"train-00000.bin has 64 bytes, \d+ were there at the start; make the token"):
        pretrain(text, tmp_path / "m", shape=LLAMA, recipe=QUICK, token_files=shard.parent, progress=at(8, cut))
    with pytest.raises(DataError, match=r"train-00000.bin has 64 bytes, its manifest says"):
        pretrain(text, tmp_path / "m", shape=LLAMA, recipe=QUICK, token_files=shard.parent, resume=True)
    shard.write_bytes(data[0])
    assert pretrain(text, tmp_path / "m", shape=LLAMA, recipe=QUICK, token_files=shard.parent, resume=True).steps == 24


def test_a_full_disk_is_said_in_a_line(text, small_disk, tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*; free some space"):
        pretrain(text, small_disk / "m", shape=LLAMA, recipe=QUICK, token_files=tmp_path / "tokens")


def test_a_state_that_is_damaged_is_said(text, tmp_path):
    with pytest.raises(Killed):
        pretrain(text, tmp_path / "m", shape=LLAMA, recipe=QUICK, progress=at(8, kill))
    os.truncate(tmp_path / "m-training/state.pt", 1000)
    with pytest.raises(StorageError, match=r"state.pt cannot be read: .*; remove .*m-training, and begin anew"):
        pretrain(text, tmp_path / "m", shape=LLAMA, recipe=QUICK, resume=True)


def test_text_that_is_too_short_is_said(text, tmp_path):
    shape = replace(LLAMA, context=4096)
    with pytest.raises(DataError, match=r"tokens of validation do not fill a row of 4096"):
        pretrain(text, tmp_path / "m", shape=shape, recipe=QUICK)
    with pytest.raises(DataError, match=r"tokens do not fill a row of 65536; give more text, or lower --context"):
        pretrain(text, tmp_path / "n", shape=replace(LLAMA, context=65536), recipe=QUICK)
    with pytest.raises(UsageError, match="the prompt has"):
        pretrain(text, tmp_path / "o", shape=LLAMA, recipe=QUICK, prompt="captain " * 40)


def test_the_ways_to_save_memory_change_no_loss(text, trained, tmp_path):
    recipe = replace(QUICK, checkpointing=True, tokens=32 * 4 * 4)
    saved = pretrain(text, tmp_path / "m", shape=LLAMA, recipe=recipe, token_files=trained.directory.parent / "tokens")
    found = [loss for _, loss, _ in record(saved.directory)["losses"]]
    assert found[0] == pytest.approx(record(trained.directory)["losses"][0][1], rel=1e-6)


@pytest.mark.parametrize("precision", first(1, ["fp16", "bf16"]))
def test_half_precision_learns_and_leaves_float32(text, trained, tmp_path, precision):
    half = pretrain(text, tmp_path / "m", shape=LLAMA, recipe=replace(QUICK, precision=precision))
    assert half.loss == pytest.approx(trained.loss, rel=0.03)
    assert {array.dtype for array in load_file(half.directory / "model.safetensors").values()} == {np.dtype("float32")}


def test_a_teacher_is_learnt_from(text, trained, tmp_path):
    """With all weight on it, a student comes nearer to its teacher's probabilities than one of the text alone."""
    import torch
    from transformers import AutoModelForCausalLM

    small = replace(LLAMA, layers=1)
    with pytest.raises(UsageError, match="another tokenizer than that of"):
        pretrain(text, tmp_path / "x", shape=small, teacher=trained.directory, tokenizer=_other(tmp_path))
    alone = pretrain(text, tmp_path / "alone", shape=small, recipe=QUICK, tokenizer=trained.directory)
    taught = pretrain(text, tmp_path / "taught", shape=small, recipe=QUICK, teacher=trained.directory, alpha=0.0)
    models = [AutoModelForCausalLM.from_pretrained(one.directory).eval() for one in (trained, alone, taught)]
    ids = torch.arange(2, 34)[None]
    with torch.no_grad():
        sides = [model(ids).logits.log_softmax(-1) for model in models]
    far = [float(torch.nn.functional.kl_div(side, sides[0], log_target=True, reduction="sum")) for side in sides[1:]]
    assert far[1] < far[0]


def _other(folder):
    from edgewright.data.text_documents import Documents
    from edgewright.training.decoder_tokenizer import train_decoder_tokenizer

    (folder / "words.txt").write_text("some other words are here " * 9)
    train_decoder_tokenizer(Documents.of([folder / "words.txt"]), folder / "t", kind="bpe", size=260, max_length=8)
    return folder / "t"


@pytest.mark.parametrize(
    ("has", "found"), [({"avx512_bf16": True}, "bf16"), ({"avx512_f": True}, "fp32"), ({}, "fp32")]
)
def test_the_products_are_of_bf16_where_the_cpu_has_them(monkeypatch, has, found):
    import torch

    from edgewright.training.pretraining import _resolved

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert _resolved(replace(QUICK, precision="auto")).precision == found
    assert _resolved(replace(QUICK, precision="fp16")).precision == "fp16"


@pytest.mark.heavy
def test_bf16_learns_what_fp32_does(text, trained, tmp_path):
    """On any CPU: where none of its instructions multiplies bf16, torch does it in float32 and rounds."""
    out = tmp_path / "model"
    half = pretrain(text, out, shape=LLAMA, recipe=replace(QUICK, precision="bf16"), token_files=tmp_path / "tokens")
    assert half.loss == pytest.approx(trained.loss, rel=0.01)
    assert {array.dtype for array in load_file(out / "model.safetensors").values()} == {np.dtype("float32")}
