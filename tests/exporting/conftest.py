"""Bundles that several exports are made of, each built once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A bundle of a task and the C project made of it, once."""
    import tiny_models

    import edgewright
    from edgewright.exporting.c import export_c

    root, done = tmp_path_factory.mktemp("c"), {}

    def make(family, task, labels=()):
        if task not in done:
            place = root / task
            source = tiny_models.make(family, task, place / "source", labels=labels, length=64, std=0.3)
            edgewright.build(source, task=task, formats=["onnx"], precisions=["fp32"], out=place / "bundle")
            export_c(place / "bundle", out=place / "c")
            done[task] = place
        return done[task]

    return make
