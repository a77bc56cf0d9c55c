"""Served bundles, asked by the `openai` package as a user's program asks."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from packages import later

import edgewright

pytestmark = pytest.mark.slow
openai = later("openai")

TURN = [{"role": "user", "content": "the road"}]


def command(*words, check=0):
    """Run the command line; give standard output, or for a wanted failure standard error."""
    argv = [sys.executable, "-m", "edgewright", *map(str, words)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.returncode == check, done.stderr
    return done.stderr if check else done.stdout


def serving(bundle, *words):
    """A server process, and the address that it printed."""
    argv = [sys.executable, "-m", "edgewright", "serve", bundle, "--http", "127.0.0.1:0", "--json", *words]
    process = subprocess.Popen([*map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ready, _, _ = select.select([process.stdout], [], [], 120)
    line = process.stdout.readline() if ready else ""
    assert line, process.communicate(timeout=10)[1] if process.poll() is not None else "nothing was printed"
    return process, json.loads(line)["url"]


def ended(process):
    """End a server as systemd does; its exit code, and what it wrote to standard error."""
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=30)
    return process.returncode, words


def client_of(url, **options):
    return openai.OpenAI(base_url=url, api_key="none", timeout=60, max_retries=0, **options)


@pytest.fixture(scope="module")
def writer(talking):
    return talking


@pytest.fixture(scope="module")
def url(writer):
    process, url = serving(writer)
    yield url
    code, words = ended(process)
    assert (code, words) == (0, "")


@pytest.fixture
def client(url):
    with client_of(url) as client:
        yield client


def streamed(pieces):
    chunks = list(pieces)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), chunks


def test_an_answer_is_json_of_a_schema(client):
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 99}},
        "required": ["n"],
    }
    asked = {"model": "tiny", "messages": TURN, "max_tokens": 60, "temperature": 1, "seed": 3}
    form = {
        "type": "json_schema",
        "json_schema": {"name": "count", "schema": {**schema, "additionalProperties": False}},
    }
    whole = client.chat.completions.create(**asked, response_format=form)
    assert 3 <= json.loads(whole.choices[0].message.content)["n"] <= 99
    assert whole.choices[0].finish_reason == "stop"
    text, _ = streamed(client.chat.completions.create(**asked, response_format=form, stream=True))
    assert text == whole.choices[0].message.content
    form["json_schema"]["schema"] = {"enum": []}
    with pytest.raises(openai.BadRequestError, match="no answer can have this form"):
        client.chat.completions.create(**asked, response_format=form, stream=True)


def test_chat_is_the_generators_text_at_once_and_in_pieces(client, writer):
    asked = {"model": "tiny", "messages": TURN, "max_tokens": 40}
    with edgewright.load(writer) as generator:
        wanted = generator(TURN, max_new_tokens=40, return_full_text=False)[0]["generated_text"]
        drawn = "".join(generator.stream(TURN, max_new_tokens=40, temperature=0.9, top_p=0.8, seed=5))
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.content == wanted
    assert whole.choices[0].message.role == "assistant"
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    text, chunks = streamed(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    assert text == wanted
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == whole.usage.prompt_tokens - 1
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert drawn != wanted
    again = client.chat.completions.create(**asked, temperature=0.9, top_p=0.8, seed=5, stream=True)
    assert streamed(again)[0] == drawn


def test_plain_completions_stop_and_limits(client, writer):
    with edgewright.load(writer) as generator:
        wanted = generator("the road", max_new_tokens=60, return_full_text=False)[0]["generated_text"]
    whole = client.completions.create(model="tiny", prompt="the road", max_tokens=60)
    assert whole.choices[0].text == wanted
    pieces = client.completions.create(model="tiny", prompt="the road", max_tokens=60, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == wanted
    stop = wanted[10:13]
    stopped = client.completions.create(model="tiny", prompt="the road", max_tokens=60, stop=stop)
    assert (stopped.choices[0].text, stopped.choices[0].finish_reason) == (wanted[: wanted.index(stop)], "stop")
    short = client.chat.completions.create(model="tiny", messages=TURN, max_completion_tokens=3)
    assert (short.usage.completion_tokens, short.choices[0].finish_reason) == (3, "length")


def test_models_and_errors_are_those_that_programs_know(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "edgewright"
    asked = {"model": "tiny", "messages": TURN}
    with pytest.raises(openai.NotFoundError) as gone:
        client.chat.completions.create(**{**asked, "model": "gpt-4o"})
    assert (gone.value.code, gone.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(**asked, n=2)
    assert (bad.value.param, bad.value.type) == ("n", "invalid_request_error")
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(**{**asked, "messages": [{"role": "user", "content": "the road " * 300}]})
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="repeat_last_n"):
        client.chat.completions.create(**asked, extra_body={"repeat_last_n": 3})
    with pytest.raises(openai.NotFoundError, match="answers at /v1/chat/completions"):
        client.embeddings.create(model="tiny", input="a")
    with pytest.raises(openai.APIStatusError) as large:
        client.chat.completions.create(**{**asked, "messages": [{"role": "user", "content": "a" * 2**21}]})
    assert (large.value.status_code, large.value.code) == (413, "request_too_large")
    assert client.chat.completions.create(**asked, max_tokens=2, extra_body={"top_k": 3}).usage.completion_tokens == 2


def test_a_stream_that_is_left_ends_and_the_next_is_answered(client):
    asked = {"model": "tiny", "messages": TURN, "temperature": 1.0, "seed": 1}
    left = client.get("/../health", cast_to=dict[str, object])["left"]
    with client.chat.completions.create(**asked, stream=True, max_tokens=400) as pieces:
        for _ in zip(range(3), pieces, strict=False):
            pass
    until = time.monotonic() + 20
    while client.get("/../health", cast_to=dict[str, object])["waiting"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert client.get("/../health", cast_to=dict[str, object])["left"] in (left, left + 1)  # a fast machine was done
    assert client.chat.completions.create(**asked, max_tokens=2).usage.completion_tokens == 2


def test_twenty_clients_at_once_get_each_their_own_answer(url, writer):
    """Four at a time, each in its own way; every third one leaves in the middle."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {
        "type": "json_schema",
        "json_schema": {"name": "count", "schema": {**schema, "additionalProperties": False}},
    }
    prompts = [f"the road {'an' * at}" for at in range(20)]
    ways = [{}, {"temperature": 0.9, "seed": 7}, {"max_tokens": 40, "response_format": form}, {"stop": "e"}]
    options = [{"max_tokens": 15, "temperature": 0, **ways[at % 4]} for at in range(20)]
    with edgewright.load(writer) as generator:
        wanted = []
        for text, given in zip(prompts, options, strict=True):
            own = {**given, "max_new_tokens": given["max_tokens"]}
            own.pop("max_tokens")
            if own.pop("response_format", None):
                own["json_schema"] = form["json_schema"]["schema"]
            wanted.append("".join(generator.stream([{"role": "user", "content": text}], **own)))

    async def one(at):
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=120) as client:
            asked = {"model": "tiny", "messages": [{"role": "user", "content": prompts[at]}], **options[at]}
            if at % 2:
                return (await client.chat.completions.create(**asked)).choices[0].message.content
            pieces = await client.chat.completions.create(**asked, stream=True)
            if at % 3 == 0:
                async for _ in pieces:
                    await pieces.close()
                    return None
            return "".join([piece.choices[0].delta.content or "" async for piece in pieces])

    async def every():
        return await asyncio.gather(*map(one, range(20)))

    found = asyncio.run(every())
    assert found.count(None) == 4
    assert [text for text in found if text is not None] == [
        text for text, got in zip(wanted, found, strict=True) if got is not None
    ]


def test_embeddings_are_the_pipelines(source_dir, tmp_path):
    bundle = tmp_path / "vectors"
    asked = ("--task", "feature-extraction", "--precision", "fp32", "--allow-divergence", "-q")
    command("build", source_dir, "--out", bundle, *asked)
    texts = ["the river had risen", "good", ""]
    wanted = edgewright.load(bundle)(texts)
    found = command("serve", bundle, "--http", "0", "--batch-size", "2", check=2)
    assert "is for feature-extraction, answers of a decoder are written at once; leave --batch-size out" in found
    process, url = serving(bundle, "--model-name", "my-vectors")
    with client_of(url) as client:
        found = client.embeddings.create(model="my-vectors", input=texts)
        assert [row.index for row in found.data] == [0, 1, 2]
        for row, vector in zip(found.data, wanted, strict=True):
            assert np.asarray(row.embedding, np.float32).tolist() == np.asarray(vector).tolist()
        plain = client.embeddings.create(model="my-vectors", input=texts[0], encoding_format="float")
        assert plain.data[0].embedding == pytest.approx(found.data[0].embedding, abs=1e-7)
        assert plain.usage.prompt_tokens > 3
        with pytest.raises(openai.BadRequestError, match="dimensions"):
            client.embeddings.create(model="my-vectors", input="a", dimensions=7)
        with pytest.raises(openai.BadRequestError, match="token ids"):
            client.embeddings.create(model="my-vectors", input=[1, 2])
        with pytest.raises(openai.NotFoundError, match="answers at /v1/embeddings"):
            client.chat.completions.create(model="my-vectors", messages=TURN)
    assert ended(process) == (0, "")


def test_what_cannot_be_served_is_said(writer, bundle_dir, tmp_path):
    found = command("serve", bundle_dir, "--http", "0", check=2)
    assert "is for text-classification, HTTP is for text-generation and feature-extraction" in found
    assert "one of the two" in command("serve", writer, "--http", "0", "--socket", tmp_path / "s", check=2)
    assert "go with --http" in command("serve", writer, "--socket", tmp_path / "s", "--context", "9", check=2)
    assert "batch_size is 65, at most 64" in command("serve", writer, "--http", "0", "--batch-size", "65", check=2)
    assert "is no HOST:PORT" in command("serve", writer, "--http", "nowhere", check=2)
    broken = tmp_path / "broken"
    broken.mkdir()
    assert "has no manifest.json" in command("serve", broken, "--http", "0", check=3)
