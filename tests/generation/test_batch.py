"""Prompts that share the runs of a model: each has the tokens that it has alone."""

import numpy as np
import pytest
from bigram import Bigram, BigramRows
from test_generator import made
from test_text_stream import byte_level

from edgewright.errors import DataError, EngineError, UsageError
from edgewright.generation.session import CHUNK

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
    assert rows.steps == [2] * 18  # the first token of an answer comes of its prompt, and one alone needs no run of all
    read = [sum(decoder.calls) for decoder in rows.decoders]
    prompt = len(made(words).ids("Once upon a time"))
    assert sum(read) == prompt + 4 + 36 + 9  # each later prompt lay in a cache but for its last token
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


# prompts that come at any time


def begun(generator, batch, prompt, **options):
    """A row that a batch has taken in, of a text or of token ids."""
    ids = generator.ids(prompt) if isinstance(prompt, str) else prompt
    row = generator.row(ids, generator.options(**{"max_new_tokens": 20, **options}))
    batch.begin(row)
    return row


def ended(batch):
    while batch.busy:
        batch.step()


def found(*rows):
    return [("".join(row.pieces), row.answer.written.tokens, row.answer.written.reason) for row in rows]


def test_a_prompt_comes_while_others_are_written_and_each_is_as_alone(words):
    generator = made(words)
    batch = generator.batch(3)
    rows = []
    for at, prompt in enumerate(PROMPTS):
        while not batch.free:
            batch.step()
        rows.append(begun(generator, batch, prompt, seed=at, temperature=0.5 * (at % 3), max_new_tokens=3 + 4 * at))
        for _ in range(at):
            batch.step()
    ended(batch)
    wanted = [
        alone(made(words), [prompt], seed=at, temperature=0.5 * (at % 3), max_new_tokens=3 + 4 * at)[0]
        for at, prompt in enumerate(PROMPTS)
    ]
    assert found(*rows) == wanted


def test_conversations_go_on_where_they_were_and_the_one_that_was_left_first_makes_room(words):
    generator = made(words, context=200)
    batch = generator.batch(3)
    talks = [generator.ids(text) for text in ("Once upon a time", "there was nobody", "caf\u00e9 minded by")]
    for _turn in range(3):
        rows = [begun(generator, batch, talk, max_new_tokens=6) for talk in talks]
        ended(batch)
        lengths = [len(talk) + 5 for talk in talks]  # the last token of an answer is not read
        talks = [[*talk, *row.answer.written.tokens, 3, 4] for talk, row in zip(talks, rows, strict=True)]
    assert [row.answer.written.reused for row in rows] == [length - 8 for length in lengths]
    stranger = begun(generator, batch, [5, 6, 7], max_new_tokens=2)
    ended(batch)
    kept = [begun(generator, batch, talk, max_new_tokens=2) for talk in talks[::-1]]
    ended(batch)
    assert stranger.answer.written.reused == 0
    assert [row.answer.written.reused for row in kept] == [*lengths[:0:-1], 0], "the first one made room"


def test_a_long_prompt_is_read_between_the_tokens_of_others(words):
    generator = made(words, context=3000)
    batch = generator.batch(2)
    short = begun(generator, batch, "Once", max_new_tokens=30)
    batch.step()
    long = begun(generator, batch, "there was " * 400)
    size = len(long.ids)
    assert size > 3 * CHUNK
    steps = 0
    while not long.pieces:
        written = len(short.pieces)
        batch.step()
        assert len(short.pieces) == written + 1
        steps += 1
    assert steps == -(-size // CHUNK)
    ended(batch)
    assert found(short, long) == [
        *alone(made(words, context=3000), ["Once"], max_new_tokens=30),
        *alone(made(words, context=3000), ["there was " * 400], max_new_tokens=20),
    ]


@pytest.mark.parametrize("left", [0, 1, 2])
def test_one_that_nobody_waits_for_ends_and_the_others_do_not(words, left):
    generator = made(words)
    batch = generator.batch(3)
    rows = [begun(generator, batch, prompt) for prompt in PROMPTS[:3]]
    for _ in range(5):
        batch.step()
    rows[left].wanted = lambda: False
    assert batch.step() == [rows[left]]
    assert (rows[left].ended, rows[left].answer.written.reason) == (True, "cancelled")
    late = begun(generator, batch, PROMPTS[4])
    ended(batch)
    others = [*(row for row in rows if row.wanted()), late]
    prompts = [*(prompt for at, prompt in enumerate(PROMPTS[:3]) if at != left), PROMPTS[4]]
    assert found(*others) == alone(made(words), prompts, max_new_tokens=20)


def test_what_goes_wrong_in_a_text_ends_that_one_and_is_not_kept(words):
    generator = made(words)
    batch = generator.batch(3)
    rows = [begun(generator, batch, prompt) for prompt in PROMPTS[:3]]
    batch.step()

    class Panic(BaseException):
        """What a library of Rust raises."""

    def panic(_):
        raise Panic

    rows[0].text.push = panic
    choose = rows[2].answer.choose
    rows[2].answer.choose = lambda logits, before: choose(np.full_like(logits, np.nan), before)
    batch.step()
    assert [type(row.error) for row in rows] == [Panic, type(None), EngineError]
    again = begun(generator, batch, PROMPTS[2])
    ended(batch)
    assert again.answer.written.reused == 0
    assert found(rows[1], again) == alone(made(words), PROMPTS[1:3], max_new_tokens=20)


@pytest.mark.parametrize("what", ["_step", "_swap", "_copy"])
def test_an_engine_that_fails_ends_what_it_was_at_and_goes_on(words, what, monkeypatch):
    generator = made(words)
    batch = generator.batch(3)
    first = [begun(generator, batch, prompt, max_new_tokens=20 + at) for at, prompt in enumerate(PROMPTS[:3])]
    ended(batch)

    def fail(*_):
        raise MemoryError("out of luck")

    with monkeypatch.context() as broken:
        broken.setattr(BigramRows, what, fail)
        # the second one begins in the place that was left first, and the third where the last conversation was
        rows = [begun(generator, batch, prompt) for prompt in ("by", PROMPTS[2], "Once upon a time")]
        rows[1].wanted = lambda: len(rows[1].pieces) < 3
        ended(batch)
    assert any(row.error for row in rows)
    assert all(row.ended for row in (*first, *rows))
    rows = [begun(generator, batch, prompt) for prompt in PROMPTS[:3]]
    ended(batch)
    assert found(*rows) == alone(made(words), PROMPTS[:3], max_new_tokens=20)


def test_a_decoder_with_one_cache_writes_one_after_the_other(words, monkeypatch):
    monkeypatch.setattr(Bigram, "_rows", lambda *_: None)
    generator = made(words)
    list(generator.stream("Once", max_new_tokens=3))
    batch = generator.batch(3)
    assert batch.free == 1
    rows = []
    for prompt in PROMPTS[:3]:
        rows.append(begun(generator, batch, prompt))
        assert batch.free == 0
        ended(batch)
    assert found(*rows) == alone(made(words), PROMPTS[:3], max_new_tokens=20)
    assert (
        "".join(generator.stream(PROMPTS[3], max_new_tokens=9))
        == alone(made(words), PROMPTS[3:4], max_new_tokens=9)[0][0]
    )
