"""Two processes on CPUs, as torchrun starts them, train one model together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO, SENTENCES = ROOT / "tools/demo/model", ROOT / "tools/demo/sentences.tsv"
ROWS = 96

pytestmark = pytest.mark.slow


@pytest.mark.heavy
def test_they_share_the_rows_and_one_of_them_speaks(tmp_path):
    pytest.importorskip("accelerate")
    few = tmp_path / "few.tsv"
    few.write_text("".join(SENTENCES.read_text().splitlines(keepends=True)[: ROWS + 1]))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    asked = ["edgewright", "train", DEMO, "--data", few, "--eval", few, "--out", tmp_path / "tuned"]
    settings = ["--epochs", "1", "--evaluations", "1", "--threads", "1", "--json", "-q"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, *map(str, (*asked, *settings))], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    assert row["steps"] == -(-ROWS // (32 * 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.tsv", "tuned"]


@pytest.mark.heavy
def test_they_pretrain_what_one_would(tmp_path):
    """The same rows in a step make the same losses, and one of them writes tokenizer, tokens and model."""
    words = (ROOT / "tests/story.txt").read_text().split()
    text = tmp_path / "stories.txt"
    text.write_text("<|endoftext|>".join(" ".join(words[at : at + 40]) for at in range(0, 240, 3)))
    sizes = ["--preset", "1m", "--vocabulary", "280", "--width", "32", "--layers", "1", "--context", "32"]
    settings = [
        "--tokens",
        "2048",
        "--evaluations",
        "1",
        "--validation",
        "0.2",
        "--threads",
        "1",
        "--precision",
        "fp32",
        "--json",
        "-q",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "edgewright",
    ]
    losses = []
    for start, batch in ((launch, "4"), ([sys.executable, "-m", "edgewright"], "8")):
        out = tmp_path / batch
        argv = [*start, "pretrain", text, *sizes, *settings, "--batch", batch, "--out", out]
        done = subprocess.run(list(map(str, argv)), env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"][0]["steps"] == 8
        record = json.loads((out / "training/pretraining.json").read_text())
        losses.append([loss for _, loss, _ in record["losses"]] + [loss for _, loss in record["validations"]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "8", "stories.txt"]
