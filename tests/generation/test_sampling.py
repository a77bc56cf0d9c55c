import math

import numpy as np
import pytest

from edgewright.errors import EngineError, UsageError
from edgewright.generation.sampling import Sampler, Sampling

BEFORE = [3, 5, 7, 3, 5, 9, 3, 5]


def logits(seed=0, size=50):
    return np.random.default_rng(seed).normal(scale=3, size=size).astype(np.float32)


def test_greedy_is_the_likeliest_and_the_first_of_equal_ones():
    assert Sampler(Sampling()).choose(np.array([1, 4, 4, 2], np.float32), []) == 1


def test_rules_that_leave_no_token_choose_the_first():
    for temperature in (0.0, 1.0):
        sampler = Sampler(Sampling(temperature=temperature, no_repeat_ngram_size=1, seed=1))
        assert sampler.choose(np.array([1, 2, 3], np.float32), [0, 1, 2]) == 0


def test_so_cold_that_no_number_holds_it_is_greedy():
    for temperature in (5e-324, 1e-31):
        assert Sampler(Sampling(temperature=temperature, seed=0)).choose(logits(), BEFORE) == logits().argmax()


def test_a_seed_gives_the_same_tokens_again():
    def drawn(seed):
        sampler = Sampler(Sampling(temperature=1.5, seed=seed))
        return [sampler.choose(logits(at), BEFORE) for at in range(50)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_tokens_are_drawn_as_often_as_they_are_likely():
    values = logits(size=6)
    wanted = np.exp(values - values.max()) / np.exp(values - values.max()).sum()
    sampler = Sampler(Sampling(temperature=1.0, seed=1))
    counts = np.bincount([sampler.choose(values, []) for _ in range(20_000)], minlength=6) / 20_000
    assert np.abs(counts - wanted).max() < 0.015  # four standard errors of a share of a half


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {"temperature": 0.7, "top_k": 5},
        {"temperature": 1.3, "top_p": 0.8},
        {"temperature": 1.0, "min_p": 0.2},
        {"temperature": 0.9, "top_k": 12, "top_p": 0.9, "min_p": 0.05},
        {"temperature": 1.0, "repetition_penalty": 1.7},
        {"temperature": 1.0, "no_repeat_ngram_size": 3},
        {"temperature": 1.1, "no_repeat_ngram_size": 1, "repetition_penalty": 0.6, "top_k": 20},
    ],
    ids=str,
)
def test_what_may_come_is_what_transformers_leaves(how):
    """Against the processors of `generate`, in their order: the same tokens are left with the same probabilities."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    vocabulary = {"vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(**vocabulary, **tiny))
    given = {"top_k": 0, **how}
    config = GenerationConfig(do_sample=True, num_beams=1, **given)
    model._prepare_special_tokens(config, kwargs_has_attention_mask=True)
    ids = torch.tensor([BEFORE])
    processors = model._get_logits_processor(config, input_ids_seq_length=len(BEFORE), encoder_input_ids=ids)
    for seed in range(20):
        theirs = processors(ids, torch.from_numpy(logits(seed))[None].clone())[0].double().softmax(-1).numpy()
        sampler = Sampler(Sampling(**how))
        tokens, shares = sampler._candidates(sampler._ruled(logits(seed), BEFORE))
        ours = np.zeros(50)
        ours[tokens] = shares / shares.sum()
        assert set(np.flatnonzero(ours)) == set(np.flatnonzero(theirs))
        assert np.abs(ours - theirs).max() < 1e-6


def test_what_generation_config_asks_for():
    assert Sampling.of({}) == Sampling()
    assert Sampling.of({"temperature": 0.6, "top_p": 0.9}) == Sampling()  # transformers ignores them without do_sample
    assert Sampling.of({"do_sample": True, "temperature": 0.6}) == Sampling(temperature=0.6, top_k=50)
    assert Sampling.of({"repetition_penalty": 1.1}) == Sampling(repetition_penalty=1.1)
    assert Sampling.of({"do_sample": True, "top_k": None, "top_p": "x"}) == Sampling(temperature=1.0, top_k=50)


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"repetition_penalty": 0},
        {"no_repeat_ngram_size": -2},
        {"seed": -1},
        {"temperature": "warm"},
        {"top_k": 2.5},
        {"seed": 1.5},
        {"repetition_penalty": 1e308},
        {"repetition_penalty": 1e-50},
    ],
    ids=str,
)
def test_a_value_without_meaning_is_refused_with_its_name(given):
    with pytest.raises(UsageError, match=next(iter(given))):
        Sampling(**given)


def test_logits_that_are_no_numbers_stop_it():
    with pytest.raises(EngineError, match="after 8 tokens are not finite"):
        Sampler(Sampling()).choose(np.array([1, np.nan], np.float32), BEFORE)
