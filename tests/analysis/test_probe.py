import numpy as np
import pytest

from edgewright.analysis import probe
from edgewright.errors import DataError


def parts_of(n):
    return np.array([probe._part(f"text {at}") for at in range(n)])


def test_parts_are_seven_one_and_two_of_ten_and_stay_where_they_are():
    found = parts_of(5000)
    assert [round(float((found == part).mean()), 1) for part in range(3)] == [0.7, 0.1, 0.2]
    assert (found == parts_of(5000)).all()
    assert probe._part(("a", "b")) == probe._part(["a", "b"])


def test_a_probe_reads_what_is_linear_and_not_what_is_not_there():
    rng = np.random.default_rng(1)
    labels, states = rng.integers(0, 3, 1500), rng.normal(size=(1500, 20)).astype(np.float32)
    parts = parts_of(1500)
    assert probe._tested(states, labels, parts).mean() == pytest.approx(1 / 3, abs=0.09)
    states[:, :3] += 4 * np.eye(3)[labels]
    assert probe._tested(states, labels, parts).mean() > 0.95


def test_a_probe_does_not_depend_on_units_and_survives_a_constant():
    rng = np.random.default_rng(2)
    labels, states = rng.integers(0, 2, 900), rng.normal(size=(900, 8))
    states[:, 0] += labels
    moved = np.concatenate([states * 1000 + 77, np.ones((900, 1))], axis=1)
    parts = parts_of(900)
    assert (probe._tested(states, labels, parts) == probe._tested(moved, labels, parts)).mean() > 0.99


def test_the_control_task_gives_each_type_one_class_as_often_as_the_labels_have_it():
    labels = np.array([0, 0, 0, 1] * 500)
    types = [f"word {at % 1000}" for at in range(2000)]
    control = probe._control(types, labels, 0)
    assert (control[:1000] == control[1000:]).all()
    assert control.mean() == pytest.approx(0.25, abs=0.05)
    assert (control != probe._control(types, labels, 1)).any()


def read(tmp_path, content, name="rows.jsonl", most=100):
    path = tmp_path / name
    path.write_text(content)
    return probe._read(path, most)


def test_rows_of_texts_and_pairs(tmp_path):
    found = read(tmp_path, '{"text": "The end.", "label": 1}\n{"sentence1": "A b", "sentence2": "c", "label": "x"}\n')
    assert found.texts == ["The end.", ("A b", "c")]
    assert (found.labels, found.types, found.owner) == (["1", "x"], ["the", "a"], [0, 1])


def test_rows_of_words(tmp_path):
    found = read(tmp_path, '{"tokens": ["Ada", "laughed"], "tags": ["B-PER", "O"]}\n')
    assert (found.texts, found.starts) == (["Ada laughed"], [[0, 4]])
    assert (found.labels, found.types, found.owner) == (["B-PER", "O"], ["ada", "laughed"], [0, 0])


def test_rows_are_taken_evenly(tmp_path):
    table = "sentence\tlabel\n" + "".join(f"text {at}\t{at % 2}\n" for at in range(10))
    assert read(tmp_path, table, "rows.tsv", 5).texts == [f"text {at}" for at in (0, 2, 4, 6, 8)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"text": "a"}\n', "line 1 has no text with its label"),
        ('{"tokens": ["a", "b"], "tags": ["O"]}\n', "line 1 has no text with its label, or as many tags as tokens"),
        ('{"text": "a", "label": 1}\n{"tokens": ["b"], "tags": ["O"]}\n', "rows with a label and rows with tags"),
    ],
)
def test_rows_that_cannot_be_probed(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path, content)


def test_a_page_of_accuracies():
    layers = tuple(probe.Layer(at, 70.0 + at, 60.0, 80.0, 50.0, 20.0 + at) for at in range(3))
    text = probe.page(probe.Probed("texts", ("<no>", "yes"), 700, 200, 55.0, layers), "Probe")
    assert "&lt;no&gt;" in text
    assert text.count("<polyline") == 3 * 2  # for a wide screen and for a phone
    assert "<td>60.0 to 80.0</td>" in text
