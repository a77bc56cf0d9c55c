"""OpenAI's interface on the wire: what is refused and how, who waits, who leaves, and how it ends."""

import asyncio
import http.client
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from bigram import Bigram, BigramRows
from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from edgewright.errors import UsageError
from edgewright.generation.defaults import Defaults
from edgewright.generation.generator import Generator
from edgewright.generation.sampling import Sampling
from edgewright.generation.session import CacheSession
from edgewright.serving.http_server import HttpBounds, bound
from edgewright.serving.openai import DecoderServer
from edgewright.text.tokenizer import Tokenizer

LETTERS = "?abcdefghijklmnopqrstuvwxyz .:\n"
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
PLAIN = {"model": "tiny", "prompt": "hello", "max_tokens": 20}


class Slow(Bigram):
    """Waits before each token, at a gate or for a moment, all texts of one model as that says."""

    def __init__(self, context, model=None):
        super().__init__(len(LETTERS), context)
        self.model = model or self
        self.gate, self.pause_s, self.spoiled_after = threading.Event(), 0.0, context
        self.gate.set()

    def _run(self, ids, kept):
        self.model.gate.wait(30)
        time.sleep(self.model.pause_s)
        logits = super()._run(ids, kept)
        return logits if self.length <= self.model.spoiled_after else np.full_like(logits, np.nan)

    def _rows(self, count):
        self.rows_made = BigramRows(count, *self._made)
        self.rows_made.decoders = tuple(Slow(self.context, self) for _ in range(count))
        return self.rows_made


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    root = tmp_path_factory.mktemp("letters")
    backend = Backend(models.WordLevel({letter: at for at, letter in enumerate(LETTERS)}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.save(str(root / "tokenizer.json"))
    (root / "chat_template.jinja").write_text(TEMPLATE)
    return root


@pytest.fixture
def generator(words):
    return Generator(Tokenizer(words, 400), CacheSession(Slow(400)), Defaults(frozenset(), Sampling()), directory=words)


@pytest.fixture
def served(generator):
    """Call with a function of a port: it runs in a thread while this one serves; SIGTERM ends it all."""

    def run(talk, batch_size=1, **bounds):
        with bound("0") as sock, ThreadPoolExecutor(1) as pool:
            server, done = DecoderServer(generator, "tiny", HttpBounds(**bounds), batch_size), []

            def whole(loop):
                try:
                    return talk(sock.getsockname()[1])
                finally:
                    generator.session.decoder.gate.set()
                    with suppress(RuntimeError):  # it has ended: nothing would take the signal
                        loop.call_soon_threadsafe(os.kill, os.getpid(), signal.SIGTERM)

            async def serve():
                loop = asyncio.get_running_loop()
                await server.run(sock, lambda: done.append(pool.submit(whole, loop)))

            asyncio.run(serve())
            return done[0].result()

    return run


def raw(port, data, *, size=2**20):
    """What a connection answers to some bytes until it closes."""
    with socket.create_connection(("127.0.0.1", port), 30) as way:
        way.sendall(data)
        found = b""
        while piece := way.recv(size):
            found += piece
    return found


def ask(port, path, body=None, method="POST", headers=None):
    """A status, and the JSON of an answer."""
    way = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    way.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
    response = way.getresponse()
    tree = json.loads(response.read())
    way.close()
    return response.status, tree


def events(text):
    return [line.removeprefix("data: ") for line in text.split("\n\n") if line]


def stream(port, path, body):
    way = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    way.request("POST", path, json.dumps({**body, "stream": True}), {"Content-Type": "application/json"})
    response = way.getresponse()
    assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    found = events(response.read().decode())
    way.close()
    return found


def health(port):
    return ask(port, "/health", method="GET")[1]


def until(condition, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# what comes back


def test_the_text_is_the_generators_at_once_and_in_pieces(served, generator):
    wanted = generator(CHAT["messages"], max_new_tokens=20, return_full_text=False)[0]["generated_text"]
    plain = generator("hello", max_new_tokens=20, return_full_text=False)[0]["generated_text"]

    def talk(port):
        status, tree = ask(port, "/v1/chat/completions", CHAT)
        (choice,) = tree["choices"]
        assert (status, tree["object"], choice["finish_reason"]) == (200, "chat.completion", "length")
        assert choice["message"] == {"role": "assistant", "content": wanted, "refusal": None}
        size = len("user: hello\nassistant:")
        assert [tree["usage"][name] for name in ("prompt_tokens", "completion_tokens")] == [size, 20]
        *pieces, last = stream(port, "/v1/chat/completions", CHAT)
        deltas = [json.loads(piece)["choices"][0] for piece in pieces]
        assert last == "[DONE]"
        assert deltas[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(each["delta"].get("content", "") for each in deltas) == wanted
        assert [each["finish_reason"] for each in deltas] == [None] * (len(deltas) - 1) + ["length"]
        assert ask(port, "/v1/completions", PLAIN)[1]["choices"][0]["text"] == plain
        *pieces, used, _ = stream(port, "/v1/completions", {**PLAIN, "stream_options": {"include_usage": True}})
        assert "".join(json.loads(piece)["choices"][0]["text"] for piece in pieces) == plain
        assert {json.loads(piece)["usage"] for piece in pieces} == {None}
        assert (json.loads(used)["choices"], json.loads(used)["usage"]["total_tokens"]) == ([], 25)
        ids = generator.ids("hello")
        assert ask(port, "/v1/completions", {**PLAIN, "prompt": ids})[1]["choices"][0]["text"] == plain
        assert health(port) == {"status": "ok", "model": "tiny", "waiting": 0, "answered": 5, "left": 0}

    served(talk)


def test_a_stop_string_a_seed_and_no_limit(served, generator):
    text = generator("hello", max_new_tokens=40, return_full_text=False)[0]["generated_text"]
    drawn = {"temperature": 1, "seed": -7, "max_tokens": 40}

    def talk(port):
        tree = ask(port, "/v1/completions", {**PLAIN, "max_tokens": 40, "stop": [text[5:8], "zzz"]})[1]
        assert tree["choices"][0]["text"] == text[: text.index(text[5:8])]
        assert tree["choices"][0]["finish_reason"] == "stop"
        first, again, other = (
            ask(port, "/v1/completions", {**PLAIN, **drawn, "seed": seed})[1]["choices"][0]["text"]
            for seed in (-7, -7, 8)
        )
        assert first == again != other
        assert ask(port, "/v1/completions", {**PLAIN, "max_tokens": None})[1]["usage"]["completion_tokens"] == 16
        free = ask(port, "/v1/chat/completions", {**CHAT, "max_tokens": None})[1]
        assert free["choices"][0]["finish_reason"] == "length"
        assert free["usage"]["total_tokens"] == 401  # the last token is written, and not read
        parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
        asked = {**CHAT, "messages": [{"role": "user", "content": parts}], "max_completion_tokens": 5}
        asked.pop("max_tokens")
        assert ask(port, "/v1/chat/completions", asked)[1]["usage"]["completion_tokens"] == 5

    served(talk)


def test_a_model_that_does_not_converse_says_where_it_answers(served, generator, tmp_path):
    generator._directory = tmp_path

    def talk(port):
        status, tree = ask(port, "/v1/chat/completions", CHAT)
        assert (status, tree["error"]["param"]) == (400, "messages")
        assert tree["error"]["message"] == "The model 'tiny' has no chat template; ask /v1/completions."
        assert ask(port, "/v1/completions", PLAIN)[0] == 200

    served(talk)


def test_a_failing_engine_is_an_error_of_the_server_and_ends_nothing(served, generator, capfd):
    decoder, run_it = generator.session.decoder, generator.session.decoder._run
    failing = [0, 0]

    def fail(ids, kept):
        failing[0] += 1
        if failing[0] > failing[1]:
            raise ValueError("out of luck")
        return run_it(ids, kept)

    def talk(port):
        decoder._run = fail
        status, tree = ask(port, "/v1/completions", PLAIN)
        assert (status, tree["error"]["type"]) == (500, "server_error")
        failing[:] = [0, 4]
        *pieces, last = stream(port, "/v1/completions", PLAIN)
        assert len(pieces) > 2
        assert "out of luck" in json.loads(last)["error"]["message"]
        decoder._run = run_it
        assert ask(port, "/v1/completions", PLAIN)[0] == 200

    served(talk)
    assert capfd.readouterr().err.count("decoding failed at token") == 2


def test_models(served):
    def talk(port):
        tree = ask(port, "/v1/models", method="GET")[1]
        assert [(card["id"], card["object"]) for card in tree["data"]] == [("tiny", "model")]
        assert ask(port, "/v1/models/tiny", method="GET") == (200, tree["data"][0])
        assert ask(port, "/v1/models/other", method="GET")[0] == 404

    served(talk)


# what is refused


REFUSED = [
    ({"n": 2}, 400, "n", "unsupported_value"),
    ({"tools": [{"type": "function"}]}, 400, "tools", "unsupported_parameter"),
    ({"response_format": {"type": "xml"}}, 400, "response_format.type", "invalid_type"),
    ({"response_format": {"type": "json_schema"}}, 400, "json_schema", None),
    ({"logprobs": True}, 400, "logprobs", "unsupported_parameter"),
    ({"frequency_penalty": 0.5}, 400, "frequency_penalty", "unsupported_parameter"),
    ({"stop": ["a"] * 5}, 400, "stop", "invalid_value"),
    ({"max_tokens": 0}, 400, "max_tokens", "invalid_value"),
    ({"max_completion_tokens": 9}, 400, "max_tokens", "invalid_value"),
    ({"temperature": 2.5}, 400, "temperature", "invalid_value"),
    ({"temperature": "hot"}, 400, "temperature", "invalid_type"),
    ({"top_p": 0}, 400, None, "invalid_value"),
    ({"stream_options": {"include_usage": True}}, 400, "stream_options", "invalid_value"),
    ({"messages": []}, 400, "messages", "invalid_value"),
    ({"messages": [{"role": "user"}]}, 400, None, "data-error"),
    ({"messages": [{"role": "king", "content": "a"}]}, 400, None, "invalid_value"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, None, "data-error"),
    ({"messages": [{"role": "user", "content": "a" * 400}]}, 400, None, "context_length_exceeded"),
    ({"model": "other"}, 404, "model", "model_not_found"),
    ({"nonsense": 1}, 400, "nonsense", None),
]


@pytest.mark.parametrize(("change", "status", "param", "code"), REFUSED, ids=[str(row[0])[:40] for row in REFUSED])
def test_what_is_not_carried_out_is_refused_by_name(served, change, status, param, code):
    got, tree = served(lambda port: ask(port, "/v1/chat/completions", {**CHAT, **change}))
    assert (got, tree["error"]["param"], tree["error"]["code"]) == (status, param, code)
    assert tree["error"]["type"] == "invalid_request_error"
    assert tree["error"]["message"]


def test_other_requests_that_cannot_be(served):
    wanted = {
        ("POST", "/v1/embeddings", b"{}"): (404, "answers at /v1/chat/completions and /v1/completions"),
        ("GET", "/v1/completions", None): (405, "Not allowed to GET"),
        ("POST", "/v1/completions", b"{"): (400, "no JSON"),
        ("POST", "/v1/completions", b"[" * 99999): (400, ""),
        ("POST", "/v1/completions", b'{"model": "tiny", "prompt": "\xff"}'): (400, ""),
        ("POST", "/v1/completions", b'{"model": "tiny"}'): (400, "You must provide the parameter 'prompt'"),
        ("POST", "/v1/completions", b'{"model": "tiny", "prompt": [3, 99]}'): (400, "the token 99"),
        ("POST", "/v1/completions", b'{"model": "tiny", "prompt": ["a", "b"]}'): (400, "has 2 prompts"),
        ("POST", "/v1/completions", b'{"model": "tiny", "prompt": ""}'): (400, "no tokens"),
        ("POST", "/v1/completions", b'{"model": "tiny", "prompt": "a", "echo": true}'): (400, "echo is not supported"),
    }

    def talk(port):
        for (method, path, body), (status, words) in wanted.items():
            got, tree = ask(port, path, body, method)
            assert (got, words in tree["error"]["message"]) == (status, True), tree
        assert ask(port, "/v1/completions", PLAIN, headers={"Content-Type": "text/plain"})[0] == 415
        assert ask(port, "/v1/models", method="GET", headers={"Host": "evil.example:80"})[0] == 403
        assert ask(port, "/v1/models", method="GET", headers={"Host": f"[::1]:{port}"})[0] == 200
        assert ask(port, "/v1/completions", PLAIN)[0] == 200

    served(talk)


RAW = [
    (b"nonsense\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\n\r\n", 505),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2**15 + b"\r\n\r\n", 431),
    (b"x" * 2**17, 431),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 413),
]


def test_what_is_no_request_is_answered_and_the_connection_ends(served):
    def talk(port):
        for data, status in RAW:
            head, _, body = raw(port, data).partition(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {status} ".encode()), data[:80]
            assert b"Connection: close" in head
            assert json.loads(body)["error"]["type"] in ("invalid_request_error", "server_error")
        assert raw(port, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 200")

    served(talk)


def test_a_body_that_is_too_large_is_answered_though_it_is_sent_whole(served):
    def talk(port):
        status, tree = ask(port, "/v1/completions", {**PLAIN, "prompt": "a" * 2**22})
        assert (status, tree["error"]["code"]) == (413, "request_too_large")
        assert "at most 1000 are taken" in tree["error"]["message"]

    served(talk, request_bytes=1000)


def test_one_connection_for_several_requests_and_an_old_client(served):
    def talk(port):
        way = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for body in (PLAIN, {**PLAIN, "n": 2}, PLAIN, {**PLAIN, "stream": True}, PLAIN):
            way.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
            own = way.sock
            way.getresponse().read()
            assert way.sock is own  # it would have been dropped
        way.close()
        body = json.dumps({**PLAIN, "stream": True}).encode()
        head = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        old = raw(port, f"POST /v1/completions HTTP/1.0\r\n{head}\r\n".encode() + body)
        assert b"chunked" not in old
        assert old.endswith(b"data: [DONE]\n\n")
        expecting = f"POST /v1/completions HTTP/1.1\r\n{head}Expect: 100-continue\r\nConnection: close\r\n\r\n"
        assert raw(port, expecting.encode() + body).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")

    served(talk)


# who waits, who leaves


def test_a_client_that_leaves_ends_its_answer(served, generator):
    decoder = generator.session.decoder
    decoder.pause_s = 0.02

    def talk(port):
        for streamed in (True, False):
            before = len(decoder.calls)
            body = json.dumps({**PLAIN, "max_tokens": 390, "stream": streamed}).encode()
            head = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", port), 30) as way:
                way.sendall(f"POST /v1/completions HTTP/1.1\r\n{head}".encode() + body)
                until(lambda at=before: len(decoder.calls) > at + 3)
            until(lambda left=2 - streamed: health(port)["left"] == left)
            calls = len(decoder.calls)
            time.sleep(0.2)
            assert len(decoder.calls) <= calls + 1  # the one that was on its way
            assert calls - before < 100
        assert ask(port, "/v1/completions", {**PLAIN, "max_tokens": 2})[0] == 200

    served(talk)


def test_the_line_is_bounded_and_who_leaves_it_makes_room(served, generator):
    gate = generator.session.decoder.gate

    def talk(port):
        gate.clear()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(ask, port, "/v1/completions", PLAIN)
            until(lambda: health(port)["waiting"] == 1)
            body = json.dumps(PLAIN).encode()
            head = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", port), 30) as way:
                way.sendall(f"POST /v1/completions HTTP/1.1\r\n{head}".encode() + body)
                until(lambda: health(port)["waiting"] == 2)
                status, tree = ask(port, "/v1/completions", PLAIN)
                assert (status, tree["error"]["code"]) == (429, "rate_limit_exceeded")
            until(lambda: health(port)["waiting"] == 1)
            gate.set()
            assert first.result()[0] == 200

    served(talk, waiting=2)


def test_connections_are_bounded(served):
    def talk(port):
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            until(lambda: ask(port, "/v1/models", method="GET")[0] == 429)
        until(lambda: ask(port, "/v1/models", method="GET")[0] == 200)

    served(talk, connections=2)


# who is written together


def test_requests_that_come_together_are_written_together_each_its_own(served, generator):
    decoder = generator.session.decoder
    bodies = [
        {**PLAIN, "max_tokens": 60},
        {**PLAIN, "prompt": "other", "max_tokens": 35, "temperature": 1, "seed": 3},
        {**CHAT, "max_tokens": 50, "temperature": 0.7, "seed": 9},
        {**PLAIN, "prompt": "hello there", "max_tokens": 20},
        {**PLAIN, "prompt": "what is it", "max_tokens": 45, "stop": ["e"]},
        {**PLAIN, "prompt": "hello", "max_tokens": 10},
    ]

    def every(port, together):
        def one(body):
            path = f"/v1/{'chat/' * ('messages' in body)}completions"
            *pieces, last = stream(port, path, body)
            choices = [json.loads(piece)["choices"][0] for piece in pieces]
            assert last == "[DONE]"
            return "".join(each.get("text") or each.get("delta", {}).get("content", "") for each in choices), choices[
                -1
            ]

        if not together:
            return [one(body) for body in bodies]
        decoder.gate.clear()
        with ThreadPoolExecutor(len(bodies)) as pool:
            held = [pool.submit(one, body) for body in bodies]
            until(lambda: health(port)["waiting"] == len(bodies))
            decoder.gate.set()
            return [one.result() for one in held]

    wanted = served(lambda port: every(port, together=False))
    assert len({text for text, _ in wanted}) == len(bodies)
    found = served(lambda port: every(port, together=True), batch_size=4)
    assert [text for text, _ in found] == [text for text, _ in wanted]
    assert [last["finish_reason"] for _, last in found] == [last["finish_reason"] for _, last in wanted]
    assert max(decoder.rows_made.steps) == 4


def test_a_client_that_leaves_a_batch_makes_room_and_the_others_go_on(served, generator):
    decoder = generator.session.decoder
    decoder.pause_s = 0.003
    wanted = generator("other", max_new_tokens=60, return_full_text=False)[0]["generated_text"]

    def talk(port):
        body = json.dumps({**PLAIN, "max_tokens": 390}).encode()
        head = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with ThreadPoolExecutor(2) as pool, socket.create_connection(("127.0.0.1", port), 30) as way:
            way.sendall(f"POST /v1/completions HTTP/1.1\r\n{head}".encode() + body)
            until(lambda: health(port)["waiting"] == 1)
            held = [
                pool.submit(ask, port, "/v1/completions", {**PLAIN, "prompt": prompt, "max_tokens": 60})
                for prompt in ("other", "another")
            ]
            until(lambda: len(decoder.rows_made.steps) > 3)
            way.close()
            assert held[0].result()[1]["choices"][0]["text"] == wanted
            assert held[1].result()[0] == 200
        assert health(port)["left"] == 1
        assert decoder.rows_made.steps[-1] == 2
        assert len(decoder.rows_made.steps) < 150, "the one that was left was not written on"

    served(talk, batch_size=2)


def test_an_error_of_one_answer_ends_no_other(served, generator, capfd):
    decoder = generator.session.decoder
    wanted = generator("other", max_new_tokens=30, return_full_text=False)[0]["generated_text"]
    decoder.spoiled_after = 315

    def talk(port):
        decoder.gate.clear()
        with ThreadPoolExecutor(2) as pool:
            bodies = [{**PLAIN, "prompt": prompt, "max_tokens": 30} for prompt in ("a" * 310, "other")]
            held = [pool.submit(ask, port, "/v1/completions", body) for body in bodies]
            until(lambda: health(port)["waiting"] == 2)
            decoder.gate.set()
            (failed, tree), (answered, other) = (one.result() for one in held)
        assert (failed, answered) == (500, 200)
        assert "not finite" in tree["error"]["message"]
        assert other["choices"][0]["text"] == wanted

    served(talk, batch_size=3)
    assert set(decoder.rows_made.steps) == {2}, "the other one went on alone"
    assert capfd.readouterr().err.count("not finite") == 1


# how it ends


def test_what_was_accepted_is_answered_and_what_comes_later_is_not(served, generator):
    gate = generator.session.decoder.gate

    def talk(port):
        gate.clear()
        with ThreadPoolExecutor(3) as pool:
            held = [
                pool.submit(ask, port, "/v1/completions", PLAIN),
                pool.submit(stream, port, "/v1/completions", PLAIN),
            ]
            until(lambda: health(port)["waiting"] == 2)
            os.kill(os.getpid(), signal.SIGTERM)
            until(lambda: ask(port, "/v1/models", method="GET")[0] == 503)
            assert ask(port, "/v1/completions", PLAIN)[1]["error"]["type"] == "server_error"
            gate.set()
            assert held[0].result()[0] == 200
            assert held[1].result()[-1] == "[DONE]"

    served(talk)


@pytest.mark.parametrize("signalled", [True, False])
def test_an_end_that_takes_too_long_cuts_answers_short_and_says_so(served, generator, signalled):
    generator.session.decoder.pause_s = 0.05

    def talk(port):
        body = {**PLAIN, "max_tokens": 390}
        with ThreadPoolExecutor(3) as pool:
            held = [pool.submit(stream, port, "/v1/completions", body)]
            until(lambda: len(generator.session.decoder.calls) > 3)
            held.append(pool.submit(ask, port, "/v1/completions", body))
            until(lambda: health(port)["waiting"] == 2)
            os.kill(os.getpid(), signal.SIGTERM)
            if signalled:
                until(lambda: ask(port, "/v1/models", method="GET")[0] == 503)
                os.kill(os.getpid(), signal.SIGTERM)
            assert json.loads(held[0].result()[-1])["error"]["code"] == "stopping"
            assert held[1].result()[0] == 503

    served(talk, end_s=60.0 if signalled else 0.3)


# where


def test_places():
    for place, host in (("0", "127.0.0.1"), (":0", "127.0.0.1"), ("localhost:0", "127.0.0.1"), ("[::1]:0", "::1")):
        with bound(place) as sock:
            assert sock.getsockname()[0] in (host, "::1")
            with pytest.raises(UsageError, match=r"cannot listen at .*port 0 is a free one"):
                bound(f"[{sock.getsockname()[0]}]:{sock.getsockname()[1]}")
    for place in ("", "here", "a:b:1", "1.2.3.4", "127.0.0.1:65536", "::1:80", "http://localhost:80", "[::1]"):
        with pytest.raises(UsageError, match=r"is no HOST:PORT; such as 127\.0\.0\.1:8080"):
            bound(place)
    with pytest.raises(UsageError, match=r"cannot listen at no\.such"):
        bound("no.such.host.invalid:0")
