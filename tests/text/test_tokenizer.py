import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend

from edgewright.errors import TokenizerError
from edgewright.text.tokenizer import MAX_TEXT_BYTES, Tokenizer

PAD, UNK, CLS, SEP, MASK = range(5)
TEXTS = ["The river had risen.", "Good!", "", "not a bad day at all, and still a pity", "日本 soup 🎉"]


@pytest.fixture
def tokenizer(tokenizer_dir):
    return Tokenizer(tokenizer_dir, 64)


@pytest.fixture(scope="module")
def pair_of_tokenizers(_tokenizer):
    """Ours and the bare library's, of the same file."""
    return Tokenizer(_tokenizer, 64), Backend.from_file(str(_tokenizer / "tokenizer.json"))


def ids(tokenizer, text):
    return tokenizer.encode([text]).feeds["input_ids"][0].tolist()


def edit(directory, change):
    """Let `change` edit the tree of tokenizer.json in place."""
    path = directory / "tokenizer.json"
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40), other=st.text(max_size=20))
def test_ids_masks_types_and_offsets_are_the_librarys_own(pair_of_tokenizers, text, other):
    ours, bare = pair_of_tokenizers
    bare.enable_truncation(64)
    for item, raw in ((text, bare.encode(text)), ((text, other), bare.encode(text, other))):
        encoding = ours.encode([item])
        assert encoding.feeds["input_ids"].tolist() == [raw.ids]
        assert encoding.feeds["attention_mask"].tolist() == [raw.attention_mask]
        assert encoding.feeds["token_type_ids"].tolist() == [raw.type_ids]
        assert tuple(encoding.offsets) == (raw.offsets,)


def test_a_batch_is_padded_to_the_longest(tokenizer):
    encoding = tokenizer.encode(TEXTS)
    alone = [ids(tokenizer, text) for text in TEXTS]
    longest = max(map(len, alone))
    assert encoding.feeds["input_ids"].tolist() == [row + [PAD] * (longest - len(row)) for row in alone]
    assert encoding.feeds["attention_mask"].tolist() == [[1] * len(row) + [0] * (longest - len(row)) for row in alone]
    assert encoding.lengths.tolist() == [len(row) for row in alone]
    assert [len(offsets) for offsets in encoding.offsets] == [len(row) for row in alone]
    assert all(array.dtype == np.int64 and array.shape == (5, longest) for array in encoding.feeds.values())


def test_a_pair_has_two_segments(tokenizer):
    first, second = ids(tokenizer, "good soup"), ids(tokenizer, "bad day")
    encoding = tokenizer.encode([("good soup", "bad day")])
    assert encoding.feeds["input_ids"].tolist() == [first + second[1:]]
    assert encoding.feeds["token_type_ids"].tolist() == [[0] * len(first) + [1] * (len(second) - 1)]


def test_pairs_and_texts_may_stand_in_one_batch(tokenizer):
    encoding = tokenizer.encode([("good soup", "bad day"), "good"])
    assert encoding.lengths.tolist() == [len(ids(tokenizer, ("good soup", "bad day"))), 3]


def test_offsets_point_at_the_characters_of_each_token(tokenizer):
    text = "Ünder the RIVER 🎉 boots"
    (offsets,) = tokenizer.encode([text]).offsets
    assert offsets[0] == offsets[-1] == (0, 0)
    covered = [text[start:end] for start, end in offsets[1:-1]]
    assert "".join(covered) == text.replace(" ", "")
    assert covered[-1] in "boots"


@pytest.mark.parametrize("most", [3, 5, 17, 64])
def test_a_long_text_is_cut_and_keeps_its_special_tokens(tokenizer_dir, most):
    cut = ids(Tokenizer(tokenizer_dir, most), "the river " * 100)
    whole = ids(Tokenizer(tokenizer_dir, 10_000), "the river " * 100)
    assert cut == [*whole[: most - 1], SEP]


def test_a_long_pair_is_cut_at_its_longer_part(tokenizer_dir):
    encoding = Tokenizer(tokenizer_dir, 12).encode([("river " * 50, "soup")])
    assert encoding.lengths.tolist() == [12]
    assert encoding.feeds["token_type_ids"][0].tolist()[-2:] == [1, 1]


def test_limit_holds_from_then_on(tokenizer):
    assert len(ids(tokenizer, "the river " * 100)) == 64
    tokenizer.limit(8)
    assert len(ids(tokenizer, "the river " * 100)) == 8
    tokenizer.limit(16)
    assert len(ids(tokenizer, "the river " * 100)) == 16


# --tokens 1` would time a long text under the name of 1 token, and a manifest may say max_length 1.
@pytest.mark.parametrize(("most", "text"), [(1, "the river had risen"), (0, "the river"), (2, ("the river", "soup"))])
def test_a_limit_too_small_for_the_special_tokens_is_refused_or_kept(tokenizer_dir, most, text):
    try:
        found = ids(Tokenizer(tokenizer_dir, most), text)
    except TokenizerError:
        return
    assert len(found) <= most


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("good \ud800", "good \ufffd"),
        ("\udc00good", "\ufffdgood"),
        ("a\ud800b", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
    ],
)
def test_a_lone_surrogate_counts_as_the_replacement_character(tokenizer_dir, text, same):
    vocab = {c: at for at, c in enumerate("abdgo \ufffd😀")}
    model = {"type": "BPE", "vocab": vocab, "merges": []}
    nothing = dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor"))
    edit(tokenizer_dir, lambda tree: tree.update(model=model, added_tokens=[], **nothing))
    assert ids(Tokenizer(tokenizer_dir, 64), text) == [vocab[c] for c in same]


@pytest.mark.parametrize("text", ["", " ", "\n\t\r", "\x00", "\x00\x00a", "\x7f\x1b[31m", "\u200b\u202e", "\ufeff"])
def test_text_of_nothing_much_has_its_special_tokens(tokenizer, text):
    found = ids(tokenizer, text)
    assert (found[0], found[-1]) == (CLS, SEP)


def test_special_tokens_in_a_text_count_as_special_tokens(tokenizer):
    assert ids(tokenizer, "[CLS][PAD][MASK][SEP]") == [CLS, CLS, PAD, MASK, SEP, SEP]


def test_a_text_of_the_limit_is_taken_and_one_byte_more_is_not(tokenizer):
    assert ids(tokenizer, "x" * MAX_TEXT_BYTES) == [CLS, UNK, SEP]
    with pytest.raises(TokenizerError, match=f"{MAX_TEXT_BYTES + 1} bytes, at most {MAX_TEXT_BYTES}.*split it"):
        tokenizer.encode(["x" * (MAX_TEXT_BYTES + 1)])


def test_the_limit_counts_bytes_not_characters(tokenizer):
    with pytest.raises(TokenizerError, match=f"{3 * 400_000} bytes"):
        tokenizer.encode(["好" * 400_000])


def test_both_parts_of_a_pair_are_limited(tokenizer):
    with pytest.raises(TokenizerError, match="split it"):
        tokenizer.encode([("a", "x" * (MAX_TEXT_BYTES + 1))])


@pytest.mark.parametrize("item", [5, None])
def test_what_is_no_text_is_refused(tokenizer, item):
    with pytest.raises(TokenizerError):
        tokenizer.encode([item])


@pytest.mark.parametrize("item", [b"bytes", ("a", 5), (None, "a"), ("a", "b", "c"), {"text": 1, 2: 3}])
def test_what_is_almost_a_text_is_refused(tokenizer, item):
    with pytest.raises(TokenizerError):
        tokenizer.encode([item])


def test_one_bad_text_in_a_batch_is_refused(tokenizer):
    with pytest.raises(TokenizerError, match="must be a string, got bytes"):
        tokenizer.encode(["good", ("good", b"bad")])


def test_decoding_leaves_special_tokens_out(tokenizer):
    text = tokenizer.decode(ids(tokenizer, "the river"))
    assert "the" in text
    assert "[CLS]" not in text


@pytest.mark.parametrize("wrong", [[-1], [2**40], ["a"]])
def test_ids_that_cannot_be_are_refused(tokenizer, wrong):
    with pytest.raises(TokenizerError, match="cannot decode"):
        tokenizer.decode(wrong)


def test_the_largest_id_is_the_last_of_the_vocabulary(tokenizer, tokenizer_dir):
    backend = Backend.from_file(str(tokenizer_dir / "tokenizer.json"))
    assert tokenizer.largest_id == backend.get_vocab_size() - 1


def test_the_largest_id_counts_not_the_number_of_tokens(tokenizer_dir):
    edit(tokenizer_dir, lambda tree: tree["model"]["vocab"].update(far=4_000_000_000))
    assert Tokenizer(tokenizer_dir, 64).largest_id == 4_000_000_000


def test_truncation_and_padding_of_the_file_do_not_count(tokenizer_dir):
    plain = ids(Tokenizer(tokenizer_dir, 64), "the river had risen")

    def change(tree):
        tree["truncation"] = {"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
        tree["padding"] = {
            "strategy": {"Fixed": 40},
            "direction": "Left",
            "pad_to_multiple_of": 8,
            "pad_id": MASK,
            "pad_type_id": 1,
            "pad_token": "[MASK]",
        }

    edit(tokenizer_dir, change)
    tokenizer = Tokenizer(tokenizer_dir, 64)
    assert ids(tokenizer, "the river had risen") == plain
    feeds = tokenizer.encode(["the river had risen", ""]).feeds
    assert feeds["input_ids"][1].tolist() == [CLS, SEP] + [MASK] * (len(plain) - 2)
    assert feeds["token_type_ids"][1].tolist() == [0, 0] + [1] * (len(plain) - 2)


@pytest.mark.parametrize(
    ("config", "pad"),
    [({"pad_token": "[MASK]"}, MASK), ({"pad_token": {"content": "[SEP]"}}, SEP), ({"pad_token": None}, 0), ({}, 0)],
)
def test_the_padding_token_comes_from_the_configuration(tokenizer_dir, config, pad):
    (tokenizer_dir / "tokenizer_config.json").write_text(json.dumps(config))
    assert Tokenizer(tokenizer_dir, 64).encode(["good", ""]).feeds["input_ids"][1].tolist()[-1] == pad


def test_a_tokenizer_without_special_tokens_refuses_a_text_of_no_tokens(tokenizer_dir):
    edit(tokenizer_dir, lambda tree: tree.update(post_processor=None))
    tokenizer = Tokenizer(tokenizer_dir, 64)
    with pytest.raises(TokenizerError, match="no tokens"):
        tokenizer.encode([""])
    assert tokenizer.encode(["", "good"]).lengths.tolist()[0] == 0


BAD_FILES = {
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "garbage": bytes(range(256)),
    "half": b'{"version": "1.0", "model": {"type": "WordPiece", "vo',
    "another model": b'{"version": "1.0", "added_tokens": [], "model": {"type": "Magic", "vocab": {}}}',
    "deep": b'{"a":' * 5000,
    "merge out of range": json.dumps(
        {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}
    ).encode(),
    "negative id": b'{"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": -1}}}',
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_one_error_of_ours(tokenizer_dir, kind):
    (tokenizer_dir / "tokenizer.json").write_bytes(BAD_FILES[kind])
    with pytest.raises(TokenizerError, match=r"tokenizer\.json does not load") as caught:
        Tokenizer(tokenizer_dir, 64)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("vocab", "merges"),
    [({"a": 0, "b": 1, "ab": 7_000_000_000}, [["a", "b"]]), ({"a": 0, "b": 1}, [["a", "b"]]), ({"a": 0}, [["a"]])],
)
def test_merges_that_do_not_fit_are_one_error_of_ours(tokenizer_dir, vocab, merges):
    edit(tokenizer_dir, lambda tree: tree.update(model={"type": "BPE", "vocab": vocab, "merges": merges}))
    with pytest.raises(TokenizerError):
        Tokenizer(tokenizer_dir, 64).encode(["abba"])


def test_a_missing_unknown_token_is_one_error_of_ours(tokenizer_dir):
    edit(tokenizer_dir, lambda tree: tree["model"].update(unk_token="[GONE]"))
    with pytest.raises(TokenizerError, match="cannot tokenize"):
        Tokenizer(tokenizer_dir, 64).encode(["日"])


def test_a_regular_expression_that_explodes_is_one_error_of_ours(tokenizer_dir):
    split = {"type": "Split", "pattern": {"Regex": r"(?:(a+)+)+\1$"}, "behavior": "Isolated", "invert": False}
    edit(tokenizer_dir, lambda tree: tree.update(pre_tokenizer=split, normalizer=None))
    with pytest.raises(TokenizerError, match="cannot tokenize"):
        Tokenizer(tokenizer_dir, 64).encode(["a" * 60 + "b"])


@pytest.mark.parametrize("config", ["", "null", "[]", "{", '{"pad_token": 5}', '{"pad_token": ["[PAD]"]}'])
def test_a_bad_configuration_is_one_error_of_ours(tokenizer_dir, config):
    (tokenizer_dir / "tokenizer_config.json").write_text(config)
    with pytest.raises(TokenizerError, match="does not load"):
        Tokenizer(tokenizer_dir, 64)


def test_no_configuration_is_fine(tokenizer_dir):
    (tokenizer_dir / "tokenizer_config.json").unlink()
    assert ids(Tokenizer(tokenizer_dir, 64), "good")[0] == CLS


def test_no_tokenizer_is_said(tmp_path):
    with pytest.raises(TokenizerError, match=r"no tokenizer\.json in .*save the model's tokenizer beside it"):
        Tokenizer(tmp_path, 64)


def test_a_directory_in_its_place_is_no_tokenizer(tokenizer_dir):
    (tokenizer_dir / "tokenizer.json").unlink()
    shutil.copytree(tokenizer_dir, tokenizer_dir / "tokenizer.json")
    with pytest.raises(TokenizerError, match=r"no tokenizer\.json"):
        Tokenizer(tokenizer_dir, 64)


def test_ctrl_c_is_never_an_error_of_ours(tokenizer, monkeypatch):
    class Interrupted:
        def encode(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr(tokenizer, "_backend", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        tokenizer.encode(["good"])


@pytest.mark.shared_data
def test_every_naughty_string_is_tokenized(tokenizer, shared):
    strings = json.loads((shared / "strings/naughty-strings.json").read_text())
    assert len(strings) == 515
    for text in strings:
        for item in (text, (text, text)):
            feeds = tokenizer.encode([item]).feeds
            assert feeds["input_ids"][0, 0] == CLS
            assert feeds["input_ids"].max() <= tokenizer.largest_id
            assert feeds["input_ids"].shape[1] <= 64


def test_a_file_of_holes_is_not_read_into_memory(tokenizer_dir):
    with (tokenizer_dir / "tokenizer.json").open("r+b") as file:
        file.truncate(2**33)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json has 8589934592 bytes, at most 134217728 are read"):
        Tokenizer(tokenizer_dir, 64)
