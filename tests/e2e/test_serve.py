"""The demo model behind a socket, as a user serves it: asked by several at once, reloaded, stopped, killed, bounded."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import edgewright, second
from debian import need

from edgewright.errors import ConnectionLost, DataError, DeviceError, UsageError
from edgewright.serving.client import Client

CHARMING = "a charming and often affecting journey"


def serving(bundle, path, *words, **env):
    """A server process."""
    argv = [sys.executable, "-m", "edgewright", "serve", bundle, "--socket", path, *words]
    environment = {**os.environ, **env}
    return subprocess.Popen([*map(str, argv)], env=environment, stderr=subprocess.PIPE, text=True)


def reached(path, process, timeout_s=60.0):
    """A client, as soon as there is a server."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            return Client(path, timeout_s=timeout_s)
        except DeviceError:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.fixture
def served(demo_bundle, tmp_path):
    """A link to the demo bundle, served; its socket and process."""
    (tmp_path / "current").symlink_to(demo_bundle)
    process = serving(tmp_path / "current", tmp_path / "s")
    reached(tmp_path / "s", process).close()
    yield tmp_path / "s", process
    process.kill()
    process.wait()
    process.stderr.close()


def test_a_served_model_from_first_to_last(served, demo_bundle):
    path, process = served
    texts = [CHARMING, "it drags", "", "caf\u00e9 \U0001f600"]
    assert edgewright("ask", path, *texts, "--json") == edgewright("run", demo_bundle, *texts, "--json")
    health = json.loads(edgewright("ask", path, "--health"))
    assert (health["status"], health["artifact"], health["answered"]) == ("ok", "onnx/int8", 4)
    with Client(path) as ask:
        assert ask(CHARMING)[0]["label"] == "positive"
        assert ask([]) == []
        pair = {"text": "good", "text_pair": "bad"}
        assert ask([pair]) == [ask(pair)]
        assert [row["text"] for row in ask.rows(["\ud800"])] == ["\ufffd"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        with pytest.raises(ConnectionLost):
            ask(CHARMING)
    assert not path.exists()
    assert "no model is served at" in edgewright("ask", path, "--health", check=5)


def test_bad_requests_are_records_and_the_connection_goes_on(served):
    path, _ = served
    with Client(path) as ask:
        for bad, kind in (
            ({"texts": [3]}, DataError),
            ({"text": "a"}, UsageError),
            ({"texts": ["a"] * 1025}, DataError),
        ):
            with pytest.raises(kind):
                ask._ask(bad, "rows")
        long = "a" * 2**20
        with pytest.raises(DataError, match="the request has more than 1048576 bytes"):
            ask(long)
    with Client(path) as ask:
        assert ask(CHARMING)[0]["label"] == "positive"


def test_a_long_request_keeps_no_one_waiting(served):
    path, _ = served
    with Client(path) as greedy, Client(path) as quick:
        many = threading.Thread(target=greedy.rows, args=([f"{CHARMING} {n}" * 8 for n in range(400)],))
        many.start()
        time.sleep(0.05)
        for _ in range(5):
            assert quick(CHARMING)[0]["label"] == "positive"
        assert many.is_alive()
        many.join()


def test_connections_are_bounded(demo_bundle, tmp_path):
    process = serving(demo_bundle, tmp_path / "s", "--max-connections", "2")
    try:
        with reached(tmp_path / "s", process) as one, Client(tmp_path / "s") as two:
            assert one(CHARMING) == two(CHARMING)
            with Client(tmp_path / "s", timeout_s=1) as three, pytest.raises(ConnectionLost, match="gave no answer"):
                three(CHARMING)
            assert one(CHARMING) == two(CHARMING), "who was there first was dropped"
        with Client(tmp_path / "s") as four:
            assert four.health()["status"] == "ok"
    finally:
        process.terminate()
        process.communicate()


def test_a_signal_lets_it_follow_the_link_and_a_bad_release_changes_nothing(served, demo_bundle, tmp_path):
    path, process = served
    newer = second(demo_bundle, tmp_path / "newer")
    broken = shutil.copytree(newer, tmp_path / "broken")
    (broken / "onnx/model_quantized.onnx").write_bytes(b"x" * (broken / "onnx/model_quantized.onnx").stat().st_size)

    def follow(to):
        (tmp_path / "new").symlink_to(to)
        (tmp_path / "new").rename(tmp_path / "current")
        process.send_signal(signal.SIGHUP)
        return process.stderr.readline()

    with Client(path) as ask:
        assert ask.health()["version"] == 0
        assert follow(newer) == "edgewright: serving newer\n"
        assert ask.health()["version"] == 2
        assert follow(broken).startswith("edgewright: still serving newer: onnx/model_quantized.onnx has SHA-256")
        assert ask.health()["version"] == 2


def test_a_killed_server_leaves_a_socket_that_the_next_one_takes(served, demo_bundle):
    path, process = served
    assert "is served by another process" in edgewright("serve", demo_bundle, "--socket", path, check=3)
    process.kill()
    process.wait()
    assert path.exists()
    other = serving(demo_bundle, path)
    with reached(path, other) as ask:
        assert ask(CHARMING)[0]["label"] == "positive"
    other.terminate()
    other.communicate()


def test_systemd_is_told_and_fed(demo_bundle, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        process = serving(demo_bundle, tmp_path / "s", NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000")
        said = [manager.recv(999) for _ in range(3)]
        assert f"READY=1\nSTATUS=serving {demo_bundle.name}".encode() in said
        assert said.count(b"WATCHDOG=1") == 2
        with Client(tmp_path / "s") as ask:
            assert ask.health()["status"] == "ok"
        process.terminate()
        while b"STOPPING=1" not in said:
            said.append(manager.recv(999))
        process.communicate()
        assert process.returncode == 0


def test_by_socket_activation(demo_bundle, tmp_path):
    need("systemd-socket-activate", "systemd")
    argv = [
        "systemd-socket-activate",
        "--listen",
        tmp_path / "s",
        sys.executable,
        "-m",
        "edgewright",
        "serve",
        demo_bundle,
    ]
    process = subprocess.Popen([*map(str, argv)], stderr=subprocess.PIPE, text=True)
    with reached(tmp_path / "s", process) as ask:
        assert ask(CHARMING)[0]["label"] == "positive"
    process.terminate()
    process.communicate()
    assert process.returncode == 0
