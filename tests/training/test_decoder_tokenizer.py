"""Tokenizers of decoders: nothing of a text is lost, and what spells a token of its own stays text."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from edgewright.data.text_documents import Documents
from edgewright.errors import DataError, TokenizerError, UsageError
from edgewright.training.decoder_tokenizer import end_of, train_decoder_tokenizer

STORY = Path(__file__).parents[1] / "story.txt"
TEXTS = [
    *("Once upon a time", "  two  blanks\n\nand lines  ", "日本語 é 🦉", "\ttab", "", " ", "a\r\nb\u2028c"),
    *("<0x0A> <0xFF>", "<unk>", "</s>", "<|endoftext|>"),
]


SIZES = {"bpe": 300, "unigram": 420}


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def trained(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    train_decoder_tokenizer(Documents.of([STORY]), out, kind=request.param, size=SIZES[request.param], max_length=64)
    return out


def test_a_text_comes_back_to_the_byte(trained):
    backend = Tokenizer.from_file(str(trained / "tokenizer.json"))
    assert backend.get_vocab_size() in SIZES.values()
    backend.encode_special_tokens = True
    for text in TEXTS:
        assert backend.decode(backend.encode(text, add_special_tokens=False).ids) == text


def test_its_end_is_known(trained):
    number, name = end_of(trained)
    assert (number, name) in {(0, "<|endoftext|>"), (2, "</s>")}


@pytest.mark.slow
def test_transformers_reads_the_same(trained):
    from transformers import AutoTokenizer

    theirs, ours = AutoTokenizer.from_pretrained(trained), Tokenizer.from_file(str(trained / "tokenizer.json"))
    for text in TEXTS[:4]:
        assert theirs(text).input_ids == ours.encode(text).ids
        assert theirs.decode(theirs(text).input_ids) == text
    assert theirs.eos_token_id == end_of(trained)[0]


@pytest.mark.parametrize(
    ("config", "kind", "words"),
    [
        ("{", TokenizerError, "tokenizer_config.json"),
        ('{"eos_token": "<none>"}', UsageError, "has no token that ends a document"),
        ('{"eos_token": {"content": "a"}}', None, "a"),
    ],
)
def test_an_end_is_named_by_the_tokenizer_itself(tmp_path, config, kind, words):
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="b"))
    backend.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(config)
    if kind is None:
        assert end_of(tmp_path) == (0, words)
        return
    with pytest.raises(kind, match=words):
        end_of(tmp_path)


def test_what_cannot_be_is_said(tmp_path):
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(DataError, match="no text to train on"):
        train_decoder_tokenizer(Documents.of([tmp_path / "a.txt"]), tmp_path, kind="bpe", size=300, max_length=8)
    with pytest.raises(UsageError, match="100 tokens has no room for 257"):
        train_decoder_tokenizer(Documents.of([STORY]), tmp_path, kind="bpe", size=100, max_length=8)
    with pytest.raises(UsageError, match="60000 were asked; give a vocabulary of"):
        train_decoder_tokenizer(Documents.of([STORY]), tmp_path, kind="bpe", size=60000, max_length=8)
