"""The verdict on a decoder: each limit, broken alone, is the one that is named."""

import math

import pytest
from msgspec.structs import replace

from edgewright.errors import GateFailed
from edgewright.model.decoding import ArtifactAnswer, EagerAnswer, Texts
from edgewright.proof.decoder_limits import DECODER_LIMITS
from edgewright.proof.decoding import _decoding, broken

TEXTS = Texts(taught=((1, 2, 3),), prompts=((1,), (2,)), written=3)
EAGER = EagerAnswer(
    parameters=1, greedy=((4, 5, 6), (7, 8, 9)), margins=((1.0,) * 3, (1.0, 1e-6, 1.0)), words=(), chat=(), library=""
)
GOOD = ArtifactAnswer(
    inputs=(),
    outputs=(),
    tokens=2,
    nll=2.0,
    eager_nll=2.0,
    kl=0.0,
    top1=1.0,
    max_abs=0.0,
    mean_abs=0.0,
    sqnr_db=120.0,
    cosine=1.0,
    worst_text=0,
    rms=1.0,
    greedy=EAGER.greedy,
    ways={"cached": 120.0, "chunked": 120.0, "resumed": 120.0},
    samples=(),
    golden=(),
)


def verdict(precision="fp32", **changed):
    answer = replace(GOOD, **changed)
    return broken(answer, _decoding(answer, EAGER, TEXTS), DECODER_LIMITS[precision])


@pytest.mark.parametrize("precision", DECODER_LIMITS)
def test_what_is_right_passes(precision):
    assert verdict(precision) is None


@pytest.mark.parametrize("precision", DECODER_LIMITS)
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"nll": 2.2}, "perplexity is"),
        ({"nll": math.nan}, "perplexity is nan"),
        ({"kl": 0.5}, "divergence from the eager model in nats is 0.5"),
        ({"kl": math.nan}, "divergence from the eager model in nats is nan"),
        ({"top1": 0.5}, "share of equal successors is 0.5"),
        ({"ways": {"cached": 120.0, "chunked": 3.0}}, "with a cache that was chunked is 3"),
    ],
)
def test_a_broken_limit_is_named_with_both_numbers(precision, changed, words):
    found = verdict(precision, **changed)
    assert found.startswith(words) or words in found
    assert " is wanted" in found


def test_at_fp32_another_token_fails_unless_two_were_tied():
    words = "1 of 2 prompts are continued otherwise than by the eager model, first at token 1 with a margin of 1"
    assert verdict(greedy=((4, 0, 0), (7, 8, 9))) == words
    assert verdict(greedy=((4, 5, 6), (7, 0, 0))) is None
    assert verdict("int8", greedy=((4, 0, 0), (7, 8, 9))) is None


@pytest.mark.parametrize("greedy", [((4, 5), (7, 8, 9)), ((4, 5, 6, 7), (7, 8, 9)), ((), (7, 8, 9))])
def test_fewer_or_more_tokens_than_the_eager_models_are_none_of_them(greedy):
    with pytest.raises(GateFailed, match="after a prompt, the eager model 3"):
        verdict(greedy=greedy)
