import json
import subprocess
import sys

import pytest

from edgewright import registry
from edgewright.cli import _on_device
from edgewright.errors import DeviceError, GateFailed


def fails(run, code, *argv):
    """The one line that a command ends with."""
    found, out, err = run(*argv)
    assert (found, out) == (code, ""), err
    assert err.startswith("edgewright: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_lists_every_command(run, word):
    code, out, _ = run(word)
    assert code == 0
    assert all(f"  {name} " in out for name in registry.names("cli"))


def test_a_call_without_a_command_shows_the_help(run):
    _, out, err = run()
    assert all(f"\n  {name} " in out + err for name in registry.names("cli"))


@pytest.mark.parametrize("name", registry.names("cli"))
def test_every_command_has_help(run, name):
    code, out, _ = run(name, "--help")
    assert (code, out.startswith(f"Usage: edgewright {name} ")) == (0, True)
    assert "--json" in out or "Commands:" in out


@pytest.mark.parametrize(
    "argv",
    [
        ["nonsense"],
        ["inspect"],
        ["inspect", "a", "b"],
        ["inspect", "a", "--nonsense"],
        ["build", "model"],
        ["run", "bundle", "text", "--input", "file"],
        ["run", "bundle", "text", "--threads", "many"],
        ["bench", "bundle", "--tokens", "16,many"],
        ["export", "mediapipe", "bundle"],
        ["export", "nonsense", "bundle", "--out", "o"],
        ["build", "model", "--out", "o", "--format", ","],
        ["build", "model", "--out", "o", "--release-version", "-1"],
        ["flash", "bundle"],
        ["flash", "bundle", "carrier-pigeon://home"],
        ["rollback", "carrier-pigeon://home"],
        ["status"],
        ["sign", "bundle"],
        ["verify", "bundle", "--revoked", "list"],
        ["build", "model", "--out", "o", "--format", "nonsense"],
    ],
    ids=" ".join,
)
def test_a_call_that_cannot_be_meant_ends_with_2(run, argv):
    fails(run, 2, *argv)


@pytest.mark.parametrize("name", ["inspect", "verify", "run", "bench", "eval", "flash", "sign"])
def test_a_bundle_that_is_not_there_ends_with_3(run, tmp_path, name):
    more = {"run": ["text"], "eval": ["--data", "d.tsv"], "flash": ["local"], "sign": ["--key", "k"]}.get(name, [])
    line = fails(run, 3, name, tmp_path / "gone", *more)
    assert line == (
        f"edgewright: bundle-error: {tmp_path}/gone does not exist; "
        "give the directory that `edgewright build --out` wrote\n"
    )


def test_a_bad_source_ends_with_3_and_leaves_nothing(run, tmp_path):
    assert "source-error: " in fails(run, 3, "build", tmp_path / "gone", "--out", tmp_path / "deep/out")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_precision_is_refused_before_the_source_is_read(run, tmp_path):
    line = fails(run, 2, "build", tmp_path / "gone", "--out", tmp_path / "out", "--precision", "int8,int-4")
    assert "unknown precision 'int-4', did you mean int4?; choose from fp32, fp16, int8, int8-static, int4" in line


def test_a_precision_that_cannot_work_is_refused_before_the_source_is_read(run, tmp_path):
    given = ["--format", "ort", "--precision", "fp16"]
    line = fails(run, 3, "build", tmp_path / "gone", "--out", tmp_path / "out", *given)
    assert "unsupported-conversion: ort at precision 'fp16' is not supported: its optimizer turns " in line


@pytest.mark.parametrize("path", ["onnx/model.onnx", "golden.json", "tokenizer.json"])
def test_verify_finds_a_changed_file(run, bundle_dir, path):
    data = (bundle_dir / path).read_bytes()
    (bundle_dir / path).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert f"bundle-error: {path} has SHA-256" in fails(run, 3, "verify", bundle_dir, "-q")


def test_verify_finds_another_tokenization(run, bundle_dir):
    line = fails(run, 3, "verify", bundle_dir, "-q")
    assert "golden case 'not bad' has " in line
    assert " token ids, recorded 3, first difference at 1; is this tokenizers version" in line


def test_a_length_over_the_models_is_refused(run, bundle_dir):
    line = fails(run, 2, "bench", bundle_dir, "--tokens", "16,65")
    assert "lengths 16, 65 were asked, the model takes 1 to 64 tokens" in line


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("m.gguf", b"GGUF", "is a directory with m.gguf, a GGUF file"),
        ("model.onnx", b"", "is a directory with model.onnx, an ONNX file, already converted"),
        ("config.json", b'{"model_type": "zzz", "auto_map": {"AutoModel": "m.M"}}', "is a model of custom code"),
        ("model.tflite", b"", "is a directory with model.tflite, a TFLite file"),
    ],
)
def test_what_a_directory_is_is_said_also_where_no_command_takes_it(run, tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    code, out, err = run("inspect", tmp_path)
    assert (code, err) == (0, "")
    assert said in out
    assert len(out.strip().splitlines()) == 1


def test_inspect_shows_the_bundle(run, bundle_dir):
    code, out, err = run("inspect", bundle_dir)
    assert (code, err) == (0, "")
    for word in (
        "text-classification",
        "negative, positive",
        "64 tokens",
        "onnx/model.onnx",
        "953 B",
        "90.50 % accuracy",
    ):
        assert word in out


def test_inspect_as_json_is_one_object(run, bundle_dir):
    code, out, _ = run("inspect", bundle_dir, "--json")
    record = json.loads(out)
    assert (code, out.count("\n")) == (0, 1)
    assert record["manifest"] == json.loads((bundle_dir / "manifest.json").read_text())
    assert record["rows"][0]["score"] == {"metric": "accuracy", "value": 90.5, "n": 200, "data": "dev.tsv"}


@pytest.mark.parametrize("field", ["labels", "licence", "toolchain"])
def test_inspect_passes_no_control_characters_on(run, bundle_dir, field):
    path, evil = bundle_dir / "manifest.json", "\x1b[2J\x1b]0;title\x07"
    tree = json.loads(path.read_text())
    tree["settings"]["labels"][0] = evil if field == "labels" else "negative"
    tree["source"]["licence"] = evil if field == "licence" else "mit"
    tree["toolchain"]["numpy"] = evil if field == "toolchain" else "2"
    path.write_text(json.dumps(tree))
    code, out, err = run("inspect", bundle_dir)
    assert code in (0, 3)
    assert "\x1b" not in out + err


@pytest.fixture
def failing(monkeypatch):
    """Let `inspect` raise something."""

    def arrange(error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr("edgewright.bundle.bundle.Bundle.open", fail)

    return arrange


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (GateFailed("cosine is 0.2", hint="look"), 4, "gate-failed: cosine is 0.2; look"),
        (
            ZeroDivisionError("division\nby zero"),
            70,
            "edgewright-error: ZeroDivisionError: division by zero; this is a bug",
        ),
    ],
)
def test_every_failure_is_one_line_and_its_code(run, failing, error, code, words):
    failing(error)
    assert words in fails(run, code, "inspect", "bundle")


def test_ctrl_c_ends_with_130(run, failing):
    failing(KeyboardInterrupt())
    code, out, err = run("inspect", "bundle")
    assert (code, out, err.strip()) == (130, "", "edgewright: interrupted; nothing was left behind")


@pytest.mark.parametrize("error", [GateFailed("no"), ZeroDivisionError("no")])
def test_the_traceback_is_shown_on_demand(run, failing, error):
    failing(error)
    _, _, err = run("inspect", "bundle", "-v")
    assert "Traceback (most recent call last)" in err
    assert "in fail" in err


def test_an_answer_that_cannot_be_written_is_no_success(bundle_dir):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        argv = [sys.executable, "-m", "edgewright", "inspect", str(bundle_dir)]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert "cannot write the answer: No space left on device" in done.stderr


def test_two_files_of_one_name_are_sent_to_a_board_under_two():
    """`verify --signers a/keys --revoked b/keys`: what is revoked must not be who may sign."""
    assert _on_device._sendable("a/keys") == "keys"
    assert _on_device._sendable("b/keys", {"keys"}) == "_keys"
    assert _on_device._sendable("c/keys", {"keys", "_keys"}) == "__keys"


@pytest.mark.parametrize(("command", "quiet"), [("run", False), ("profile", False), ("verify", True), ("eval", True)])
def test_a_board_is_asked_for_what_an_older_edgewright_knows(command, quiet, run, monkeypatch, tmp_path):
    """`run` and `profile` had no --quiet once."""
    asked = []

    class Board:
        def __init__(self, *_):
            self.native = False

        def ask(self, bundle, words, **_):
            asked.extend([bundle, *words])
            raise DeviceError("enough")

    monkeypatch.setattr(_on_device, "connect", Board)
    monkeypatch.setattr(_on_device, "board_behind", lambda *_, **__: Board())
    monkeypatch.setattr(_on_device, "Remote", Board)
    (tmp_path / "dev.tsv").write_text("text\tlabel\nfine\tpositive\n")
    data = ("--data", tmp_path / "dev.tsv") if command == "eval" else ()
    texts = ("good",) if command == "run" else ()
    assert run(command, "-", *texts, *data, "--device", "local", "-q")[0] == 5
    assert (asked[1], "--quiet" in asked) == (command, quiet)
