"""The demo model on a device without Python, over a real adb connection: a runner and an engine are all it has."""

import json
import random
import struct
import subprocess

import pytest
from adb_world import ADBD
from conftest import SENTENCES, edgewright, only, rows, second
from debian import need
from native import SANITIZED, compiled, engine

from edgewright.boards.connect import board_behind, connect
from edgewright.boards.flash import flash, status
from edgewright.bundle.bundle import Bundle
from edgewright.contracts.transport import Completed
from edgewright.devices._emulation.boards import emulated
from edgewright.devices._native.board import NativeBoard
from edgewright.devices._native.talk import Talk
from edgewright.devices.local import Local
from edgewright.devices.qemu import Qemu
from edgewright.errors import ConnectionLost, DeviceError, GateFailed

URL = f"adb://127.0.0.1:{ADBD}"
TEXT = "a charming and often affecting journey"


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("runner") / "edgewright-run")


@pytest.fixture(scope="module")
def int8(tflite_bundle, tmp_path_factory):
    return only(tflite_bundle, tmp_path_factory.mktemp("int8") / "1", "int8")


@pytest.fixture
def there(tmp_path):
    return ["--root", tmp_path / "board"]


@pytest.mark.usefixtures("adb_world")
def test_a_device_without_python_from_first_to_last(int8, runner, there, tmp_path):
    flashed = json.loads(
        edgewright("flash", int8, URL, *there, "--runner", runner, "--engine", engine(), "--json", "-q")
    )
    assert [(row["engine"], row["golden"]) for row in flashed["rows"]] == [("litert", "7 of 7")]
    on = ["--device", URL, *there]
    assert [row["golden"] for row in rows("verify", int8, *on, "-q")] == ["7 of 7"]
    assert json.loads(edgewright("run", int8, TEXT, *on))["answer"][0]["label"] == "positive"
    few = tmp_path / "few.tsv"
    few.write_text("".join(SENTENCES.read_text().splitlines(keepends=True)[:21]))
    (scored,) = rows("eval", int8, *on, "--data", few, "-q")
    (here,) = rows("eval", int8, "--data", few, "-q")
    assert scored["score"] == here["score"]
    (row,) = rows("bench", int8, *on, "--tokens", "16", "--processes", "2", "--runs", "5", "--least-ms", "5", "-q")
    assert row["median_ms"] > 0
    assert row["peak_rss_mib"] > 5
    assert (row["answer_ms"], row["engine_version"]) == (None, "by a runner, tokenization not included")
    after = json.loads(edgewright("flash", second(int8, tmp_path / "2"), URL, *there, "--json", "-q"))["flash"]
    assert (after["sent"], after["version"]) == (["config.json"], 2)
    assert "000001-" in edgewright("rollback", URL, *there, "-q")
    found = rows("status", URL, *there)
    assert [(row["role"], row["problem"]) for row in found] == [("previous", None), ("active", None)]
    assert "2 releases removed" in edgewright("uninstall", URL, *there)
    assert not (tmp_path / "board").exists()


@pytest.mark.usefixtures("adb_world")
def test_a_connection_that_is_cut_leaves_the_old_release_and_the_next_try_completes(
    int8, runner, tmp_path, monkeypatch
):
    device = board_behind(connect(URL), root=str(tmp_path / "board"), runner=str(runner), engine=str(engine()))
    first = flash(int8, device)
    newer, ask, left = second(int8, tmp_path / "2"), Talk.ask, iter(range(60))

    def asked(talk, letter, *fields, timeout_s=60.0):
        if next(left, None) is None:
            monkeypatch.setattr(Talk, "ask", ask)
            subprocess.run(["adb", "disconnect"], capture_output=True, check=True)
        return ask(talk, letter, *fields, timeout_s=timeout_s)

    monkeypatch.setattr(Talk, "ask", asked)
    with pytest.raises(ConnectionLost, match="broke"):
        flash(newer, device)
    assert status(device).active == first.release
    assert flash(newer, device).version == 2
    blob = tmp_path / "board" / "current" / "config.json"
    blob.chmod(0o644)
    blob.write_bytes(b"#" + blob.read_bytes()[1:])
    on = ["--device", URL, "--root", tmp_path / "board"]
    assert "damaged: config.json" in edgewright("status", URL, *on[2:], check=5)
    assert "config.json" in edgewright("verify", "-", *on, check=3)
    assert "000001-" in edgewright("rollback", URL, *on[2:], "--heal", "-q")
    assert rows("verify", "-", *on, "-q")[0]["golden"] == "7 of 7"
    device.close()


def wrong(monkeypatch):
    """Let every inference of a runner give -1 and 1."""
    ask = Talk.ask

    def asked(talk, letter, *fields, timeout_s=60.0):
        said = ask(talk, letter, *fields, timeout_s=timeout_s)
        return said._replace(fields=[said.fields[0], struct.pack("<2f", -1, 1)]) if letter == b"R" else said

    monkeypatch.setattr(Talk, "ask", asked)


def test_a_new_runner_is_proven_with_the_active_release_before_it_comes_into_use(int8, runner, tmp_path):
    root, chosen = str(tmp_path / "board"), tmp_path / "board/native/chosen"
    device = NativeBoard.over(Local(), root=root, runner=str(runner), engine=str(engine()))
    flash(int8, device)
    newer, newer_runner = second(int8, tmp_path / "2"), compiled(tmp_path / "run", flags=("-O1",))
    subprocess.run(["gcc", "-shared", "-x", "c", "/dev/null", "-o", tmp_path / "libLiteRt.so"], check=True)
    with pytest.raises(DeviceError, match="does not load on the device: this engine has no LiteRtCreateEnvironment; "):
        flash(newer, NativeBoard.over(Local(), root=root, engine=str(tmp_path / "libLiteRt.so")))
    other = NativeBoard.over(Local(), root=root, runner=str(newer_runner))
    with pytest.MonkeyPatch.context() as patch:
        wrong(patch)
        with pytest.raises(GateFailed, match=r"outputs differ by"):
            flash(newer, other)
    assert chosen.read_text().split() == list(device.programs) != list(other.programs)
    assert status(device).current.startswith("000001-")
    assert flash(newer, other).version == 2
    assert chosen.read_text().split() == list(other.programs)
    assert sorted(path.name for path in chosen.parent.iterdir()) == sorted([*other.programs, "chosen"])
    device.close()
    other.close()


def test_a_wrong_answer_of_the_runner_fails_the_self_test(int8, runner, tmp_path, monkeypatch):
    device = NativeBoard.over(Local(), root=str(tmp_path / "board"), runner=str(runner), engine=str(engine()))
    wrong(monkeypatch)
    with pytest.raises(GateFailed, match=r"the self-test failed: .*outputs differ by .*, at most .* is allowed"):
        flash(int8, device)
    assert status(device).active == ""
    device.close()


def test_no_request_makes_the_runner_do_what_c_forbids(int8, tmp_path):
    """With the real engine in it, whose own memory is not looked at."""
    sanitized = compiled(tmp_path / "run", flags=SANITIZED)
    chance = random.Random(3)
    frames = b""
    for _ in range(150):
        fields = [struct.pack("<Q", chance.choice((0, 1, 2, 5, 2**63)))]
        fields += [chance.randbytes(chance.choice((0, 8, 64, 64, 128, 512))) for _ in range(chance.randrange(4))]
        if chance.random() < 0.3:
            fields = [struct.pack("<Q", chance.choice((0, 1, 3, 2**40))) for _ in range(5)] + fields
        if chance.random() < 0.3:
            fields = [struct.pack("<Q", 0), *[struct.pack("<16i", *([1] * 16))] * 3]
        body = chance.choice((b"R", b"B", b"T", b"?")) + b"".join(struct.pack("<I", len(f)) + f for f in fields)
        frames += struct.pack("<I", len(body)) + body[: len(body) - chance.choice((0, 0, 0, 0, 3))]
    argv = [str(sanitized), "infer", str(engine()), str(int8 / "tflite/model_int8.tflite"), "1", "60"]
    env = {"ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(argv, input=frames, capture_output=True, env=env, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    assert b"Sanitizer" not in done.stderr
    assert b"runtime error" not in done.stderr
    assert len(done.stdout) > 2000


class Shelled(Qemu):
    """An emulated board, which has no shell: the lines of a first look run on this machine, on the same files."""

    def _run(self, argv, *, timeout_s, stdin):
        if argv[0] != "sh":
            return super()._run(argv, timeout_s=timeout_s, stdin=stdin)
        done = subprocess.run(list(argv), input=stdin, capture_output=True, timeout=timeout_s, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)


def test_on_an_emulated_cortex_a72_the_golden_outputs_agree(int8, tmp_path):
    need("qemu-aarch64", "qemu-user")
    try:
        if not emulated("cortex-a72").made_of():
            Qemu.prepare("cortex-a72")
    except DeviceError as error:
        if "cannot fetch" not in str(error):
            raise
        pytest.skip(f"no board can be emulated here: {error}")
    need("/usr/aarch64-linux-gnu/include/stdio.h", "libc6-dev-arm64-cross")  # only recommended by the compiler
    runner = compiled(tmp_path / "run", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    spot = emulated("cortex-a72")
    library = spot.cache / spot.made_of()["userland"] / "wheels" / "ai_edge_litert" / "libLiteRt.so"
    device = NativeBoard.over(
        Shelled("cortex-a72"), root=str(tmp_path / "board"), runner=str(runner), engine=str(library)
    )
    done = flash(int8, device)
    assert [(row["engine"], row["golden"]) for row in done.rows] == [("litert", "7 of 7")]
    assert Bundle.open(tmp_path / "board" / "current").manifest.artifacts[0].format == "tflite"
    device.close()
