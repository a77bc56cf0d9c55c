"""An exported directory asked in node, and answers beside Python's: for tests and `tools/web_answers.py`."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgewright.errors import InputError, MissingExtra
from edgewright.exporting import web

HERE = Path(__file__).parent
ENGINE = HERE.parents[1] / "build" / "onnxruntime-web"
TOLERANCE = 1e-5
"""Of scores: float32 summed in another order."""


def engine() -> Path:
    """onnxruntime-web's files, below build/ from their first use on; without them, or node, a test is skipped."""
    if shutil.which("node") is None:
        pytest.skip("there is no node")
    if not all((ENGINE / name).is_file() for name in web._ENGINE_FILES):  # those of another version may lie there
        try:
            ENGINE.mkdir(parents=True, exist_ok=True)
            web._get_engine(ENGINE)
        except (InputError, MissingExtra) as error:
            pytest.skip(str(error))
    return ENGINE


def asked(place: Path, *calls: Any, **options: Any) -> Any:
    """What each call gives, or its error: see asked.mjs."""
    given = {"module": (place / "edgewright.js").as_uri(), "model": (place / "model").as_uri(), "options": options}
    argv = ["node", "--no-warnings", "--import", HERE / "page.mjs", HERE / "asked.mjs"]
    done = subprocess.run(
        argv, input=json.dumps({**given, "calls": calls}), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.rstrip("\n").rpartition("\n")[2])


def unlike(mine: Any, theirs: Any) -> list[Any]:
    """Where two answers are different, by the names on the way there."""
    if isinstance(theirs, float):
        return [] if math.isclose(mine, theirs, abs_tol=TOLERANCE) else [(mine, theirs)]
    if isinstance(theirs, dict) and set(mine) == set(theirs):
        return [(name, *one) for name in theirs for one in unlike(mine[name], theirs[name])]
    if isinstance(theirs, list) and len(mine) == len(theirs):
        return [(at, *one) for at, pair in enumerate(zip(mine, theirs, strict=True)) for one in unlike(*pair)]
    text = theirs.split("\0")[0] if isinstance(theirs, str) else theirs  # where a text of the C core ends
    return [] if mine == text else [(mine, theirs)]
