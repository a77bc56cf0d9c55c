import random

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from edgewright.generation.text_stream import TextStream

TEXT = [
    "Once upon a time there was a caf\u00e9 \u2615 by the sea, and nobody minded.",
    "\u65e5\u672c\u8a9e\u306e\u6587\u3068 \U0001f468\u200d\U0001f469\u200d\U0001f467 emoji, e\u0301 combining",
    "  two  spaces\n\nand lines\tand tabs ",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea \u0928\u092e\u0938\u094d\u0924\u0947",
]


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<end>"]
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def byte_fallback():
    """As sentencepiece's: pieces with a mark for spaces, bytes for what has no piece."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581"]
    names += sorted(set("abcdefghijklmnopqrstuvwxyz,.") | {"\u00e9"})
    tokenizer = Tokenizer(
        models.BPE({name: at for at, name in enumerate(names)}, [], byte_fallback=True, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), strip]
    )
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


def pieces(tokenizer, ids, stops=(), after=()):
    stream = TextStream(
        lambda each: tokenizer.decode(list(each)), lambda at: tokenizer.id_to_token(at) or "", stops, after
    )
    return [stream.push(token) for token in ids] + [stream.finish()], stream


@pytest.mark.parametrize("make", [byte_level, byte_fallback])
def test_any_cut_streamed_is_what_decoding_all_at_once_gives(make):
    """Texts cut anywhere, in the middle of characters too, with tokens of chance among them."""
    tokenizer, chance = make(), random.Random(3)
    for _ in range(1500):
        ids = tokenizer.encode(" ".join(chance.sample(TEXT, 2))).ids
        start = chance.randrange(len(ids))
        ids = ids[start : start + chance.randrange(1, 60)]
        for _ in range(chance.randrange(4)):
            ids.insert(chance.randrange(len(ids) + 1), chance.randrange(tokenizer.get_vocab_size()))
        found, _ = pieces(tokenizer, ids)
        assert "".join(found) == tokenizer.decode(ids)


def test_no_piece_holds_half_a_character():
    tokenizer = byte_level()
    ids = tokenizer.encode(TEXT[1]).ids
    found, _ = pieces(tokenizer, ids)
    assert len(ids) > len(TEXT[1]) / 2
    assert not any("\ufffd" in piece for piece in found)
    assert sum(bool(piece) for piece in found) > 5


def test_the_first_word_keeps_its_space_after_a_prompt():
    tokenizer = byte_fallback()
    whole = tokenizer.encode("there was a dog").ids
    found, _ = pieces(tokenizer, whole[-4:], after=whole[:-4])
    assert "".join(found) == " dog"
    assert "".join(pieces(tokenizer, whole[-4:])[0]) == "dog"
    for end in ("\n", "\u2615", "x" + "\u65e5" * 9):  # each is bytes there
        whole = tokenizer.encode(f"there was{end} dog").ids
        found, _ = pieces(tokenizer, whole[-4:], after=whole[:-4])
        assert "".join(found) == " dog", end


@pytest.mark.parametrize(
    ("stop", "left"), [("time", "Once upon a "), ("a time th", "Once upon "), ("Once", ""), ("zzz", TEXT[0])]
)
def test_the_text_ends_before_a_stop_string_and_never_shows_its_beginning(stop, left):
    tokenizer = byte_level()
    found, stream = pieces(tokenizer, tokenizer.encode(TEXT[0]).ids, stops=("qqq", stop))
    assert "".join(found) == left
    assert stream.stopped == ("" if stop == "zzz" else stop)
    shown = ""
    for piece in found:
        shown += piece
        assert left.startswith(shown)


def test_a_special_token_ends_no_run_of_bytes():
    """It is left out where all is decoded at once, and bytes on both sides of it are one character, or none."""
    tokenizer = byte_fallback()
    names = ("<0x16>", "<s>", "<0x19>", "<0x86>", "a", "<0xC3>", "</s>", "<0xA9>", "<s>", "b")
    ids = [tokenizer.token_to_id(name) for name in names]
    for end in range(1, len(ids) + 1):
        assert "".join(pieces(tokenizer, ids[:end])[0]) == tokenizer.decode(ids[:end])
    assert tokenizer.decode(ids).endswith("aéb")
