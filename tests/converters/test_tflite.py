"""Every architecture meets the same parity test: tiny random models, the eager model as oracle, padded batches."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import ChildFailed, EngineError
from edgewright.registry import load

pytestmark = pytest.mark.slow
pytest.importorskip("transformers")
pytest.importorskip("litert_torch")
from tiny import ARCHITECTURES, batch, eager, spec  # noqa: E402

LENGTHS = [[1], [64], [12, 3, 1], [5, 5]]
LIMITS = {"fp32": 1e-5, "fp16": 0.02, "int8": 0.15, "int8-static": 0.5, "int4": 1.5}


def calibrated(precision, model, **fields):
    texts = [batch([n], seed=n) for n in (3, 7, 11, 16, 30, 50, 64)]
    texts = [{name: array for name, array in text.items() if name in model.inputs} for text in texts]
    return replace(spec(precision, model), calibration=texts, **fields)


def opened(path):
    return load("runtimes", "litert")().open(path, threads=1)


def worst(model, session, lengths):
    from edgewright.converters._eager import run

    feeds = batch(lengths, seed=len(lengths))
    want, got = run(model, feeds)["logits"], session.run(feeds)["logits"]
    assert got.shape == want.shape
    return float(np.abs(got - want).max()) / max(1.0, float(np.abs(want).max()))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def exported(request, tmp_path_factory):
    model = eager(request.param)
    path = tmp_path_factory.mktemp(request.param) / "model.tflite"
    load("converters", "tflite")().convert(model, spec("fp32", model), path)
    return model, opened(path)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_every_architecture_is_exact_in_fp32(exported, lengths):
    model, session = exported
    assert worst(model, session, lengths) <= LIMITS["fp32"]


@pytest.fixture(scope="module", params=["Bert", "Albert"])
def artifacts(request, tmp_path_factory):
    """All precisions of an architecture, from one converter."""
    model, converter = eager(request.param), load("converters", "tflite")()
    out = tmp_path_factory.mktemp(request.param)
    for precision in converter.precisions:
        rung = converter.ladder(precision)[0]
        converter.convert(model, calibrated(precision, model, keep_float=rung), out / f"{precision}.tflite")
    return model, out


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_precisions_stay_near_the_eager_model(artifacts, precision, lengths):
    model, out = artifacts
    assert worst(model, opened(out / f"{precision}.tflite"), lengths) <= LIMITS[precision]
