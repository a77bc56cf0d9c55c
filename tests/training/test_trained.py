"""What a finished run says of its score."""

from dataclasses import asdict
from pathlib import Path

import pytest

from edgewright.training.curves import page
from edgewright.training.fitting import Trained

FACTS = ("accuracy", 50.0, 91.0, 90.0, 60, 100, 10**7, 1.0, 1.0)


@pytest.mark.parametrize(
    ("seen", "words", "heading"),
    [
        (0, "accuracy 91.00 after 60 of 100 steps, ", "accuracy on other rows, percent"),
        (
            3,
            "accuracy 91.00 after 60 of 100 steps (3 of its 10 rows were trained on), ",
            "accuracy on 10 rows, of which 3 were trained on, percent",
        ),
    ],
)
def test_a_score_on_rows_that_were_trained_on_is_not_called_one_on_others(seen, words, heading):
    trained = Trained(Path("tuned"), *FACTS, seen=seen, scored=10)
    assert words in repr(trained)
    assert bool(trained.warning) == bool(seen)
    record = {**asdict(trained), "directory": "tuned", "settings": {}, "losses": [], "scores": [[0, 50.0], [60, 91.0]]}
    assert heading in page(record)
