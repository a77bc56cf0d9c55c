"""Others that are told how a run goes."""

import pytest

from edgewright.errors import MissingExtra, UsageError
from edgewright.training.reporters import check_reporters


def test_who_is_not_known_or_not_there_is_told_before_a_run(monkeypatch):
    assert check_reporters(()) == ()
    with pytest.raises(UsageError, match=r"unknown report_to 'tensorbord', did you mean tensorboard\?; choose from"):
        check_reporters(["tensorbord"])
    monkeypatch.setattr("edgewright.training.reporters.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="wandb is not installed; run: pip install wandb"):
        check_reporters(["wandb"])


@pytest.mark.slow
def test_tensorboard_has_the_curves(source_dir, tmp_path):
    pytest.importorskip("tensorboardX", reason="its writer is needed, TensorBoard is not")
    from edgewright.training import Recipe, train

    rows = "".join(f"{'bright' if at % 2 else 'dark'} sea\t{at % 2}\n" for at in range(64))
    (tmp_path / "rows.tsv").write_text("sentence\tlabel\n" + rows)
    recipe = Recipe(epochs=1, batch=16, threads=1)
    train(
        source_dir,
        tmp_path / "rows.tsv",
        tmp_path / "rows.tsv",
        tmp_path / "out",
        recipe=recipe,
        report_to=["tensorboard"],
    )
    (events,) = (tmp_path / "runs" / "out").glob("events.out.tfevents.*")
    assert b"train/loss" in events.read_bytes()
    assert b"eval/score" in events.read_bytes()
