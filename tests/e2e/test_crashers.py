"""An artifact of ours with one byte changed, hashes right, inputs and outputs as they were, that kills its engine.

Wherever it is opened a child dies alone: whoever asked gets one line and an exit code, and lives.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SENTENCES, _written, edgewright
from lighter import first

from edgewright.bundle.bundle import Bundle
from edgewright.bundle.external_data import check_file
from edgewright.errors import ChildFailed, EdgewrightError
from edgewright.inference.pipeline import load
from edgewright.inference.run_batches import RUN, RunRequest
from edgewright.proof.verify import encoded
from edgewright.system import arrays
from edgewright.system.child import Limits, call

HEAD = range(160, 400)
"""Where a TFLite file has the offsets of its tables; two in a hundred of its bytes do it."""


def names(data):
    """The first byte of each name of an operator in a .pte file: one that is no UTF-8 cannot even be told."""
    return [match.start() for match in re.finditer(rb"aten::[a-z_]{3,}", data[:PROGRAM])]


PROGRAM = 2**16
"""A .pte file begins with its program; the weights follow."""
KINDS = {
    "tflite": ("litert", ("ai_edge_litert.interpreter",), lambda _: HEAD),
    "executorch": ("executorch", ("torch", "executorch.extension.pybindings.portable_lib"), names),
}
"""Of each format the engine, what a child of it imports, and the bytes of a file to try."""
DIED = "died of SIG"


def alone(bundle, out, format_):
    """A bundle of one artifact of another, at fp32."""
    found = Bundle.open(bundle)
    kept = found.choose(format=format_, precision="fp32")
    for name in ["manifest.json", kept.path, *(file.path for file in found.manifest.files)]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes((bundle / name).read_bytes())
    tree, golden = (json.loads((out / f"{name}.json").read_text()) for name in ("manifest", "golden"))
    tree["artifacts"] = [one for one in tree["artifacts"] if one["path"] == kept.path]
    for case in golden["cases"]:
        case["outputs"] = {kept.path: case["outputs"][kept.path]}
    (out / "golden.json").write_text(json.dumps(golden))
    return _written(out, tree, "golden.json"), kept.path


def fatal(format_, bundle, path, work):
    """The bytes of an artifact with one changed, of which its engine dies in a child."""
    engine, preload, spots = KINDS[format_]
    data = (bundle / path).read_bytes()
    task, encodings = encoded(Bundle.open(bundle), quick=True)
    arrays.save(work / "feeds.npz", [batch for encoding in encodings for batch in encoding.batches])
    for at in spots(data):
        spoiled = work / f"spoiled{Path(path).suffix}"
        spoiled.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
        request = RunRequest(
            name="spoiled",
            engine=engine,
            artifact=spoiled,
            feeds=work / "feeds.npz",
            out=work / "out.npz",
            outputs=task.outputs,
        )
        try:
            check_file(format_, spoiled, path, None)
            call(RUN, request, preload=preload, limits=Limits(memory_mib=2048, timeout_s=20.0))
        except ChildFailed as error:
            if DIED in error.message:
                return spoiled.read_bytes()
        except EdgewrightError:
            pass
    return pytest.fail("no byte of its head kills the engine")


@pytest.fixture(scope="module")
def crasher(request, tmp_path_factory):
    """A bundle that is whole, and whose artifact kills its engine."""
    out = tmp_path_factory.mktemp("crasher") / "bundle"
    bundle, path = alone(request.getfixturevalue(f"{request.param}_bundle"), out, request.param)
    data = fatal(request.param, bundle, path, tmp_path_factory.mktemp("work"))
    (bundle / path).write_bytes(data)
    tree = json.loads((bundle / "manifest.json").read_text())
    tree["artifacts"][0]["sha256"] = hashlib.sha256(data).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(tree))
    Bundle.open(bundle).check_hashes()
    return bundle


COMMANDS = [
    ("run", "{bundle}", "a fine film"),
    ("verify", "{bundle}", "-q"),
    ("verify", "{bundle}", "--quick", "-q"),
    ("eval", "{bundle}", "--data", SENTENCES, "-q"),
    ("bench", "{bundle}", "--runs", "2", "-q"),
    ("profile", "{bundle}"),
    ("flash", "{bundle}", "local", "--root", "{root}", "--python", sys.executable, "-q"),
    ("serve", "{bundle}", "--socket", "{root}/socket"),
]
EVERY = [("tflite", words) for words in COMMANDS]
EVERY += [("executorch", words) for words in COMMANDS if words[0] in ("run", "flash", "serve")]
"""The others go the same ways, and each imports torch, which takes seconds."""


@pytest.mark.parametrize(
    ("crasher", "words"),
    first(len(COMMANDS), EVERY),
    ids=lambda one: one if isinstance(one, str) else one[0],
    indirect=["crasher"],
)
def test_a_command_lives_and_says_it_in_a_line(crasher, tmp_path, words, capfd):
    root = tmp_path / "root"
    if words[0] == "serve":
        root.mkdir(mode=0o700)
    given = [str(word).format(bundle=crasher, root=root) for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", *given], capture_output=True, text=True, check=False, timeout=300
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("edgewright: ") and "tsv: " not in line]
    assert 2 <= done.returncode <= 6, done.stderr
    assert len(lines) == 1, done.stderr
    assert "SIG" in lines[0], lines
    assert "Traceback" not in done.stderr
    with capfd.disabled():
        print(f"\n{words[0]}: {done.returncode}, {lines[0][12:150]}", end="")


@pytest.mark.parametrize("crasher", first(1, KINDS), indirect=True)
def test_a_program_that_loads_it_lives(crasher, monkeypatch, tmp_path):
    """In this very process; nothing is remembered of what was not survived."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        with pytest.raises(ChildFailed, match=r"(tflite|pte) is not opened: (litert|executorch) died of SIG"):
            load(crasher)
    assert not list(tmp_path.rglob("opened/*"))


def test_what_was_verified_is_opened_at_once(tflite_bundle, monkeypatch, tmp_path):
    """A child looks at what is new, once; `verify` has looked."""
    bundle, _ = alone(tflite_bundle, tmp_path / "bundle", "tflite")
    looked = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("edgewright.inference.first_look.call", lambda *given, **_: looked.append(given))
    load(bundle).close()
    load(bundle).close()
    assert len(looked) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    edgewright("verify", bundle, "-q")
    load(bundle).close()
    assert len(looked) == 1
