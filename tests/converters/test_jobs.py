"""What the child that runs the eager model finds out about it."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch")

from edgewright.converters._model import eager
from edgewright.converters._model.jobs import reads_padding

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "reads"), [("Bert", False), ("MPNet", False), ("MobileBert", True)])
def test_a_model_that_reads_padding_is_told_from_one_that_does_not(kind, reads):
    import tiny

    model, batches = tiny.eager(kind), [tiny.batch([9]), tiny.batch([12, 5, 9])]
    run = partial(eager.run, model)
    assert reads_padding(run, batches, [run(batch) for batch in batches]) is reads
    assert not reads_padding(run, batches[:1], [run(batches[0])]), "without padding there is nothing to see"


def test_of_outputs_for_each_token_those_of_padding_do_not_count():
    def run(batch):
        noise = np.where(batch["attention_mask"], 0, 1)
        return {"tokens": (batch["input_ids"] + noise)[..., None].astype(np.float32)}

    batches = [{"input_ids": np.array([[7, 8, 9], [7, 8, 0]]), "attention_mask": np.array([[1, 1, 1], [1, 1, 0]])}]
    assert not reads_padding(run, batches, [run(batches[0])])
    spoiled = run(batches[0])
    spoiled["tokens"][1, 0] += 1
    assert reads_padding(run, batches, [spoiled])
