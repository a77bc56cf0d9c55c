"""The labels of a new head."""

import pytest

from edgewright.training.heads import labels_in


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("sentence\tlabel\na\t2\nb\t0\n", ("LABEL_0", "LABEL_1", "LABEL_2")),
        ("sentence\tlabel\na\t2.0\nb\t0.0\n", ("LABEL_0", "LABEL_1", "LABEL_2")),
        ("sentence\tlabel\na\tup\nb\tdown\n", ("down", "up")),
        ("Text,Label\na,up \nb,down\nc,up\n", ("down", "up")),
    ],
)
def test_the_labels_of_a_new_head_are_those_of_the_rows(tmp_path, content, labels):
    path = tmp_path / ("rows.csv" if "," in content else "rows.tsv")
    path.write_text(content)
    assert labels_in(path) == labels
