"""The maker of sources that people bring: each kind, small, has the score that its own library gives it."""

import csv
import sys
from pathlib import Path

import pytest
from packages import need

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
need("transformers", "peft", "sentence_transformers")
sys.path.insert(0, str(ROOT / "tools"))
import tiny_models  # noqa: E402
import trained_sources  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_models.make("bert", "feature-extraction", tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def data(monkeypatch):
    for name, value in {"STEPS": 3, "PAIR_STEPS": 3, "BATCH": 8, "FEW": 8, "QUERIES": 6}.items():
        monkeypatch.setattr(trained_sources, name, value)
    with (ROOT / "tools/demo/sentences.tsv").open(encoding="utf-8", newline="") as file:
        rows = [(row["sentence"], int(row["label"])) for row in csv.DictReader(file, delimiter="\t")]
    asked = [(" ".join(text.split()[::2]), text, str(at // 15)) for at, (text, _) in enumerate(rows[:60])]
    return trained_sources.Data(rows[40:], rows[:40], asked)


@pytest.fixture
def in_one_process(run, monkeypatch):
    """The commands, with one process for all of their children to be born from."""

    def edgewright(*words, refused=False):
        code, out, err = run(*words)
        assert bool(code) is refused, err
        return err if refused else out

    monkeypatch.setattr(trained_sources, "edgewright", edgewright)


@pytest.mark.heavy
@pytest.mark.usefixtures("in_one_process")
@pytest.mark.parametrize("name", trained_sources.KINDS)
def test_a_kind_scores_as_its_own_library_says(base, data, tmp_path, name):
    kind = trained_sources.KINDS[name]
    source, rows = kind.make(base, data, tmp_path / name), kind.rows(data, tmp_path / kind.file)
    theirs = kind.score(source, rows)
    if name == "setfit":
        trained_sources.way_out(source)
    found = trained_sources.scored(name, source, rows, tmp_path / "bundle", "fp32")
    assert found["scores"]["fp32"] == pytest.approx(theirs, abs=0.01)
    assert found["rows"] >= trained_sources.QUERIES
    assert found["answer"]
