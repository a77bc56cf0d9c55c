"""The main job on the shipped demo model, as a user runs it."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import DEMO, SENTENCES, edgewright, prints_answers_alone, rows
from lighter import first

import edgewright as ew

GOOD = "a charming and often affecting journey"
ROW = {"format", "precision", "engine", "threads", "tokens", "n", "median_ms", "p90_ms", "load_ms", "first_ms",
       "peak_rss_mib", "size_bytes", "score"}  # fmt: skip


def hashes(root):
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_file()
    }


def test_layout_is_the_one_that_other_clients_open(demo_bundle):
    assert sorted(hashes(demo_bundle)) == [
        "README.md", "config.json", "golden.json", "manifest.json", "onnx/model.onnx", "onnx/model_quantized.onnx",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


def test_verify_replays_every_golden_case(demo_bundle):
    assert [r["golden"] for r in rows("verify", demo_bundle)] == ["7 of 7", "7 of 7"]


def test_answers(demo_bundle):
    (row,) = [json.loads(line) for line in edgewright("run", demo_bundle, GOOD).splitlines()]
    assert row["text"] == GOOD
    assert row["answer"][0]["label"] == "positive"
    assert 0.5 < row["answer"][0]["score"] <= 1


def test_run_streams_json_lines(demo_bundle, tmp_path):
    lines = ["dreadful", {"text": "a joy from start to end"}, {"sentence": "no"}]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    out = edgewright("run", demo_bundle, "--input", tmp_path / "in.jsonl").splitlines()
    assert [json.loads(line)["text"] for line in out] == ["dreadful", "a joy from start to end", "no"]


def test_fp32_answers_as_transformers_does(demo_bundle):
    transformers = pytest.importorskip("transformers")
    texts = [line.split("\t")[0] for line in SENTENCES.read_text().splitlines()[1:61]]
    theirs = transformers.pipeline("text-classification", model=str(DEMO), dtype="float32")(texts)
    ours = ew.load(demo_bundle, precision="fp32")(texts)
    assert [a["label"] for a in ours] == [b["label"] for b in theirs]
    assert max(abs(a["score"] - b["score"]) for a, b in zip(ours, theirs, strict=True)) < 1e-4


def test_metric_is_in_the_manifest_and_eval_repeats_it(demo_bundle):
    stored = {a["precision"]: a["score"] for a in json.loads((demo_bundle / "manifest.json").read_text())["artifacts"]}
    for row in rows("eval", demo_bundle, "--data", SENTENCES):
        score = stored[row["precision"]]
        assert row["score"]["value"] == pytest.approx(score["value"])
        assert score["reference"] - score["value"] <= 0.5
        assert row["score"]["n"] >= 200


@pytest.mark.shared_data
def test_sst2(demo_bundle, shared_data):
    values = {
        r["precision"]: r["score"]["value"] for r in rows("eval", demo_bundle, "--data", shared_data / "sst2/dev.tsv")
    }
    assert values["fp32"] >= 82.0
    assert values["fp32"] - values["int8"] <= 0.5


def test_bench_rows(demo_bundle):
    found = rows("bench", demo_bundle, "--tokens", "16,128", "--runs", "20", "--least-ms", "0", "--processes", "2")
    assert [(r["precision"], r["tokens"]) for r in found] == [("fp32", 16), ("fp32", 128), ("int8", 16), ("int8", 128)]
    for row in found:
        assert set(row) >= ROW
        assert row["n"] == 40
        assert 0 < row["low_ms"] <= row["median_ms"] <= row["high_ms"]
        assert row["peak_rss_mib"] > 20
        assert row["score"]["metric"] == "accuracy"


def test_bench_says_what_cannot_be_measured(demo_bundle):
    assert "at most 1 are allowed" in edgewright("bench", demo_bundle, "--tokens", "1", check=3)
    assert "the model takes 1 to 128" in edgewright("bench", demo_bundle, "--tokens", "4000", check=2)
    assert "threads were asked" in edgewright("bench", demo_bundle, "--threads", "4096", check=2)
    assert "threads were asked" in edgewright("run", demo_bundle, "text", "--threads", "0", check=2)


def test_bench_over_a_file_of_texts(demo_bundle):
    (row,) = rows("bench", demo_bundle, "--input", SENTENCES, "--tokens", "", "--precision", "int8", "--processes", "1")
    assert 2 < row["tokens"] < 64
    assert row["n"] >= 200


def test_inspect(demo_bundle):
    text = edgewright("inspect", demo_bundle)
    assert "text-classification" in text
    assert "negative, positive" in text
    assert "onnx/model_quantized.onnx" in text


def test_doctor_says_ready_but_for_what_needs_a_gpu():
    states = {r["what"]: r["state"] for r in rows("doctor")}
    gpu = {"convert to tensorrt", "run tensorrt, onnx on tensorrt"}
    assert {state for what, state in states.items() if what not in gpu} == {"ready"}
    assert all(states[what] in ("ready", "missing: tensorrt") for what in gpu)


@pytest.mark.heavy
def test_same_inputs_same_bytes(demo_bundle, tmp_path):
    edgewright("build", DEMO, "--out", tmp_path / "again", "--precision", "fp32,int8", "--data", SENTENCES)
    assert hashes(tmp_path / "again") == hashes(demo_bundle)


def test_the_model_card_is_listed_and_its_python_gives_the_answer_it_says(demo_bundle):
    listed = json.loads((demo_bundle / "manifest.json").read_text())["files"]
    card = (demo_bundle / "README.md").read_text()
    assert "README.md" in {file["path"] for file in listed}
    script = card.partition("```python\n")[2].partition("```")[0].replace("PATH/OF/THIS/BUNDLE", str(demo_bundle))
    found = {}
    exec(script, found)  # noqa: S102 - what the card tells people to type
    (said,) = json.loads(re.search(r"^# (\[.*\])$", script, re.MULTILINE)[1])
    assert found["answer"][0]["label"] == said["label"]


def test_one_flipped_byte_is_found(demo_bundle, tmp_path):
    shutil.copytree(demo_bundle, tmp_path / "b")
    path = tmp_path / "b" / "onnx" / "model_quantized.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for command in (["verify"], ["run", "--precision", "int8"]):
        line = edgewright(command[0], tmp_path / "b", *command[1:], *(["x"] if command[0] == "run" else []), check=3)
        assert "onnx/model_quantized.onnx has SHA-256" in line


def test_other_outputs_than_the_golden_ones_fail(demo_bundle, tmp_path):
    shutil.copytree(demo_bundle, tmp_path / "b")
    golden = json.loads((tmp_path / "b" / "golden.json").read_text())
    golden["cases"][0]["outputs"]["onnx/model.onnx"][0] += 1
    data = json.dumps(golden).encode()
    (tmp_path / "b" / "golden.json").write_bytes(data)
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    entry = next(f for f in manifest["files"] if f["path"] == "golden.json")
    entry.update(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    assert "outputs differ by" in edgewright("verify", tmp_path / "b", check=4)


def test_existing_output_is_kept_without_force(demo_bundle):
    before = hashes(demo_bundle)
    assert "use --force" in edgewright("build", DEMO, "--out", demo_bundle, check=3)
    assert hashes(demo_bundle) == before


def test_force_replaces_only_bundles(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert "not replaced" in edgewright("build", DEMO, "--out", tmp_path / "mine", "--force", check=3)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("stage", "number"),
    first(
        1,
        [
            ("onnx fp32: export", signal.SIGTERM),
            ("load the model", signal.SIGINT),
            ("onnx fp32: gate", signal.SIGINT),
        ],
    ),
)
def test_an_interrupted_build_leaves_nothing(tmp_path, stage, number):
    argv = [
        sys.executable,
        "-m",
        "edgewright",
        "build",
        str(DEMO),
        "--out",
        str(tmp_path / "b"),
        "--data",
        str(SENTENCES),
    ]
    child = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    next(line for line in child.stderr if stage in line)
    child.send_signal(number)
    last = child.stderr.read().splitlines()[-1]
    assert (child.wait(timeout=60), last) == (130, "edgewright: interrupted; nothing was left behind")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("size", first(1, ["5m", "64k", "16m"]))
def test_disk_full(tmp_path, size):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)], check=True)
    try:
        line = edgewright("build", DEMO, "--out", small / "b", check=3)
        assert "space" in line.lower()
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_odd_texts_have_a_defined_answer(demo_bundle):
    answers = ew.load(demo_bundle)(["", " ", "\0", "\ud800", "[SEP] [MASK]", "🎉" * 500, "x" * 200_000])
    assert all(answer["label"] in ("negative", "positive") for answer in answers)
    with pytest.raises(ew.EdgewrightError, match="at most 1048576"):
        ew.load(demo_bundle)("x" * 1_048_577)


def test_embeddings_do_not_depend_on_neighbours(demo_bundle):
    pipeline = ew.load(demo_bundle, precision="int8")
    alone = pipeline("fine")[0]["score"]
    assert np.isclose(
        pipeline(["fine", "a much longer sentence that would change a shared scale"])[0]["score"], alone, atol=0
    )


def test_threads_wait_awake_unless_a_server_waits(demo_bundle):
    """By ONNX Runtime's own word for it."""
    for asked in ({}, {"spin": False}):
        inner = ew.load(demo_bundle, threads=2, **asked).session._run.__self__
        told = inner.get_session_options().get_session_config_entry
        if asked:
            assert told("session.intra_op.allow_spinning") == "0"
        else:
            with pytest.raises(RuntimeError):
                told("session.intra_op.allow_spinning")


def test_an_answer_is_all_that_is_printed(demo_bundle):
    prints_answers_alone(demo_bundle)
