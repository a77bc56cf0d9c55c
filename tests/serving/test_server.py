"""A server under load, with an engine that takes a while: nobody who came is dropped, and nobody waits for ever."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgewright.errors import ConnectionLost, DeviceError
from edgewright.serving.client import Client

SERVER = """
import asyncio, sys, time
from pathlib import Path
import numpy as np
from edgewright.bundle.bundle import Bundle
from edgewright.bundle.manifest import Settings
from edgewright.contracts.engine import Session
from edgewright.inference.pipeline import Pipeline
from edgewright.serving.model import Model
from edgewright.serving.clients import Bounds
from edgewright.serving.server import _Server
from edgewright.serving.unix_socket import listening
from edgewright.tasks.text_classification import TextClassification

class Slow(Session):
    inputs = outputs = ()
    def run(self, feeds):
        time.sleep(float(sys.argv[4]))
        return {"logits": np.zeros((1, 2), np.float32)}

bundle = Bundle.open(sys.argv[1])
task = TextClassification(Settings(max_length=64, labels=("a", "b")))
model = Model(bundle, Pipeline(None, task, bundle.tokenizer(), Slow()))
bounds = Bounds(connections=int(sys.argv[3]), waiting=int(sys.argv[5]), crowded_s=0.5, end_s=float(sys.argv[6]))
with listening(Path(sys.argv[2])) as sock:
    asyncio.run(_Server(model, lambda: model, bounds).run(sock, lambda: print("ready", flush=True)))
"""


@pytest.fixture
def serving(bundle_dir, tmp_path):
    """Start a server: so many connections at once, a time for each answer, so many in the queue."""
    started = []

    def start(connections, takes_s=0.0, waiting=4096, end_s=30):
        words = [bundle_dir, tmp_path / "s", connections, takes_s, waiting, end_s]
        argv = [sys.executable, "-c", SERVER, *map(str, words)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return tmp_path / "s", process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_burst_waits_and_everyone_is_answered(serving):
    path, _ = serving(8)
    answers, count = [], 300

    def ask():
        with Client(path) as client:
            answers.append(client("a text")[0]["label"])

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == count


def test_a_client_that_came_first_is_never_dropped_for_one_that_comes(serving):
    path, _ = serving(2)
    with Client(path) as one, Client(path) as two, Client(path, timeout_s=60) as three:
        for _ in range(20):
            assert one("a text")
            assert two("a text")
            time.sleep(0.02)
        two.close()
        assert three("a text")


@pytest.mark.slow
def test_who_comes_while_the_engine_is_at_work_is_heard_after_a_few_runs(serving):
    path, _ = serving(8, takes_s=0.1)
    answered, ended = [], threading.Event()

    def ask():
        with Client(path) as client:
            while not ended.is_set():
                answered.append(client("a text"))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(answered) < 4:
        time.sleep(0.01)
    before = len(answered)
    with Client(path) as client:
        assert client("a text")
    after = len(answered)
    ended.set()
    for thread in threads:
        thread.join()
    assert after - before <= 5


def test_who_is_silent_makes_room_for_one_that_waits(serving):
    path, _ = serving(1)
    with Client(path) as silent, Client(path, timeout_s=10) as waiting:
        assert silent("a text")
        assert waiting("a text")
        with pytest.raises(ConnectionLost, match="ended in the middle of an answer"):
            silent("a text")


def test_a_full_queue_is_said(serving):
    path, _ = serving(1, takes_s=20, waiting=1)
    kept = []
    with pytest.raises(DeviceError, match=r"the queue of .* is full, and stayed so for 0\.2 s"):
        kept.extend(Client(path, timeout_s=0.2) for _ in range(10))
    for client in kept:
        client.close()


@pytest.mark.slow
def test_what_it_holds_is_answered_at_the_end(serving):
    path, process = serving(4, takes_s=0.5)
    answers = []

    def ask(client):
        answers.append(client(["one", "two"]))

    clients = [Client(path) for _ in range(4)]
    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    assert [len(answer) for answer in answers] == [2, 2, 2, 2]
    assert process.wait(15) == 0, "it waited for clients that have their answer, as long as one may take: 30 s"
    for client in clients:
        client.close()


@pytest.mark.slow
def test_an_engine_that_hangs_does_not_keep_it_from_ending(serving):
    path, process = serving(4, takes_s=600, end_s=0.1)
    with socket.socket(socket.AF_UNIX) as way:
        way.connect(str(path))
        way.sendall(b'{"texts": ["a text"]}\n')
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert way.recv(1) == b""


@pytest.mark.slow
def test_a_burst_leaves_its_memory_behind(serving):
    path, process = serving(64)

    def resident_mib():
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def burst():
        ways = [socket.socket(socket.AF_UNIX) for _ in range(64)]
        for way in ways:
            way.connect(str(path))
            way.settimeout(0)
            for _ in range(8):
                try:
                    way.send(b"x" * 2**18)  # half a request, which it keeps
                except (BlockingIOError, BrokenPipeError):
                    break
        time.sleep(0.5)
        for way in ways:
            way.close()
        with Client(path) as client:
            assert client("a text")
        time.sleep(1)

    burst()
    before = resident_mib()
    for _ in range(3):
        burst()
    assert resident_mib() < before + 10
