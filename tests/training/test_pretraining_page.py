"""The page of a training from nothing: its curves, of any length, and nothing in it that a text could break."""

from edgewright.training.pretraining_page import loss_curves, page

RECORD = {
    "directory": "model", "loss": 2.5, "bits_per_byte": 1.0, "best_step": 1000, "steps": 1000, "parameters": 10,
    "tokens": 5, "train_tokens": 5, "validation_tokens": 5, "seconds": 1.0, "tokens_per_s": 5.0, "of_peak": None,
    "settings": {"batch": 4}, "losses": [[step + 1, 5.0, 0.1] for step in range(1000)],
    "validations": [[0, 6.0], [1000, 2.5]], "samples": [[0, "<script>alert(1)</script>"]],
}  # fmt: skip


def test_it_shows_losses_and_samples():
    text = page(RECORD)
    assert "validation loss 2.5000" in text
    assert "&lt;script&gt;" in text
    assert text.count("<script>") == 1  # its own
    assert text.count("<svg") == 2 * 2


def test_a_long_run_is_drawn_by_its_means():
    _, chart = loss_curves(RECORD)
    longest = max(part.split('"')[0].count(",") for part in str(chart).split('points="')[1:])
    assert longest == 500
