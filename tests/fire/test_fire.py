"""Thousands of bad inputs, the same in every run, to every reader: one of our errors each, and nothing else happens.

`tools/fire.py` gives them a hundred thousand others. What was found so is a small test of its own beside the reader's.
"""

import json
import os
from pathlib import Path

import pytest
from campaign import READERS, campaign
from readers import Seeds

from edgewright.model.source import open_source

EACH = int(os.environ.get("FIRE_EACH", "180"))
"""For each reader: together some 5,000, in a minute."""
SILENT = {"board_disk", "board_request", "child_answer", "kernel_files", "unit_file"}
"""They refuse by an answer, or by none, or so seldom that some inputs show none."""
FIRST = int(os.environ.get("FIRE_FIRST", "0"))


@pytest.fixture
def seeds(bundle_dir, source_dir, tmp_path):
    (tmp_path / "seeds").mkdir()
    return Seeds(bundle_dir, source_dir, tmp_path / "seeds")


BY_CHILD = {"source": 6}
"""Readers that ask a child with torch: one input of so many, as each takes a part of a second."""
QUICK = 20
"""Of them, of each reader, in the fast tests; the rest is for the slow ones."""


def every():
    """Name, first input and count of each test: for `tools/fire.py` all of a reader's in one, else some before the rest."""
    if "FIRE_EACH" in os.environ:
        return [pytest.param(name, 0, max(1, EACH // BY_CHILD.get(name, 1)), id=name) for name in sorted(READERS)]
    quick = [pytest.param(name, 0, QUICK, id=name) for name in sorted(READERS) if name not in BY_CHILD]
    rest = {name: EACH // BY_CHILD[name] if name in BY_CHILD else EACH - QUICK for name in sorted(READERS)}
    begin = {name: 0 if name in BY_CHILD else QUICK for name in rest}
    return quick + [
        pytest.param(name, begin[name], count, id=f"{name}-more", marks=pytest.mark.slow)
        for name, count in rest.items()
    ]


@pytest.mark.parametrize(("name", "first", "count"), every())
def test_a_bad_input_is_one_error_of_ours(name, first, count, seeds, tmp_path):
    (tmp_path / "fire").mkdir()
    if name in BY_CHILD:
        open_source(seeds.source)  # the first one waits for the imports
    result = campaign(count, seeds, tmp_path / "fire", first=FIRST + first, only=(name,))[name]
    if "FIRE_OUT" in os.environ:
        Path(os.environ["FIRE_OUT"], name).write_text(json.dumps(vars(result)))
    assert result.faults == []
    assert result.inputs == count
    assert result.refused.total() > 0 or name in SILENT, "no input was bad"
