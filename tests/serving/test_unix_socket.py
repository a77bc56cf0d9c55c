"""Sockets to listen on: private, taken over from the dead alone; and what is said to systemd, by real datagrams."""

import os
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from edgewright.bundle.bundle import Bundle
from edgewright.errors import ConnectionLost, DataError, DeviceError, StorageError, UsageError
from edgewright.inference.pipeline import load
from edgewright.serving import client
from edgewright.serving.client import Client
from edgewright.serving.model import Model, items_of, parsed
from edgewright.serving.systemd import inherited, notify, watchdog_s
from edgewright.serving.unix_socket import listening


def test_a_socket_is_private_and_goes_with_its_server(tmp_path):
    path = tmp_path / "s"
    with listening(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()


def test_a_socket_of_a_dead_server_is_taken_over(tmp_path):
    path = tmp_path / "s"
    code = "import os, pathlib\nfrom edgewright.serving.unix_socket import listening\n"
    code += f"with listening(pathlib.Path({str(path)!r})):\n    os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    assert path.exists()
    with listening(path) as server:
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_living_server_keeps_its_socket(tmp_path):
    path = tmp_path / "s"
    with listening(path) as server:
        server.listen()
        with pytest.raises(StorageError, match="is served by another process; stop it"), listening(path):
            pass
        assert path.exists()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(StorageError, match="is served by another program"), listening(path):
            pass
    assert path.exists()


def test_what_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "s"
    path.write_text("mine")
    with pytest.raises(StorageError, match="exists and is no socket"), listening(path):
        pass
    assert path.read_text() == "mine"


def test_places_that_cannot_be(tmp_path):
    with (
        pytest.raises(UsageError, match=r"has 1\d\d bytes, a socket's path at most 107"),
        listening(tmp_path / ("x" * 99)),
    ):
        pass
    with pytest.raises(StorageError, match="No such file"), listening(tmp_path / "absent" / "s"):
        pass


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_is_told(tmp_path, monkeypatch, abstract):
    name = f"edgewright-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
        notify("READY=1", "STATUS=serving it")
        assert manager.recv(999) == b"READY=1\nSTATUS=serving it"
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("READY=1")


@pytest.mark.parametrize(("pid", "usec", "due_s"), [(None, "3000000", 3), ("1", "3000000", 0), (None, "", 0)])
def test_the_watchdog_of_this_process_alone(monkeypatch, pid, usec, due_s):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))
    assert watchdog_s() == due_s


def test_sockets_of_another_process_are_not_inherited(monkeypatch):
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert inherited() is None


# requests


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "the request is not acceptable JSON"),
        (b'{"health": NaN}', "NaN is not JSON"),
        (b'{"texts": [], "texts": []}', "'texts' stands twice"),
        (b"[" * 99999, "the request is not acceptable JSON"),
        (b"[]", "is neither texts nor health; send"),
        (b'{"texts": [], "health": true}', "is neither texts nor health"),
        (b'{"model": "x"}', "is neither texts nor health"),
    ],
)
def test_requests_that_cannot_be(line, words):
    with pytest.raises((DataError, UsageError), match=words):
        parsed(line)


def test_a_request_may_have_options():
    line = b'{"texts": ["a"], "options": {"top_k": 2}}'
    assert parsed(line) == {"texts": ["a"], "options": {"top_k": 2}}
    with pytest.raises(UsageError, match="the options of the request are no object"):
        parsed(b'{"texts": ["a"], "options": ["top_k"]}')
    with pytest.raises(UsageError, match="neither texts nor health"):
        parsed(b'{"health": true, "options": {}}')


def test_options_are_those_of_the_task(live):
    model = Model(Bundle.open(live), load(live))
    pair = {"text": "good", "text_pair": "bad"}
    assert [one["label"] for one in model.row("good", {"top_k": 2})["answer"]] == ["negative", "positive"]
    assert model.row(pair, {})["text"] == pair
    assert model.row("good", {"truncate_dim": 2})["error"]["code"] == "usage-error"
    assert model.row({"question": "a"}, {})["error"]["code"] == "data-error"


def test_items_are_texts_and_pairs():
    pair = {"text": "b", "text_pair": "c"}
    assert items_of(["a", pair], 2) == ["a", pair]
    with pytest.raises(DataError, match="3 texts, at most 2 are answered; split the request"):
        items_of(["a"] * 3, 2)
    with pytest.raises(DataError, match=r"texts are no list; send \{"):
        items_of("a", 2)
    for bad in (3, ["a"], ["a", 3], None):
        with pytest.raises(DataError, match=r"texts\[1\] is neither a string nor an object"):
            items_of(["a", bad], 2)


# the client


def test_the_client_is_the_standard_library_alone():
    code = "import sys\nbefore = set(sys.modules)\nfrom edgewright.serving.client import Client\n"
    code += "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"edgewright"}


def test_no_server_is_said(tmp_path):
    with pytest.raises(
        DeviceError, match=r"no model is served at .*/s: No such file or directory; start it: edgewright serve"
    ):
        Client(tmp_path / "s")


def test_an_answer_that_is_too_long_is_said_and_its_rest_is_not_taken_for_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "_MOST_BYTES", 100)
    with listening(tmp_path / "s") as server:
        server.listen()

        def answer():
            connection, _ = server.accept()
            with connection, suppress(BrokenPipeError):  # the third has nobody to read it
                for size in (100, 150, 100):
                    connection.recv(1000)
                    connection.sendall(b'{"rows": []}'.ljust(size - 1) + b"\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with Client(tmp_path / "s") as ask:
            assert ask.rows(["a"]) == []
            with pytest.raises(DeviceError, match=r"/s has more than 100 bytes, .*; split the request"):
                ask.rows(["a"])
            with pytest.raises(ConnectionLost, match="gave no answer"):
                ask.rows(["a"])
