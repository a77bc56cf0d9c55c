"""`edgewright race` on the demo model: one winner, a reason for every loser, and what `load` makes of it."""

import json
import shutil

import pytest
from conftest import DEMO, SENTENCES, edgewright, only, rows

import edgewright as ew
from edgewright.errors import EngineError
from edgewright.system.machine import model


@pytest.fixture
def bundle(demo_bundle, tmp_path):
    shutil.copytree(demo_bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.alone
def test_the_winner_is_what_load_takes(bundle, tmp_path):
    found = rows("race", bundle, "--tokens", "16", "--processes", "3", "--rows", tmp_path / "rows.json")
    assert {(r["format"], r["precision"]) for r in found} == {("onnx", "int8"), ("onnx", "fp32")}
    assert found[0]["verdict"].startswith("the winner")
    assert found[1]["verdict"].partition(" ")[2].startswith(("times the", "("))
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 2
    (choice,) = json.loads((bundle / "manifest.json").read_text())["choices"]
    assert choice["machine"] == model()
    assert choice["inputs"] == "16 tokens"
    assert choice["path"] in edgewright("inspect", bundle)
    edgewright("verify", bundle)


def test_a_choice_of_another_artifact_counts_until_one_is_asked_for(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    choice = {"machine": model(), "path": "onnx/model.onnx", "threads": 1, "latency_ms": 1.0, "inputs": "16 tokens"}
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "choices": [choice]}))
    assert ew.load(bundle).artifact.precision == "fp32"
    assert ew.load(bundle, precision="int8").artifact.precision == "int8"
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "choices": [{**choice, "machine": "another"}]}))
    assert ew.load(bundle).artifact.precision == "int8"
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "choices": [{**choice, "path": "onnx/none.onnx"}]}))
    assert "chosen, but no artifact: onnx/none.onnx" in edgewright("inspect", bundle, check=3)


@pytest.mark.alone
def test_limits_take_entrants_out_and_a_dry_run_writes_nothing(bundle):
    before = (bundle / "manifest.json").read_bytes()
    found = rows("race", bundle, "--tokens", "16", "--processes", "1", "--max-mb", "5", "--dry-run")
    verdicts = [r["verdict"].removesuffix(", of void rows") for r in found]  # where others were at work, it says so
    assert verdicts == ["the winner", "15.4 MB, at most 5 MB are allowed"]
    by_cpu = rows("race", bundle, "--tokens", "16", "--processes", "1", "--by", "cpu", "--threads", "1,2", "--dry-run")
    assert all(r["cpu_ms"] > 0 for r in by_cpu)
    assert min(by_cpu, key=lambda r: r["cpu_ms"])["of_winner"] <= 1
    assert "at most 100 kB are allowed" in edgewright("race", bundle, "--max-mb", "0.1", check=4)
    assert "MiB of memory, at most 5 are allowed" in edgewright("race", bundle, "--max-ram-mib", "5", check=4)
    assert (bundle / "manifest.json").read_bytes() == before
    (bundle / "manifest.json.sig").write_text("a signature")
    assert "would break the signature" in edgewright("race", bundle, "--tokens", "16", "--processes", "1", check=2)
    assert (bundle / "manifest.json").read_bytes() == before


def test_buckets_race_too_and_load_pads_as_was_chosen(tflite_bundle, tmp_path):
    bundle = only(tflite_bundle, tmp_path / "bundle", "int8")
    found = rows("race", bundle, "--tokens", "16", "--processes", "1", "--buckets", "all,128", "--dry-run")
    assert [row["buckets"] for row in found] == [None, "128"]
    assert "times the" in found[1]["verdict"]
    assert "take some of 16, 32, 64, 128, 128 among them" in edgewright("race", bundle, "--buckets", "all,64", check=2)
    whole = ew.load(bundle)("a charming journey")
    tree = json.loads((bundle / "manifest.json").read_text())
    choice = {"machine": model(), "path": tree["artifacts"][0]["path"], "threads": 1, "latency_ms": 1.0, "inputs": "16"}
    (bundle / "manifest.json").write_text(json.dumps({**tree, "choices": [{**choice, "buckets": [128]}]}))
    padded = ew.load(bundle)
    assert padded.session._program.lengths == [128]
    assert padded("a charming journey")[0]["score"] == pytest.approx(whole[0]["score"], abs=1e-3)
    assert ew.load(bundle, buckets=()).session._program.lengths == [16, 32, 64, 128]
    (bundle / "manifest.json").write_text(json.dumps({**tree, "choices": [{**choice, "buckets": [77, 128]}]}))
    with pytest.raises(EngineError, match="lengths 77, 128 were chosen, the file has 16, 32, 64, 128; race again"):
        ew.load(bundle)


@pytest.mark.heavy
def test_a_model_is_built_first_without_what_cannot_be_made(tmp_path):
    argv = ("race", DEMO, "--format", "onnx,torchscript", "--precision", "int4", "--tokens", "16", "--processes", "1")
    assert "give --out" in edgewright(*argv, check=2)
    found = rows(*argv, "--data", SENTENCES, "--max-loss", "50", "--out", tmp_path / "b")
    assert [(r["format"], r["precision"]) for r in found] == [("onnx", "int4")]
