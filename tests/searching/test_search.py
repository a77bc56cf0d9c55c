"""A search for real, on a tiny model: trained, built, timed, drawn; its winner's recipe is one for `compress`."""

import json
import random

import pytest
import translators

from edgewright.cli import _run
from edgewright.compression.chain import compress
from edgewright.errors import StorageError, UsageError
from edgewright.searching.search import search

pytestmark = pytest.mark.slow

SPACE = """
[[step]]
use = "student"
layers = { try = [1, 2, 3] }
heads = { try = [2, 3] }

[[step]]
use = "prune-layers"
count = 2

[[step]]
use = "train"
learning_rate = 2e-3
batch = 16
epochs = { search = 1.0, full = 4.0 }

[artifact]
precision = "fp32"
tokens = 16
processes = 1
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("rows"), random.Random(1)
    for name, count in (("train", 160), ("dev", 40)):
        rows = [(label, rng.choice((("dark", "cold"), ("bright", "calm"))[label])) for label in [0, 1] * (count // 2)]
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "".join(f"{word} sea\t{y}\n" for y, word in rows))
    (folder / "space.toml").write_text(SPACE)
    return folder


@pytest.fixture(scope="module")
def model(_source):
    return _source


@pytest.fixture(scope="module")
def found(model, files, capfd_module):
    out, shared = files / "found", files / "study.db"
    words = ["search", str(model), "--space", str(files / "space.toml"), "--data", str(files / "train.tsv")]
    words += ["--eval", str(files / "dev.tsv"), "--storage", str(shared), "--out", str(out), "--trials", "9"]
    code = _run([*words, "--cache", str(files / "cache"), "--threads", "1", "--json", "-q"])
    return code, json.loads(capfd_module()), out


@pytest.fixture(scope="module")
def capfd_module():
    """Standard output since the last call, for a fixture that outlives a test."""
    import contextlib
    import io

    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        yield text.getvalue


def test_a_search_ends_with_a_front_a_page_and_reasons(found):
    code, printed, out = found
    assert code == 0
    record = json.loads((out / "search.json").read_text())
    states = {tuple(trial["values"].values()): trial["state"] for trial in record["trials"]}
    assert states == {(1, 2): "failed", (2, 2): "complete", (3, 2): "complete"}
    assert sum(record["infeasible"].values()) == 3
    assert all("width 32 is no multiple of 3 heads" in reason for reason in record["infeasible"])
    failed = next(trial for trial in record["trials"] if trial["state"] == "failed")
    assert failed["reason"] == "prune-layers shall keep 2 layers, the model has 1"
    assert {row["trial"] for row in printed["rows"]} == set(record["front"])
    assert record["winner"] in record["front"]
    page = (out / "search.html").read_text()
    assert page.count("<svg") == 3 * 2  # each for a wide screen and for a phone
    assert failed["reason"] in page
    assert not out.with_name("found-trials").exists() or not list(out.with_name("found-trials").iterdir())


def test_every_trial_was_measured(found):
    trials = json.loads((found[2] / "search.json").read_text())["trials"]
    done = [trial for trial in trials if trial["state"] == "complete"]
    assert len({trial["size_bytes"] for trial in done}) == 1
    assert all(trial["latency_ms"] > 0 and trial["score"] >= 50 for trial in done)


def test_the_winners_recipe_is_one_for_compress(found, model, files, tmp_path):
    text = (found[2] / "recipe.toml").read_text()
    assert "epochs = 4.0" in text
    rows = {"train": files / "train.tsv", "dev": files / "dev.tsv"}
    stages = compress(model, found[2] / "recipe.toml", tmp_path / "model", threads=1, cache=tmp_path, **rows)
    assert [stage.step for stage in stages] == ["source", "student", "prune-layers", "train"]
    assert json.loads((tmp_path / "model/config.json").read_text())["num_attention_heads"] == 2


def test_the_same_command_finds_the_study_finished_and_another_model_is_refused(found, model, source_dir, files):
    given = {"storage": files / "study.db", "trials": 9, "cache": files / "cache"}
    rows = (files / "train.tsv", files / "dev.tsv")
    again = search(model, files / "space.toml", *rows, found[2], **given)
    assert again.winner.number == json.loads((found[2] / "search.json").read_text())["winner"]
    (source_dir / "config.json").write_text((source_dir / "config.json").read_text() + "\n")
    with pytest.raises(StorageError, match="something else: model was"):
        search(source_dir, files / "space.toml", *rows, found[2], **given)
    (files / "other.toml").write_text(SPACE.replace("tokens = 16", "tokens = 8"))
    with pytest.raises(StorageError, match="something else: space was"):
        search(model, files / "other.toml", *rows, found[2], **given)
    with pytest.raises(StorageError, match=r"exists and holds no search\.json"):
        search(model, files / "space.toml", *rows, files, **given)
    with pytest.raises(UsageError, match="measured on this machine alone, not on ssh://board"):
        search(model, files / "space.toml", *rows, found[2], device="ssh://board", **given)


TRANSLATING = """
[[step]]
use = "trim-vocabulary"
size = { try = [150, 170] }

[artifact]
precision = "fp32"
processes = 1
"""


@pytest.mark.heavy
def test_a_translator_s_vocabulary_is_searched(tmp_path):
    """By chrF, the milliseconds of a sentence, and bytes; a step that translators cannot take is said at once."""
    home, pairs, space = tmp_path / "model", tmp_path / "pairs.tsv", tmp_path / "space.toml"
    made = translators.saved(home, "t5", vocabulary=192)
    sides = zip(translators.TEXT[:4], translators.TEXT[4:], strict=True)
    pairs.write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in sides))
    space.write_text(TRANSLATING)
    given = {"storage": tmp_path / "study.db", "trials": 1, "cache": tmp_path, "threads": 1}
    best = search(home, space, pairs, pairs, tmp_path / "found", **given).winner
    assert best.latency_ms > 0
    assert 0 <= best.score <= 100
    assert best.size_bytes > 100_000
    assert (best.facts or {})["parameters"] < made.num_parameters(), "some of its tokens were left out"
    space.write_text(TRANSLATING + '[[step]]\nuse = "prune-heads"\namount = 0.5\n')
    with pytest.raises(UsageError, match="prune-heads is not for translation"):
        search(home, space, pairs, pairs, tmp_path / "other", **given)
