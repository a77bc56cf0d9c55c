import numpy as np
import pytest
from bigram import Bigram, Recurrent
from test_text_stream import byte_level

from edgewright.errors import DataError, SourceError, UsageError
from edgewright.generation.defaults import Defaults
from edgewright.generation.generator import Generator
from edgewright.generation.lookup import drafted
from edgewright.generation.sampling import Sampling
from edgewright.generation.session import CacheSession
from edgewright.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    root = tmp_path_factory.mktemp("words")
    byte_level().save(str(root / "tokenizer.json"))
    return root


@pytest.fixture
def generator(words):
    return made(words)


def made(words, ends=(), context=64, seed=0, kind=Bigram):
    tokenizer = Tokenizer(words, context)
    decoder = kind(tokenizer.largest_id + 1, context, seed)
    return Generator(tokenizer, CacheSession(decoder), Defaults(frozenset(ends), Sampling()), directory=words)


def test_answers_have_the_form_of_transformers_pipeline(generator):
    ((whole,), (alone,)) = (generator("Once", max_new_tokens=5, return_full_text=full) for full in (True, False))
    assert whole["generated_text"] == "Once" + alone["generated_text"]
    several = generator(["Once", "upon"], max_new_tokens=5)
    assert several == [[whole], generator("upon", max_new_tokens=5)]


def test_a_column_or_a_generator_of_prompts_is_as_a_list_of_them(generator):
    listed = generator(["Once", "upon"], max_new_tokens=5)
    assert generator(np.array(["Once", "upon"]), max_new_tokens=5) == listed
    assert generator((each for each in ("Once", "upon")), max_new_tokens=5) == listed
    assert generator(iter(()), max_new_tokens=5) == []
    with pytest.raises(DataError, match="a float is no prompt"):
        generator(np.zeros(2), max_new_tokens=5)


def test_a_stream_is_the_same_text(generator):
    assert (
        "".join(generator.stream("Once", max_new_tokens=20))
        == generator("Once", max_new_tokens=20, return_full_text=False)[0]["generated_text"]
    )
    assert len(generator.last.tokens) == 20
    assert generator.last.reason == "length"


def test_any_of_several_tokens_ends_an_answer(words):
    free = made(words)
    list(free.stream("Once", max_new_tokens=12))
    tokens = free.last.tokens
    ended = made(words, ends=(tokens[6], tokens[9]))
    list(ended.stream("Once", max_new_tokens=12))
    assert ended.last.tokens == tokens[: min(tokens.index(tokens[6]), tokens.index(tokens[9]))]
    assert ended.last.reason == "end"
    list(ended.stream("Once", max_new_tokens=12, ignore_end=True))
    assert ended.last.tokens == tokens


def test_an_answer_that_is_left_early_stays_in_the_cache(generator):
    stream = generator.stream("Once upon", max_new_tokens=30)
    kept = [next(stream), next(stream)]
    stream.close()
    assert kept
    assert generator.last.reason == "cancelled"
    read = len(generator.session.tokens)
    generator.session.decoder.calls.clear()
    list(generator.write([*generator.session.tokens, 3], generator.options(max_new_tokens=1)))
    assert generator.session.decoder.calls == [1]
    assert generator.last.reused == read


def test_the_context_when_it_is_full(words):
    stopped = made(words, context=16)
    list(stopped.stream("Once", max_new_tokens=100))
    assert stopped.last.reason == "context"
    assert stopped.last.prompt_tokens + len(stopped.last.tokens) == 17  # the last one need not be read
    slid = made(words, context=16)
    list(slid.stream("Once", max_new_tokens=100, when_full="slide"))
    assert (slid.last.reason, len(slid.last.tokens)) == ("length", 100)
    assert slid.last.tokens[:8] == stopped.last.tokens[:8]
    with pytest.raises(UsageError, match="100 new ones are more than the context of 16"):
        next(made(words, context=16).stream("Once", max_new_tokens=100, when_full="refuse"))
    with pytest.raises(UsageError, match="the context is 16"):
        next(made(words, context=16).stream("Once upon a time there was a caf\u00e9 by the sea, and nobody minded it"))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("lookup", [1, 3, 8])
def test_guesses_change_no_token(words, lookup, seed):
    """A bigram model soon repeats itself, so that many guesses are right."""
    plain, guessed = (made(words, context=200, seed=seed) for _ in range(2))
    list(plain.stream("Once", max_new_tokens=150))
    list(guessed.stream("Once", max_new_tokens=150, lookup=lookup))
    assert guessed.last.tokens == plain.last.tokens
    assert guessed.session.tokens == plain.session.tokens
    if lookup > 1:
        assert len(guessed.session.decoder.calls) < len(plain.session.decoder.calls)
    ends = (plain.last.tokens[40],)
    for each in (ended := [made(words, ends, 200, seed) for _ in range(2)]):
        list(each.stream("Once", max_new_tokens=150, lookup=lookup if each is ended[0] else 0))
    assert ended[0].last.tokens == ended[1].last.tokens
    assert ended[0].last.reason == ended[1].last.reason == "end"


@pytest.mark.parametrize("seed", range(3))
def test_guesses_and_slides_change_no_token_of_a_decoder_that_cannot_be_cut(words, seed):
    plain, guessed = (made(words, context=200, seed=seed, kind=Recurrent) for _ in range(2))
    list(plain.stream("Once", max_new_tokens=150))
    list(guessed.stream("Once", max_new_tokens=150, lookup=4))
    assert guessed.last.tokens == plain.last.tokens
    assert guessed.session.tokens == plain.session.tokens
    slid = made(words, context=16, seed=seed, kind=Recurrent)
    list(slid.stream("Once", max_new_tokens=60, when_full="slide"))
    read, token = slid.session.tokens, slid.last.tokens[-1]
    assert int(CacheSession(Recurrent(slid.session.decoder.vocabulary, 16, seed)).prompt(read).argmax()) == token


def test_a_guess_is_what_came_after_the_same_tokens_the_last_time():
    assert drafted([1, 2, 3, 4, 9, 1, 2, 3], 2, 9) == [4, 9]
    assert drafted([7, 2, 3, 4, 8, 2, 3, 5, 2, 3], 4, 9) == [5, 2, 3]
    assert drafted([1, 2, 3, 4, 9, 1, 2, 3], 4, 1) == [4]
    assert drafted([1, 2, 3], 4, 9) == []


def test_what_is_no_prompt_and_no_option_is_said(generator):
    for prompt in (None, 3, {"role": "user"}, []):
        with pytest.raises(DataError, match="no prompt"):
            generator(prompt)
    with pytest.raises(UsageError, match="no option is called temprature"):
        generator("Once", temprature=1)
    for options, words in (
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"lookup": -3}, "lookup is -3, it must be a whole number from 0"),
        ({"stop": 5}, "stop is 5, it must be texts"),
        ({"stop": [b"a"]}, r"stop is \[b'a'\], it must be texts"),
        ({"when_full": "go"}, "when_full is 'go', it must be one of stop, slide, refuse"),
    ):
        with pytest.raises(UsageError, match=words):
            generator("Once", **options)
    with pytest.raises(SourceError, match="has no chat template"):
        generator([{"role": "user", "content": "hi"}])
    with pytest.raises(UsageError, match="the prompt has 0 tokens"):
        generator("")
    generator.close()
    with pytest.raises(UsageError, match="closed"):
        generator("Once")
