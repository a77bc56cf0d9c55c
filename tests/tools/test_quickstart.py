"""What the quickstart prints: sides measured in turn, and no number that is void."""

import sys
from pathlib import Path

import pytest
from measured import ARTIFACT, row, samples
from msgspec.structs import replace

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import quickstart  # noqa: E402

from edgewright.bundle.manifest import Score  # noqa: E402


def side(name, centre, **fields):
    artifact = replace(ARTIFACT, format=name, score=Score("accuracy", 85.8, 268, "sentences.tsv", 85.8))
    return [
        row(samples(at), artifact=artifact, tokens=tokens, **fields) for tokens, at in ((16, centre), (128, 9 * centre))
    ]


ALSO_VOID = {"grade": "void", "reasons": ("other processes took 38% of the machine",)}
VOID = {"grade": "void", "reasons": ("other processes took 40% of the machine",)}


def test_a_table_of_sound_rows():
    text = quickstart.table([side("eager", 4.0), side("onnx", 1.0)])
    assert "eager fp32" in text
    assert "(25%)" in text.splitlines()[-1]
    assert "void" not in text


@pytest.mark.parametrize(("eager", "onnx"), [({}, VOID), (VOID, {}), (VOID, VOID), (ALSO_VOID, VOID)])
def test_void_cells_say_void_and_no_share_is_told(eager, onnx):
    text = quickstart.table([side("eager", 4.0, **eager), side("onnx", 1.0, **onnx)])
    line = next(line for line in text.splitlines() if line.lstrip().startswith("onnx fp32"))
    assert "%)" not in line
    assert "void" in line
    assert text.endswith("void: other processes took 40% of the machine. Measure again when nothing else runs here.")
