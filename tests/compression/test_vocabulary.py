"""Trimmed tokenizers: a text whose tokens were kept has the same tokens as before, in every kind of model."""

import json
import string
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from edgewright.compression.steps._token_ids import named_ids, renumber
from edgewright.compression.steps._vocabulary import choose, rewrite
from edgewright.errors import UsageError

STORY = (__import__("pathlib").Path(__file__).parents[1] / "story.txt").read_text().splitlines()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def wordpiece():
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.train_from_iterator(STORY, trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL))
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return backend


def byte_pairs():
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator(STORY, trainer)
    backend.post_processor = processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
    return backend


def unigram():
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIAL, unk_token="[UNK]")
    backend.train_from_iterator(STORY, trainer)
    return backend


KINDS = {"WordPiece": wordpiece, "BPE": byte_pairs, "Unigram": unigram}


@pytest.fixture(scope="module", params=KINDS)
def trimmed(request, tmp_path_factory):
    """A tokenizer, the same one trimmed to what half of the story needs, and the ids that were kept."""
    backend = KINDS[request.param]()
    used = Counter(at for line in STORY[: len(STORY) // 2] for at in backend.encode(line).ids)
    spec = json.loads(backend.to_str())
    kept = choose(spec, used, 0)
    folder = tmp_path_factory.mktemp(request.param)
    rewrite(spec, kept, folder, folder)
    return backend, Tokenizer.from_file(str(folder / "tokenizer.json")), kept


def check(trimmed, text):
    before, after, kept = trimmed
    one, two = before.encode(text), after.encode(text)
    if set(one.ids) <= set(kept):
        assert two.tokens == one.tokens
        assert [kept[at] for at in two.ids] == one.ids
    return set(one.ids) <= set(kept)


def test_the_texts_that_were_counted_have_the_same_tokens(trimmed):
    assert all(check(trimmed, line) for line in STORY[: len(STORY) // 2])
    assert trimmed[1].get_vocab_size() < trimmed[0].get_vocab_size()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(
        st.one_of(st.sampled_from(" ".join(STORY).split()), st.text(string.printable, max_size=6), st.text(max_size=4)),
        max_size=8,
    ).map(" ".join)
)
def test_a_text_of_kept_tokens_has_the_same_tokens(trimmed, text):
    check(trimmed, text)


def test_special_tokens_and_single_characters_stay(trimmed):
    before, after, _ = trimmed
    left = set(after.get_vocab())
    assert {piece for piece in before.get_vocab() if len(piece.removeprefix("##")) == 1} <= left
    assert set(SPECIAL) <= left


def test_a_size_is_kept_and_one_below_what_must_stay_is_refused():
    backend = wordpiece()
    spec = json.loads(backend.to_str())
    used = Counter(at for line in STORY for at in backend.encode(line).ids)
    least = len(choose(spec, Counter(), 0))
    assert len(choose(spec, used, least + 20)) == least + 20
    with pytest.raises(UsageError, match=f"{least} tokens are special or single characters, {least - 1} shall be kept"):
        choose(spec, used, least - 1)


def test_every_id_that_a_configuration_names_is_another_one_afterwards():
    class Config:
        def __init__(self):
            self.eos_token_id, self.pad_token_id, self.forced_bos_token_id = [7, 9], 3, None
            self.suppress_tokens, self.bad_words_ids, self.num_beams = [3, 8], [[3], [8], [7, 9]], 4

        def to_dict(self):
            return dict(vars(self))

    config = Config()
    assert named_ids(config) == {7, 9, 3}
    renumber(config, {3: 0, 7: 1, 9: 2})
    assert vars(config) == {
        "eos_token_id": [1, 2],
        "pad_token_id": 0,
        "forced_bos_token_id": None,
        "suppress_tokens": [0],
        "bad_words_ids": [[0], [1, 2]],
        "num_beams": 4,
    }
