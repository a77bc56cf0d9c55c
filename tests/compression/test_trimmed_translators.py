"""Trimmed encoder-decoders: texts of kept tokens are cut, translated and read as by the whole model, held to those.

The other side is transformers: the eager model before, whose logits of all other tokens are set to nothing.
"""

import json
from types import SimpleNamespace

import pytest
import translators

from edgewright.compression.chain import compress
from edgewright.errors import UsageError

pytestmark = pytest.mark.slow

PAIRS = [(translators.TEXT[0], translators.TEXT[5]), (translators.TEXT[1], translators.TEXT[6])]
UNSEEN = ["Turn the kitchen lights in.", "Set the lights to 22 degrees, please!", "the lights in the kitchen"]
NOTHING = -1e9
"""Of a logit, as transformers has it: finite, so that sums stay numbers."""


def compressed(home, folder, *steps, dev=False):
    pairs = folder / "pairs.tsv"
    pairs.write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in PAIRS))
    (folder / "recipe.toml").write_text("".join(f'[[step]]\nuse = "{step}"\n' for step in steps))
    return compress(
        home, folder / "recipe.toml", folder / "out", train=pairs, dev=pairs if dev else None, threads=1, force=True
    )


@pytest.fixture(scope="module", params=("marian", "t5", "t5-v1.1"))
def trimmed(request, tmp_path_factory):
    """Model and tokenizer before and after, by transformers, and the old number of each token that was kept."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    folder = tmp_path_factory.mktemp(request.param)
    home = folder / "model"
    if request.param == "marian":
        translators.opus(home)
    else:
        translators.saved(home, request.param, vocabulary=192)
    stages = compressed(home, folder, "trim-vocabulary")
    sides = [
        SimpleNamespace(
            model=AutoModelForSeq2SeqLM.from_pretrained(one).eval(), tokenizer=AutoTokenizer.from_pretrained(one)
        )
        for one in (home, folder / "out")
    ]
    vocabularies = [one.tokenizer.get_vocab() for one in sides]
    plain = {piece.removeprefix("\ue000"): at for piece, at in vocabularies[1].items()}
    kept = sorted(plain.values())
    old = {at: vocabularies[0][piece] for piece, at in plain.items()}
    return SimpleNamespace(
        before=sides[0], after=sides[1], old=[old[at] for at in kept], stages=stages, home=folder / "out"
    )


def test_a_row_is_left_for_each_token_and_weighs_less(trimmed):
    config, size = trimmed.after.model.config, len(trimmed.old)
    assert size < len(trimmed.before.tokenizer)
    assert config.vocab_size == len(trimmed.after.tokenizer) == size
    assert trimmed.after.model.get_input_embeddings().weight.shape[0] == size
    assert trimmed.stages[1].size_bytes < trimmed.stages[0].size_bytes
    assert trimmed.old == sorted(trimmed.old)


def test_texts_of_both_sides_are_cut_and_read_as_before(trimmed):
    before, after, old = trimmed.before.tokenizer, trimmed.after.tokenizer, trimmed.old
    for text in (*(source for source, _ in PAIRS), *UNSEEN):
        ids = before(text)["input_ids"]
        assert {*ids} <= {*old}, text
        assert [old[at] for at in after(text)["input_ids"]] == ids, text
    for _, text in PAIRS:
        ids = before(text_target=text)["input_ids"]
        found = [old.index(at) for at in ids]
        assert after.decode(found, skip_special_tokens=True) == before.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("beams", [1, 4])
def test_translations_are_those_of_the_whole_model_held_to_these_tokens(trimmed, beams):
    import torch

    before, after, old = trimmed.before.model, trimmed.after.model, trimmed.old
    held = torch.full((before.config.vocab_size,), NOTHING)
    held[old] = 0
    sources = [trimmed.after.tokenizer(text)["input_ids"] for text in (*(source for source, _ in PAIRS), *UNSEEN)]
    how = {"num_beams": beams, "max_new_tokens": 24}
    hook = before.get_output_embeddings().register_forward_hook(lambda _, __, logits: logits + held)
    wanted = translators.generated(before, [[old[at] for at in one] for one in sources], **how)
    hook.remove()
    found = translators.generated(after, sources, **how)
    assert [[old[at] for at in one] for one in found.tokens] == wanted.tokens
    assert len({at for one in found.tokens for at in one}) > 6, "too few tokens to tell a search from another"
    assert found.scores == (None if beams == 1 else pytest.approx(wanted.scores, abs=1e-5))


def test_the_tokens_that_the_configuration_names_are_renumbered(trimmed):
    for before, after in (
        (trimmed.before.model.config, trimmed.after.model.config),
        (trimmed.before.model.generation_config, trimmed.after.model.generation_config),
    ):
        for key, value in before.to_dict().items():
            if key.endswith("_token_id") and value is not None:
                assert trimmed.old[getattr(after, key)] == value, key
    banned = trimmed.before.model.generation_config.bad_words_ids
    after = trimmed.after.model.generation_config.bad_words_ids
    assert [[trimmed.old[at] for at in word] for word in after or []] == (banned or [])


def test_what_a_translator_cannot_take_is_said_before_anything_begins(tmp_path):
    home = translators.opus(tmp_path / "model")
    with pytest.raises(UsageError, match="distill is not for translation"):
        compressed(home, tmp_path, "trim-vocabulary", "distill")
    with pytest.raises(UsageError, match="model has a tokenizer for each side"):
        compressed(home, tmp_path, "trim-vocabulary", "train", dev=True)


def test_targets_that_nothing_cuts_any_more_are_not_counted(trimmed, tmp_path):
    if (trimmed.home.parent / "model" / "target.spm").is_file():
        with pytest.raises(UsageError, match="out was trimmed before"):
            compressed(trimmed.home, tmp_path, "trim-vocabulary")
    else:
        compressed(trimmed.home, tmp_path, "trim-vocabulary")
        assert json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"] == len(trimmed.old)
