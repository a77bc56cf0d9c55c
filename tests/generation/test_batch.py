"""Prompts that share the runs of a model: each has the tokens that it has alone."""

import pytest
from bigram import BigramRows
from test_generator import made
from test_text_stream import byte_level

from edgewright.errors import DataError, EngineError, UsageError

PROMPTS = ["Once", "upon a time", "there was", "a caf\u00e9", "Once upon", "a", "nobody", "Once upon a time"]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    root = tmp_path_factory.mktemp("words")
    byte_level().save(str(root / "tokenizer.json"))
    return root


def alone(generator, prompts, **options):
    found = []
    for prompt in prompts:
        text = "".join(generator.stream(prompt, **options))
        found.append((text, generator.last.tokens, generator.last.reason))
    return found


def together(generator, prompts, **options):
    return [
        (text, generator.last.tokens, generator.last.reason) for text in generator.answers(iter(prompts), **options)
    ]


@pytest.mark.parametrize("size", [3, 20])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.8, "seed": 5, "top_p": 0.9},
        {"temperature": 1.2, "seed": 0, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
        {"regex": "[a-c ]{4,9}"},
        {"when_full": "slide", "max_new_tokens": 90},
        {"lookup": 4},
    ],
)
def test_each_has_the_tokens_that_it_has_alone(words, size, options):
    given = {"max_new_tokens": 30, **options}
    if "regex" in options:
        pytest.importorskip(
            "llguidance", reason="it knows which tokens may come: pip install 'edgewright[constrained]'"
        )
    free = alone(made(words, context=64), PROMPTS, **given)
    assert together(made(words, context=64), PROMPTS, batch_size=size, **given) == free
    # Some end early: by a token of their own, and by a text
    tokens = [tokens for _, tokens, _ in free]
    ends = (tokens[0][3], tokens[2][-2])
    given["stop"] = free[1][0][3:6]
    wanted = alone(made(words, ends, context=64), PROMPTS, **given)
    assert together(made(words, ends, context=64), PROMPTS, batch_size=size, **given) == wanted
    assert len({len(tokens) for _, tokens, _ in wanted}) > 2


def test_one_prompt_is_not_several(words):
    """Of a text each character would be one."""
    for given in ("Once", {"role": "user"}, None):
        with pytest.raises(DataError, match="is not several prompts"):
            list(made(words).answers(given))


def test_the_form_is_that_of_the_same_call_without_a_batch(words):
    generator = made(words)
    assert generator(PROMPTS, max_new_tokens=9, batch_size=3) == generator(PROMPTS, max_new_tokens=9)
    with pytest.raises(UsageError, match="batch_size is 0, it must be a whole number from 1"):
        generator(PROMPTS, batch_size=0)
    with pytest.raises(UsageError, match="batch_size is 2000, at most 64"):
        generator(PROMPTS, batch_size=2000)
    generator.close()
    with pytest.raises(UsageError, match="closed"):
        generator(PROMPTS, batch_size=3)


class Watched(BigramRows):
    """Says what it was asked for, and is the last that was made."""

    def __init__(self, *given):
        super().__init__(*given)
        Watched.last, self.copied = self, []

    def _copy(self, source, target, length):
        self.copied.append(length)
        super()._copy(source, target, length)


def test_a_run_reads_a_token_of_each_and_a_beginning_once(words, monkeypatch):
    monkeypatch.setattr("bigram.BigramRows", Watched)
    together(made(words), ["Once upon a time"] * 5, batch_size=2, max_new_tokens=10)
    rows = Watched.last
    assert rows.steps == [2] * 18 + [1] * 9  # the first token of an answer comes of its prompt
    read = [sum(decoder.calls) for decoder in rows.decoders]
    prompt = len(made(words).ids("Once upon a time"))
    assert sum(read) == prompt + 4 + sum(rows.steps)  # each later prompt lay in a cache but for its last token
    assert rows.copied == [prompt]


def test_what_lay_in_a_cache_is_told_of_each_answer(words):
    generator = made(words)
    prompts = ["Once upon a time"] * 3
    reused = [generator.last.reused for _ in generator.answers(prompts, batch_size=2, max_new_tokens=4)]
    assert reused == [0, *[len(generator.ids(prompts[0])) - 1] * 2]


def test_what_is_wrong_is_said_where_its_answer_would_come(words):
    long = "there was a caf\u00e9 by the sea, and nobody minded it " * 3
    generator = made(words)
    for wrong, error, match in ((long, UsageError, "the context is 64"), (7, DataError, "no prompt")):
        given, prompts = [], iter(["Once", "a", wrong, "upon"])
        with pytest.raises(error, match=match):  # noqa: PT012 - what came before it counts
            for text in generator.answers(prompts, batch_size=3, max_new_tokens=20):
                given.append(text)  # noqa: PERF402
        assert list(prompts) == ["upon"], "no prompt is begun behind one that is wrong"
        assert given == [text for text, _, _ in alone(made(words), ["Once", "a"], max_new_tokens=20)]


def test_an_answer_that_is_left_early_leaves_the_session_alone(words):
    generator = made(words)
    list(generator.stream("Once", max_new_tokens=5))
    kept = list(generator.session.tokens)
    answers = generator.answers(PROMPTS, batch_size=3, max_new_tokens=20)
    next(answers)
    answers.close()
    assert generator.session.tokens == kept


def test_a_batch_that_the_memory_does_not_hold_is_an_error(words, monkeypatch):
    def none(*_):
        raise MemoryError

    monkeypatch.setattr("bigram.Bigram._rows", none)
    with pytest.raises(EngineError, match="there is no room for 3 texts"):
        made(words)(PROMPTS, batch_size=3)


def test_an_artifact_of_one_text_answers_one_after_the_other_and_says_so(words, monkeypatch, caplog):
    monkeypatch.setattr("bigram.Bigram._rows", lambda *_: None)
    wanted = alone(made(words), PROMPTS, max_new_tokens=9)
    assert together(made(words), PROMPTS, max_new_tokens=9, batch_size=3) == wanted
    assert caplog.messages == ["this artifact reads one text at a time: the prompts are answered one after the other"]
