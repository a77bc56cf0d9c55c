"""Bundles that several exports are made of, each built once for all workers."""

import fcntl
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A bundle of a task and the C project made of it."""
    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "exporting"
    root.mkdir(exist_ok=True)

    def make(family, task, labels=()):
        place = root / task
        with place.with_suffix(".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (place / "c").exists():
                _make(place, family, task, labels)
        return place

    return make


def _make(place, family, task, labels):
    import tiny_models

    import edgewright
    from edgewright.exporting.c import export_c

    source = tiny_models.make(family, task, place / "source", labels=labels, length=64, std=0.3)
    edgewright.build(source, task=task, formats=["onnx"], precisions=["fp32"], out=place / "bundle")
    export_c(place / "bundle", out=place / "c")
