"""Whether a tokenizer cuts texts of the target as the model was trained on them."""

import json

from edgewright.model.two_sided import TARGET_MARK, cuts_targets


def test_a_marked_piece_or_a_target_s_own_model_says_that_targets_are_cut_otherwise(tmp_path):
    assert cuts_targets(tmp_path / "owner" / "name"), "a model that is not fetched yet"
    (tmp_path / "config.json").write_text('{"model_type": "marian"}')
    rows = [["</s>", 0.0], ["\u2581casa", -3.0]]
    for model, wanted in (
        ({"type": "Unigram", "vocab": rows}, True),
        ({"type": "Unigram", "vocab": [*rows, [TARGET_MARK + "ñ", -9.0]]}, False),
        ({"type": "WordPiece", "vocab": {"casa": 0}}, True),
    ):
        (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model}))
        assert cuts_targets(tmp_path) is wanted
    marked = json.dumps({"model": {"type": "Unigram", "vocab": [[TARGET_MARK, -9.0]]}})
    (tmp_path / "tokenizer.json").write_text(marked)
    assert not cuts_targets(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    assert cuts_targets(tmp_path), "a character of its vocabulary"
    (tmp_path / "target.spm").write_bytes(b"x")
    assert not cuts_targets(tmp_path)
