"""Words tokenized once: the same tokens as the tokenizer itself gives the whole text."""

import json
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from tokenizers import Tokenizer

from edgewright.data.text_documents import Documents
from edgewright.errors import TokenizerError
from edgewright.training.decoder_tokenizer import train_decoder_tokenizer
from edgewright.training.word_cache import WordCache, type_of

STORY = Path(__file__).parents[1] / "story.txt"


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def cache(request, tmp_path_factory):
    out, size = tmp_path_factory.mktemp("tokenizer"), {"bpe": 300, "unigram": 420}[request.param]
    train_decoder_tokenizer(Documents.of([STORY]), out, kind=request.param, size=size, max_length=64)
    backend = Tokenizer.from_file(str(out / "tokenizer.json"))
    backend.encode_special_tokens = True
    return WordCache(out), backend, out


def same(cache, text):
    words, backend, _ = cache
    assert np.frombuffer(words.encode(text), words.type).tolist() == backend.encode(text, add_special_tokens=False).ids


def test_a_story_has_the_same_tokens(cache):
    assert cache[0].by_word
    same(cache, STORY.read_text())


@hypothesis.given(
    strategies.text(strategies.sampled_from("ab 1.'\n\t\r\u00a0\u0085\u2028\u200bé日\x1c<|>"), max_size=30)
)
@hypothesis.example("<|endoftext|> a <|endoftext|>")
@hypothesis.example("don't  stop\n  now ' 's")
def test_any_blanks_have_the_same_tokens(cache, text):
    same(cache, text)


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
        {"pre_tokenizer": None},
    ],
)
def test_a_tokenizer_of_another_rule_gets_the_text_whole(cache, tmp_path, change):
    tree = json.loads((cache[2] / "tokenizer.json").read_text()) | change
    (tmp_path / "tokenizer.json").write_text(json.dumps(tree))
    words = WordCache(tmp_path)
    backend, text = Tokenizer.from_file(str(tmp_path / "tokenizer.json")), "The captain  Of the sea"
    assert not words.by_word
    found = np.frombuffer(words.encode(text), words.type).tolist()
    assert found == backend.encode(text, add_special_tokens=False).ids


def test_numbers_are_as_wide_as_the_vocabulary_needs():
    assert [type_of(largest) for largest in (2**16 - 1, 2**16)] == ["<u2", "<u4"]


def test_what_is_no_tokenizer_is_said(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match="does not load"):
        WordCache(tmp_path)
