"""What tokenizer_config.json says of sides, and segments of windows."""

import json

import pytest
from msgspec.structs import replace

from edgewright.text.tokenizer import Tokenizer


def changed(directory, name, change):
    path = directory / name
    tree = json.loads(path.read_text(encoding="utf-8"))
    change(tree)
    path.write_text(json.dumps(tree), encoding="utf-8")
    return directory


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_are_padded_on_the_side_that_the_source_says(tokenizer_dir, side):
    changed(tokenizer_dir, "tokenizer_config.json", lambda tree: tree.update(padding_side=side))
    feeds = Tokenizer(tokenizer_dir, 64).encode(["a", "a good long story"]).feeds
    real = feeds["attention_mask"][0].tolist()
    assert real == sorted(real, reverse=side == "right")
    assert feeds["input_ids"][0][feeds["attention_mask"][0] == 0].tolist() == [0] * real.count(0)


TEXTS = ["a", "a good long story", "it is", "a good long story of a king and a good long story", "it was", "of"]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("how", [{"together": False}, {"together": True}, {"together": True, "unpadded": True}])
def test_rows_of_an_item_lose_no_token_and_outputs_stand_where_their_tokens_do(tokenizer_dir, side, how, monkeypatch):
    monkeypatch.setattr("edgewright.text.encoding._MOST_TOKENS", 20)
    changed(tokenizer_dir, "tokenizer_config.json", lambda tree: tree.update(padding_side=side))
    encoding = replace(Tokenizer(tokenizer_dir, 64).encode(TEXTS), items=(0,) * len(TEXTS), **how)
    feeds, batches = encoding.feeds, encoding.batches
    real = feeds["attention_mask"].astype(bool)
    assert sum(int(batch["attention_mask"].sum()) for batch in batches) == real.sum()
    assert all(batch["attention_mask"].any(axis=0).all() for batch in batches), "no column is padding alone"
    if how != {"together": True}:
        assert all(batch["attention_mask"].all() for batch in batches)
    assert 1 < len(batches) < len(TEXTS) or not how["together"]
    given = encoding.run(
        lambda batch: {"tokens": batch["input_ids"], "row": batch["attention_mask"].sum(axis=1, keepdims=True)}
    )
    assert (given["tokens"][real] == feeds["input_ids"][real]).all()
    assert given["row"].ravel().tolist() == encoding.lengths.tolist()


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_are_cut_on_the_side_that_the_source_says(tokenizer_dir, side):
    changed(tokenizer_dir, "tokenizer_config.json", lambda tree: tree.update(truncation_side=side))
    whole = Tokenizer(tokenizer_dir, 64).encode(["one two three four five six"]).feeds["input_ids"][0].tolist()
    cut = Tokenizer(tokenizer_dir, 6).encode(["one two three four five six"]).feeds["input_ids"][0].tolist()
    inner = whole[1:-1]
    assert cut == [whole[0], *(inner[-4:] if side == "left" else inner[:4]), whole[-1]]


def test_where_there_is_one_segment_every_window_has_it(tokenizer_dir):
    def flat(tree):
        for part in (*tree["post_processor"]["single"], *tree["post_processor"]["pair"]):
            next(iter(part.values()))["type_id"] = 0

    pair = [("who is it", "it is a long story of a good king " * 6)]
    several = Tokenizer(tokenizer_dir, 32).windows(pair).feeds["token_type_ids"]
    assert len(several) > 2
    assert several.any(axis=1).all()
    assert not Tokenizer(changed(tokenizer_dir, "tokenizer.json", flat), 32).windows(pair).feeds["token_type_ids"].any()
