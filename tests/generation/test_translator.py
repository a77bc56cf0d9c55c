"""Text to text: what stays as it is around sentences, and what a translator refuses."""

import json
import logging

import numpy as np
import pytest
import translators

from edgewright.contracts.encoder_decoder import EncoderDecoder
from edgewright.errors import DataError, InputError, SourceError, UsageError
from edgewright.generation.beams import Rules, Search
from edgewright.generation.defaults import Defaults, translation_defaults
from edgewright.generation.translator import Translator, read_target
from edgewright.text.tokenizer import Tokenizer


class Echo(EncoderDecoder):
    """Says the tokens of its source again, and keeps them."""

    def __init__(self, vocabulary, context=64):
        super().__init__(vocabulary, context)
        self.read = []

    def _begin(self, ids, mask, beams):
        self.read += [row[real > 0].tolist() for row, real in zip(ids, mask, strict=True)]
        self._said = np.repeat(ids, beams, axis=0)

    def _step(self, tokens):
        assert tokens.shape == (self.rows,)
        at = min(self.length, self._said.shape[1] - 1)
        return 9 * np.eye(self.vocabulary, dtype=np.float32)[self._said[:, at]]

    def _reorder(self, rows):
        self._said = self._said[rows]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    home = tmp_path_factory.mktemp("tokenizer")
    translators.tokenizer(home, "last")
    return home


@pytest.fixture
def translator(directory):
    return made(directory)


def made(directory, *, context=64, prompt=""):
    tokenizer = Tokenizer(directory, context)
    model = Echo(len(tokenizer.vocabulary), context)
    return Translator(tokenizer, model, Rules(2, frozenset([0])), Search(max_new_tokens=context), prompt=prompt)


def said(translator, text, **options):
    return translator(text, **options)[0]["translation_text"]


TEXTS = {
    "a sentence": "Turn on the lights.",
    "two": "Turn on the lights.  Lock the door.",
    "lines": "Turn on the lights.\n\n  Lock the door.\r\nIs it late?\n",
    "nothing": "",
    "white space": "  \n\t",
    "white space around": "  Lock the door. ",
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_around_sentences_stays(translator, name):
    assert said(translator, TEXTS[name]) == TEXTS[name]


def test_each_sentence_is_read_alone_unless_lines_are_wanted_whole(translator):
    said(translator, TEXTS["two"])
    assert len(translator.model.read) == 2
    said(translator, TEXTS["two"], split=False)
    assert len(translator.model.read) == 3


def test_nothing_is_read_where_there_is_nothing(translator):
    said(translator, TEXTS["white space"])
    assert translator.model.read == []


def test_several_texts_have_several_answers_in_their_order(translator):
    texts = ["Lock the door.", "Is it late? Turn on the lights, please!", "", "at"]
    for size in (1, 2, 16):
        answers = translator(texts, batch_size=size, num_beams=2)
        assert [answer["translation_text"] for answer in answers] == texts


def test_rows_are_written_together_and_come_up_to_the_one_that_is_wrong(translator):
    texts = ["Lock the door.", "Is it late?", "at", "Turn on the lights.", "at", ">>xx<< at", "Lock it."]
    options, rows = translator.options(batch_size=3), []
    with pytest.raises(UsageError, match="no language >>xx<<"):
        rows.extend(translator.rows(iter(texts), options))
    assert [row["text"] for row in rows] == texts[:5]
    assert rows == [translator.row(text) for text in texts[:5]]
    translator.model.read.clear()
    next(translator.rows(iter(texts), options))
    assert len(translator.model.read) == 3


def test_a_prompt_stands_before_each_sentence(directory):
    translator = made(directory, prompt="set: ")
    said(translator, TEXTS["two"])
    begin = translator.tokenizer.ids("set:")[:-1]
    assert all(ids[: len(begin)] == begin for ids in translator.model.read)


def test_a_sentence_that_is_longer_than_the_model_is_cut_and_said(directory, caplog):
    translator = made(directory, context=20)
    with caplog.at_level(logging.WARNING, "edgewright.generation"):
        found = said(translator, "Turn on the lights in the kitchen and lock the front door at 10 and play it")
    assert found == "Turn on the lights in the kitchen and lock the front door at 10 and play it"
    assert max(map(len, translator.model.read)) <= 20
    assert "the model reads 20: cut into" in caplog.text


def test_a_model_that_reads_less_than_a_character_says_so(directory):
    with pytest.raises(UsageError, match="has no part of at most 1 tokens"):
        said(made(directory, context=1), "Turn")


def test_a_text_comes_sentence_by_sentence(translator):
    for text in TEXTS.values():
        assert "".join(translator.stream(text)) == text
    pieces = translator.stream(TEXTS["two"])
    assert next(pieces) == "Turn on the lights.  "
    assert len(translator.model.read) == len([text for text in TEXTS.values() for _ in translator.sources(text)]) + 1


def test_tags_stay_and_what_is_between_them_is_translated_apart(translator):
    text = "<p>Turn on the lights.</p> Lock the door, {name}!\n"
    assert said(translator, text, keep_tags=True) == text
    assert len(translator.model.read) == 3


def test_details_tell_of_every_sentence(translator):
    (found,) = translator("Turn on the lights.  Lock it.", details=True)
    assert found["translation_text"] == "Turn on the lights.  Lock it."
    assert [one["source"] for one in found["sentences"]] == ["Turn on the lights.", "Lock it."]
    assert found["flags"] == ["not translated"]
    share = -np.log(1 + (translator.model.vocabulary - 1) * np.exp(-9.0))
    assert found["score"] == pytest.approx(share, rel=1e-4)
    (searched,) = translator("Turn on the lights.", details=True, num_beams=2, length_penalty=0.5)
    assert searched["score"] == pytest.approx(share, rel=1e-4)
    assert translator("", details=True) == [{"translation_text": "", "score": None, "flags": [], "sentences": []}]


def test_a_glossary_s_terms_stand_in_the_translation(translator):
    asked = {"glossary": {"front door": "puerta"}, "details": True, "max_new_tokens": 20}
    plain, forced = translator(["Play it.", "Lock the Front Door"], **asked)
    assert plain["translation_text"] == "Play it."
    assert "puerta" in forced["translation_text"]
    assert "terms" not in forced["flags"]
    (cut,) = translator("Lock the front door", **{**asked, "max_new_tokens": 1})
    assert "terms" in cut["flags"]
    with pytest.raises(DataError, match="stands for nothing"):
        translator("Lock it.", glossary={"it": ""})


def test_a_language_that_the_model_lacks_is_said(translator):
    with pytest.raises(UsageError, match="has no language >>xx<<") as found:
        said(translator, ">>xx<< Lock it.")
    assert "translates into one language" in str(found.value.hint)


def test_a_language_is_read_off_the_beginning_of_a_text():
    assert read_target(" >>es<< Hola") == (">>es<<", "Hola")
    assert read_target("a >>es<< b") == ("", "a >>es<< b")
    assert read_target(">>\n<<") == ("", ">>\n<<")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"num_beams": 0}, "num_beams is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"details": "yes"}, "details is 'yes', it must be True or False"),
        ({"temperature": 1.0}, "no option is called temperature"),
    ],
)
def test_an_option_without_a_meaning_is_refused(translator, options, shown):
    with pytest.raises(UsageError, match=shown):
        translator("Lock it.", **options)


@pytest.mark.parametrize("given", [3, {"text": "x"}, ["x", 3]])
def test_what_is_no_text_is_refused(translator, given):
    with pytest.raises(DataError, match="is no text"):
        translator(given)


def test_a_closed_translator_says_so(translator):
    with translator:
        pass
    with pytest.raises(UsageError, match="the translator is closed"):
        translator("Lock it.")
    with pytest.raises(UsageError, match="the translator is closed"):
        next(translator.stream("Lock it."))
    assert "closed" in repr(translator)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("num_beams", "4", "num_beams is 4, it must be"),
        ("length_penalty", "long", "length_penalty is 'long', it must be"),
        ("bad_words_ids", 5, "words of several tokens"),
        ("bad_words_ids", [["a"]], "words of several tokens"),
    ],
)
def test_a_setting_of_the_model_without_a_meaning_is_named_with_its_file(tmp_path, name, value, words):
    tree = {"decoder_start_token_id": 1, "eos_token_id": 0, name: value}
    (tmp_path / "generation_config.json").write_text(json.dumps(tree))
    with pytest.raises(InputError, match=words) as found:
        translation_defaults(tmp_path, 64)
    assert name == "bad_words_ids" or "generation_config.json: " in str(found.value)
    tree = {"do_sample": True, "top_k": 2.5}
    (tmp_path / "generation_config.json").write_text(json.dumps(tree))
    with pytest.raises(SourceError, match=r"generation_config.json: top_k is 2.5, it must be"):
        Defaults.of(tmp_path)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "electra"}, "as electra is no encoder-decoder, name the task that it was made for"),
        ({"model_type": "marian", "is_encoder_decoder": True}, "save its generation_config.json beside config.json"),
    ],
)
def test_a_source_that_says_no_beginning_is_told_what_it_lacks(tmp_path, config, words):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SourceError, match=words):
        translation_defaults(tmp_path, 64)
