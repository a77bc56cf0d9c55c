"""What of the C core writes, built with gcc's sanitizers: its tokens, pieces and refusals are those of Python."""

import itertools
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import c_programs
import c_writers
import numpy as np
import pytest
import test_chat_form as forms
from tokenizers import Tokenizer, decoders, models

import edgewright
from edgewright.bundle.bundle import Bundle
from edgewright.errors import DataError
from edgewright.exporting.c import export_c
from edgewright.exporting.chat_form import chat_form
from edgewright.exporting.tokenizer_file import tokenizer_file
from edgewright.generation.chat_template import ChatTemplate
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
    {"temperature": 1e-310, "top_k": 7},
    {"temperature": 1.0, "top_k": 1},
    {"temperature": 1.0, "no_repeat_ngram_size": 1},
)
CHAT = [
    {"role": "user", "content": "the road <s> and </s> the <unk>"},
    {"role": "assistant", "content": 'an "answer"\\\n\t\u0001é😀'},
    {"role": "user", "content": ""},
]
PROMPTS = ["the road", "", "the road and the rain", "é 😀\n<s>", "then " * 60]
"""The third begins as the first, so that some of it is in the cache."""
SEEDS = (0, 1, 7, 2**32 - 1, 2**32, 2**63 + 11, 2**64 - 1)


@pytest.fixture(scope="module")
def program(writing_program):
    return writing_program


@pytest.fixture(scope="module")
def project(talking, tmp_path_factory):
    out = tmp_path_factory.mktemp("writer") / "c"
    export_c(talking, out=out)
    return out


@pytest.fixture(autouse=True)
def _what_the_engine_leaves_behind_is_not_looked_for(monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")


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
    for (how, before, logits), found in zip(cases, c_writers.sampled(program, cases), strict=True):
        sampler, tokens = Sampler(Sampling(**how)), list(before)
        for row in logits:
            tokens.append(sampler.choose(row, tokens))
        assert found == tokens[len(before) :], how


def test_logits_that_are_no_numbers_choose_nothing(program):
    logits = np.array([[1, np.nan, 2], [np.inf, 0, 0], [-np.inf] * 3, [3, 1, 2]], np.float32)
    found = c_writers.sampled(program, [({}, [0], row[None]) for row in logits])
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
    for (stops, after, ids), (found, stopped) in zip(cases, c_writers.streamed(program, file, cases), strict=True):
        wanted, stream = streams.pieces(tokenizer, ids, stops, after)
        assert (found, stopped) == (wanted, bool(stream.stopped))
        if not stops and not after:
            assert "".join(found) == tokenizer.decode(ids)


def test_a_first_token_of_several_words_is_read_as_the_library_reads_it(program, tmp_path):
    tokenizer = Tokenizer(
        models.Unigram([("<unk>", 0.0), ("\u2581of\u2581the", -1.0), ("\u2581x", -2.0), ("x", -3.0)], 0)
    )
    tokenizer.decoder = decoders.Metaspace()
    file = tmp_path / "tokenizer.bin"
    file.write_bytes(tokenizer_file(tokenizer.to_str()))
    every = [[1], [1, 2], [2, 1], [1, 1], [3, 1], [1, 3]]
    for ids, (found, _) in zip(every, c_writers.streamed(program, file, [((), [], ids) for ids in every]), strict=True):
        assert found == streams.pieces(tokenizer, ids, (), [])[0]
    assert tokenizer.decode([1, 2]) == "ofthe x"


@pytest.mark.parametrize(
    "settings",
    [
        {"max_new_tokens": 40},
        {"max_new_tokens": 40, "temperature": 1.0, "seed": 3, "top_k": 40, "top_p": 0.95},
        {"max_new_tokens": 40, "temperature": 0.8, "seed": 2**40, "repetition_penalty": 1.2, "no_repeat_ngram_size": 3},
        {"max_new_tokens": 40, "stop": ["th", "in o"], "ignore_end": True},
        {"max_new_tokens": 700, "ignore_end": True},
        {"max_new_tokens": 700, "ignore_end": True, "when_full": "slide"},
    ],
    ids=str,
)
def test_answers_are_those_of_python(talking, project, program, settings):
    """Tokens, pieces, why it ended, and how much of each prompt was in the cache, of prompts and of conversations."""
    asked = [*PROMPTS, CHAT[:1], CHAT]
    with edgewright.load(talking) as writer:
        for prompt, found in zip(asked, c_writers.written(program, project / "assets", asked, settings), strict=True):
            pieces, wanted = list(writer.stream(prompt, **settings)), writer.last
            assert (found.code, found.tokens, found.pieces) == (0, wanted.tokens, pieces)
            assert (found.reason, found.prompt_tokens) == (wanted.reason, wanted.prompt_tokens)
            assert found.reused == wanted.reused


def test_a_persons_words_are_characters(talking, project, program):
    """The ids of conversations are Python's, special tokens in them or not."""
    words = ["a<s>b", "</s></s>", "<s", "<unk><s></s> the", "é<s>\u0301", "  <s>  "]
    asked = [[{"role": role, "content": word}] for word in words for role in ("user", "system")]
    asked += [CHAT, [*CHAT, *CHAT[1:]]]
    with edgewright.load(talking) as writer:
        wanted = [writer.ids(one) for one in asked]
    assert c_writers.ids(program, project / "assets", asked) == wanted


@pytest.mark.parametrize("source", [forms.CHATML, forms.LLAMA3, forms.GEMMA, forms.MISTRAL, forms.LLAMA2])
def test_conversations_of_every_form_are_rendered_as_by_jinja(talking, project, program, source, tmp_path):
    """The ids that the template's own text has, and a refusal where the template refuses, or the form lacks a role."""
    assets = tmp_path / "assets"
    shutil.copytree(project / "assets", assets)
    form, template = chat_form(forms.directory(tmp_path, source), ["<s>", "</s>"]), ChatTemplate(tmp_path)
    said = [("begin", form.begin), ("unsaid", form.unsaid), ("answer", form.answer)]
    said += [("trims", int(form.trims)), ("in_turns", int(form.in_turns))]
    for role, (before, after) in form.around.items():
        said += [(f"before_{role}", before), (f"after_{role}", after)]
    kept = [line for line in (assets / "model.txt").read_text().splitlines() if not line.startswith("chat_")]
    lines = [f"chat_{name} {value}".replace("\\", "\\\\").replace("\n", "\\n") for name, value in said]
    (assets / "model.txt").write_text("\n".join([*kept, *lines, ""]))
    words = ["why", " \n<s> so\u3000\x1c", "", "</s>\u200b ", "é"]
    orders = [order for size in (1, 2, 3) for order in itertools.product(("system", "user", "assistant"), repeat=size)]
    asked = [
        [{"role": role, "content": words[(at + turn) % len(words)]} for turn, role in enumerate(order)]
        for at, order in enumerate(orders)
    ]
    tokenizer = Bundle.open(talking).tokenizer()
    for messages, found in zip(asked, c_writers.ids(program, assets, asked), strict=True):
        try:
            wanted = template.encode(tokenizer, messages) if form.render(messages) is not None else [-5]
        except DataError:
            wanted = [-5]
        assert found == wanted, messages


@pytest.mark.parametrize(
    ("prompt", "settings", "why"),
    [
        ("a", '{"max_new_tokens": 0}', "max_new_tokens is 0, it must be a whole number from 1"),
        ("a", '{"top_p": 0}', "top_p is 0, it must be above 0 and at most 1"),
        ("a", '{"repetition_penalty": 1e308}', "repetition_penalty is 1e308, it must be from 1e-30 to 1e+30"),
        ("a", '{"temperature": -1}', "temperature is -1, it must be a number from 0"),
        ("a", '{"temperature": 1e999}', "temperature is 1e999, it must be a number from 0"),
        ("a", '{"seed": 18446744073709551616}', "seed is 18446744073709551616, it must be a whole number"),
        ("a", '{"stop": [1]}', "stop is [1], it must be a text, or at most 16 of them"),
        ("a", '{"when_full": "go"}', 'when_full is "go", it must be stop, slide or refuse'),
        ("a", '{"lookup": 4}', "no setting is called lookup"),
        ("a", '{"seed": 1', "the settings are no JSON object at byte 10"),
        ("a", '{"seed": 1} x', "the settings are no JSON object at byte 12"),
        ("a", "[]", "the settings are no JSON object at byte 0"),
        ("a", '{"max_new_tokens": 600, "when_full": "refuse"}', "600 new ones are more than the context of 512"),
        ("the " * 600, None, "tokens, the context is 512"),
        ([], None, "there is no message"),
        ([{"role": "user"}], None, "the messages cannot be read at byte 17"),
        ([{"role": "pope", "content": ""}], None, "message 0 has the role pope"),
        (b'[{"role": "user", "content": "\\ud800"}, ]', None, "the messages cannot be read at byte 40"),
        (b'[{"role": "user", "content": "a\nb"}]', None, "the messages cannot be read at byte 31"),
        (b"[" * 100, None, "the messages cannot be read"),
    ],
)
def test_what_cannot_be_is_told(project, program, prompt, settings, why):
    found, after = c_writers.written(program, project / "assets", [prompt, "a"], settings)
    assert found.code
    assert why in found.why
    assert found.pieces == []
    assert after.code == found.code if settings else after.code == 0


def test_a_caller_ends_an_answer(talking, project, program):
    """After a piece: what was written stays in the cache; or it closes the model, whose answer then ends."""
    settings = {"max_new_tokens": 40, "ignore_end": True}
    first, again = c_writers.written(program, project / "assets", ["the road", "the road"], settings, until=3)
    assert (first.code, first.reason, len(first.pieces)) == (0, "cancelled", 3)
    assert (again.pieces, again.reused) == (first.pieces, again.prompt_tokens - 1)
    with edgewright.load(talking) as writer:
        assert "".join(writer.stream("the road", **settings)).startswith(first.text)
    (closed,) = c_writers.written(program, project / "assets", ["the road"], settings, until=-2)
    assert (closed.code, closed.reason, len(closed.pieces), closed.tokens) == (0, "cancelled", 1, [])


def test_files_that_are_missing_or_altered(project, program, tmp_path):
    assets = project / "assets"
    said = (assets / "model.txt").read_text()
    for name, data, why in (
        ("model.onnx.data", None, "ONNX Runtime: "),
        ("model.onnx.data", (assets / "model.onnx.data").read_bytes()[:5000], "ONNX Runtime: "),
        ("model.txt", said.replace("cache float32 2 8", "cache float64 2 8").encode(), "nothing that is known"),
        ("model.txt", said.replace("vocabulary ", "vocabulary x").encode(), "nothing that is known"),
        ("model.txt", said.replace("chat_answer", "label").encode(), "does not say all that is needed"),
    ):
        copy = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(assets, copy)
        (copy / name).unlink() if data is None else (copy / name).write_bytes(data)
        argv = [program, "write", copy, c_programs.engine()]
        done = subprocess.run(argv, input=b"", capture_output=True, check=False)
        assert (done.returncode, why in done.stderr.decode()) == (1, True), done.stderr
    for name, data, why in (
        (
            "model.onnx.data",
            b"\xff" * (assets / "model.onnx.data").stat().st_size,
            "tokens, 0 of them written, are not finite",
        ),
        ("model.txt", said.replace("cache float32 2 8", "cache float32 3 8").encode(), "ONNX Runtime: "),
        ("model.txt", said.replace("vocabulary ", "vocabulary 1").encode(), "ONNX Runtime: "),
    ):
        copy = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(assets, copy)
        (copy / name).write_bytes(data)
        (found,) = c_writers.written(program, copy, ["the road"])
        assert (bool(found.code), why in found.why) == (True, True), found.why


def test_the_sample_converses(talking, project, tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("there is no cmake")
    subprocess.run(["cmake", "-S", project, "-B", tmp_path], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", tmp_path], check=True, capture_output=True)
    settings = {"max_new_tokens": 12, "ignore_end": True}
    argv = [tmp_path / "sample", "--stats", "--huge-pages", "--settings", json.dumps(settings), project / "assets"]
    engine = {"EW_ENGINE": str(c_programs.engine())}
    done = subprocess.run([*argv, "the road", "and?"], env=engine, check=True, capture_output=True, text=True)
    with Path("/dev/full").open("wb") as sink:
        full = subprocess.run([*argv, "the road"], env=engine, stdout=sink, stderr=subprocess.PIPE, check=False)
    assert (full.returncode, full.stderr.splitlines()[-1]) == (1, b"the answer cannot be written")
    lines = subprocess.run(argv, env=engine, input="the road\r\nand?", check=True, capture_output=True, text=True)
    messages = []
    with edgewright.load(talking) as writer:
        for said in ("the road", "and?"):
            messages.append({"role": "user", "content": said})
            messages.append({"role": "assistant", "content": "".join(writer.stream(messages, **settings))})
    assert done.stdout == lines.stdout == "".join(one["content"] + "\n" for one in messages[1::2])
    assert done.stderr.count("12 tokens at ") == done.stderr.count("ended by: length") == 2
    assert int(done.stderr.splitlines()[1].split()[0][1:]) < int(done.stderr.splitlines()[1].split()[2])


def test_vectors_have_the_tokens(project):
    vectors = json.loads((project / "assets" / "vectors.json").read_text(encoding="utf-8"))
    assert all(one["tokens"] for one in vectors)
