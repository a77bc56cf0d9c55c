"""What of the C core writes, built with gcc's sanitizers: its tokens, pieces and refusals are those of Python."""

import random
import sys
from pathlib import Path

import c_writing
import numpy as np
import pytest
import token_texts

from edgewright.exporting.tokenizer_file import tokenizer_file
from edgewright.generation.sampling import Sampler, Sampling

sys.path.insert(0, str(Path(__file__).parents[1] / "generation"))
import test_text_stream as streams

pytestmark = pytest.mark.slow
HOW = (
    {},
    {"temperature": 0.7, "top_k": 5},
    {"temperature": 1.3, "top_p": 0.8},
    {"temperature": 1.0, "min_p": 0.2},
    {"temperature": 0.9, "top_k": 12, "top_p": 0.9, "min_p": 0.05},
    {"temperature": 1.1, "repetition_penalty": 1.7},
    {"repetition_penalty": 0.6, "no_repeat_ngram_size": 2},
    {"temperature": 2.5, "no_repeat_ngram_size": 3},
    {"temperature": 1e-3, "top_k": 1000},
    {"temperature": 1.0, "top_k": 1},
)
SEEDS = (0, 1, 7, 2**32 - 1, 2**32, 2**63 + 11, 2**64 - 1)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return c_writing.compiled(tmp_path_factory.mktemp("program") / "writing", *token_texts.SANITIZED)


def test_tokens_are_drawn_as_python_draws_them(program):
    """Every rule, with seeds of all sizes, on logits of which some are equal and some are impossible."""
    rng = np.random.default_rng(5)
    cases = []
    for at, how in enumerate(HOW * 6):
        words = int(rng.choice([3, 50, 700]))
        logits = rng.normal(scale=3, size=(12, words)).astype(np.float32)
        logits[::3] = np.round(logits[::3])
        logits[1::4, ::5] = -np.inf
        before = [int(one) for one in rng.integers(0, words, int(rng.integers(1, 30)))]
        cases.append(({**how, "seed": SEEDS[at % len(SEEDS)]}, before, logits))
    for (how, before, logits), found in zip(cases, c_writing.sampled(program, cases), strict=True):
        sampler, tokens = Sampler(Sampling(**how)), list(before)
        for row in logits:
            tokens.append(sampler.choose(row, tokens))
        assert found == tokens[len(before) :], how


def test_logits_that_are_no_numbers_choose_nothing(program):
    logits = np.array([[1, np.nan, 2], [np.inf, 0, 0], [-np.inf] * 3, [3, 1, 2]], np.float32)
    found = c_writing.sampled(program, [({}, [0], row[None]) for row in logits])
    assert found == [[-1], [-1], [-1], [0]]


@pytest.mark.parametrize("make", [streams.byte_level, streams.byte_fallback])
def test_any_cut_streamed_is_what_decoding_all_at_once_gives(make, program, tmp_path):
    """Texts cut anywhere, in the middle of characters too, with tokens of chance, after prompts, up to stop strings."""
    tokenizer, chance = make(), random.Random(3)
    file = tmp_path / "tokenizer.bin"
    file.write_bytes(tokenizer_file(tokenizer.to_str()))
    cases = []
    for at in range(400):
        ids = tokenizer.encode(" ".join(chance.sample(streams.TEXT, 2))).ids
        start = chance.randrange(len(ids))
        after, ids = (ids[:start] if at % 3 == 0 else []), ids[start : start + chance.randrange(1, 60)]
        for _ in range(chance.randrange(4)):
            ids.insert(chance.randrange(len(ids) + 1), chance.randrange(tokenizer.get_vocab_size()))
        stops = ("the sea", "é", "a", "\ufffd")[: chance.randrange(5)] if at % 2 else ()
        cases.append((stops, after, ids))
    for (stops, after, ids), (found, stopped) in zip(cases, c_writing.streamed(program, file, cases), strict=True):
        wanted, stream = streams.pieces(tokenizer, ids, stops, after)
        assert (found, stopped) == (wanted, bool(stream.stopped))
        if not stops and not after:
            assert "".join(found) == tokenizer.decode(ids)
