"""What tools/peers_bulk.py says: rates beside the limit of the machine, and nothing of a run that others disturbed."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import peers_bulk

RATIO = {"value": 0.5, "low": 0.45, "high": 0.55}


def side(name, per_s, peak=100.0):
    return {
        "name": name,
        "per_s": per_s,
        "ours_by_it": RATIO,
        "peak_mib": peak,
        "mean_cosine": 0.99,
        "lowest_cosine": 0.97,
    }


@pytest.fixture
def record():
    names = ("edgewright, ONNX int8, 2 workers", "edgewright run --workers 2, from cold", "sentence-transformers, fp32")
    return {
        "began": "2026-01-02T03:04:05Z",
        "others": 0.01,
        "threads": 2,
        "texts": 872,
        "sentences": "SST-2's dev set",
        "processes": 5,
        "machine": {"model": "A Board"},
        "limits": {"per_s": {"fp32": 400.0, "int8": 2000.0}},
        "sides": [side(names[0], 800.0), side(names[1], 700.0, None), side(names[2], 100.0)],
        "left_out": {"OpenVINO, fp32": "could not be installed"},
    }


def test_a_rate_stands_beside_the_limit_of_its_precision(record):
    lines = peers_bulk.markdown(record).splitlines()
    assert "400 a second in fp32, 2000 a second in int8" in lines[0]
    assert "| edgewright, ONNX int8, 2 workers | 800 | 40% |  | 100 | 0.9900, 0.970 |" in lines
    assert "| edgewright run --workers 2, from cold | 700 | 35% | 0.50 (0.45 to 0.55) |  | 0.9900, 0.970 |" in lines
    assert "| sentence-transformers, fp32 | 100 | 25% | 0.50 (0.45 to 0.55) | 100 | 0.9900, 0.970 |" in lines
    assert "Left out: OpenVINO, fp32: could not be installed." in lines


def test_a_run_that_others_disturbed_gives_no_figures(record):
    said = peers_bulk.markdown({**record, "others": 0.2})
    assert said == "Void: other processes took 20% of the machine meanwhile.\n"
