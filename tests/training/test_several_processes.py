"""Two processes on CPUs, as torchrun starts them, train one model together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO, SENTENCES = ROOT / "tools/demo/model", ROOT / "tools/demo/sentences.tsv"

pytestmark = pytest.mark.slow


def test_they_share_the_rows_and_one_of_them_speaks(tmp_path):
    pytest.importorskip("accelerate")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    asked = ["edgewright", "train", DEMO, "--data", SENTENCES, "--eval", SENTENCES, "--out", tmp_path / "tuned"]
    settings = ["--epochs", "1", "--evaluations", "1", "--threads", "1", "--json", "-q"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, *map(str, (*asked, *settings))], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    rows = len(SENTENCES.read_text().splitlines()) - 1
    assert row["steps"] == -(-rows // (32 * 2))
    assert [path.name for path in tmp_path.iterdir()] == ["tuned"]
