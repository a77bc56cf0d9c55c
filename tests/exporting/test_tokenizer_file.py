"""tokenizer.bin, read by the C core: the ids and offsets of `tokenizers` for whatever a text holds."""

import json
import subprocess

import pytest
import token_texts
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from edgewright.errors import TokenizerError, UnsupportedConversion
from edgewright.exporting.split_pattern import compiled
from edgewright.exporting.tokenizer_file import tokenizer_file

CORPUS = [
    "The quick brown fox jumps over the lazy dog, doesn't it?",
    "naïve café Straße 2024 été 中文 한국어",
    "good bad un##ing",
] * 30
LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def wordpiece(**options):
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(**options)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.decoder = decoders.WordPiece()
    return made


def byte_level(pre_tokenizer, **options):
    made = Tokenizer(models.BPE(**options))
    made.pre_tokenizer = pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"])
    made.train_from_iterator(CORPUS, trainer)
    made.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    made.decoder = decoders.ByteLevel()
    return made


def llama3():
    split = pre_tokenizers.Split(Regex(LLAMA), "isolated")
    made = byte_level(
        pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
        ignore_merges=True,
    )
    made.normalizer = normalizers.NFC()
    made.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))  # which trims offsets
    return made


def unigram(scratch):
    sentencepiece = pytest.importorskip("sentencepiece")
    from sentencepiece import sentencepiece_model_pb2

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_prefix=f"{scratch}/spm", vocab_size=120, num_threads=1, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString((scratch / "spm.model").read_bytes())
    made = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], 0))
    charsmap = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    made.normalizer = normalizers.Sequence([charsmap, normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.add_special_tokens(["</s>"])
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]
    )
    return made


MADE = {
    "uncased": lambda _: wordpiece(),
    "llama3": lambda _: llama3(),
    "unigram": unigram,
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The tokenizer with gcc's sanitizers in it: what it gets wrong in memory ends it."""
    out = tmp_path_factory.mktemp("tokens") / "tokens"
    return token_texts.compiled(out, "tokens.c", "ew_tokenizer.c", flags=token_texts.SANITIZED)


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_ids_and_offsets_are_those_of_tokenizers(name, program, tmp_path):
    backend = MADE[name](tmp_path)
    file = tmp_path / "tokenizer.bin"
    file.write_bytes(tokenizer_file(backend.to_str()))
    added = [token.content for token in backend.get_added_tokens_decoder().values()]
    texts = [
        "",
        " ",
        *token_texts.fuzzed(600, 3, added),
        *token_texts.long_ones()[:2],
        *token_texts.every_code_point()[::40],
    ]
    assert token_texts.differences(program, file, backend, texts) == []


@pytest.mark.slow
def test_a_vocabulary_that_lacks_bytes_is_carried_where_nobody_asks_for_offsets(program, tmp_path):
    """As SmolLM's, which has no token for bytes that its text never had: they are left out."""
    tree = json.loads(byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)).to_str())
    vocabulary = tree["model"]["vocab"]
    tree["model"]["vocab"] = {f"<{at}>" if token in "ÀñóĢ" else token: at for token, at in vocabulary.items()}
    with pytest.raises(UnsupportedConversion, match="without a token for 4 of the 256 bytes"):
        tokenizer_file(json.dumps(tree))
    backend = Tokenizer.from_str(json.dumps(tree))
    (tmp_path / "tokenizer.bin").write_bytes(tokenizer_file(json.dumps(tree), offsets=False))
    texts = ["a\U00040000b", "\U000c0000", "à la mode", "\u2000 x", *token_texts.fuzzed(300, 5, ["<s>", "<mask>"])]
    found = token_texts.tokens(program, tmp_path / "tokenizer.bin", [text.encode() for text in texts])
    assert [ids for ids, _ in found] == [one.ids for one in backend.encode_batch(texts)]


@pytest.mark.slow
def test_bytes_that_are_no_text_and_files_that_are_altered(program, tmp_path):
    backend = wordpiece(clean_text=False)
    file, whole = tmp_path / "tokenizer.bin", bytearray(tokenizer_file(backend.to_str()))
    file.write_bytes(whole)
    texts = [b"good \xff bad", b"\xc3", b"a\xe4\xb8", b"\xed\xa0\x80x", b"\xf0\x9f\x98\xf0", b"\xc0\x80", b"\x80\x80"]
    wanted = [backend.encode(text.decode(errors="replace")) for text in texts]
    assert token_texts.tokens(program, file, texts) == [(one.ids, one.offsets) for one in wanted]
    assert token_texts.tokens(program, file, [b"a" * ((1 << 20) + 1), b"a"])[0][0] == [-4]
    for at in range(0, len(whole), len(whole) // 40):
        whole[at] ^= 4
        file.write_bytes(whole)
        done = subprocess.run([program, file], input="", capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "a file is not what was exported, or of another version\n")
        whole[at] ^= 4
    for size in (0, 7, 100, len(whole) - 4):
        file.write_bytes(whole[:size])
        assert subprocess.run([program, file], input=b"", capture_output=True, check=False).returncode == 1


@pytest.mark.slow
def test_made_up_bytes_break_nothing(tmp_path):
    fire = token_texts.compiled(tmp_path / "fire", "token_fire.c", "ew_tokenizer.c", flags=token_texts.SANITIZED)
    file = tmp_path / "tokenizer.bin"
    file.write_bytes(tokenizer_file(wordpiece().to_str()))
    done = subprocess.run([fire, file, "2", "1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 0


def refused(change):
    tree = json.loads(Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")).to_str())
    change(tree)
    with pytest.raises(UnsupportedConversion) as caught:
        tokenizer_file(json.dumps(tree))
    return str(caught.value)


def test_what_cannot_be_carried_is_named():
    assert "normalizer ByteLevel" in refused(lambda tree: tree.update(normalizer={"type": "ByteLevel"}))
    scripts = {"type": "UnicodeScripts"}
    assert "pre-tokenizer UnicodeScripts" in refused(lambda tree: tree.update(pre_tokenizer=scripts))
    bpe = {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.5}
    assert "dropout 0.5" in refused(lambda tree: tree.update(model=bpe))
    unigram = {"type": "Unigram", "unk_id": None, "vocab": [["a", 0.0]]}
    assert "Unigram without a token" in refused(lambda tree: tree.update(model=unigram))
    assert "decoder CTC" in refused(
        lambda tree: tree.update(
            decoder={"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}
        )
    )
    words = {"type": "WordLevel", "vocab": {"a": 0, "\u2581a\u2581b": 1}, "unk_token": "a"}
    mark = {"type": "Replace", "pattern": {"String": "\ue000"}, "content": ""}
    spaced = {"type": "Sequence", "decoders": [mark, {"type": "Metaspace", "replacement": "\u2581"}]}
    blank = {"type": "Replace", "pattern": {"Regex": "x"}, "content": ""}
    assert "decoder Replace" in refused(lambda tree: tree.update(decoder=blank))
    assert "Metaspace behind others" in refused(lambda tree: tree.update(model=words, decoder=spaced))
    with pytest.raises(TokenizerError, match="does not load"):
        tokenizer_file("{}")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"a*", "nothing"), (r"a+?", "little"), (r"(?<=a)b", "at 0"), (r"[a", "class"), (r"(a", "group"),
        (r"a|(?:b*)+", "group"), (r"\bx", r"\\b"), (r"^a", "at 0"),
    ],
)  # fmt: skip
def test_expressions_that_cannot_be_carried(pattern, why):
    with pytest.raises(UnsupportedConversion, match=why):
        compiled(pattern, lambda _: 0)


def test_an_expression_is_three_numbers_a_line():
    bits = {}
    program = compiled(r"a|\p{L}{1,3}(?!\S)", lambda name: bits.setdefault(name, len(bits)))
    assert [program[at : at + 3] for at in range(0, len(program), 3)] == [
        [3, 1, 3], [1, 97, 0], [4, 6, 0], [8, 1, 3], [2, 0, 0], [6, 3, 0], [2, 1, 0], [7, 0, 0], [7, 0, 0],
    ]  # fmt: skip
    assert list(bits) == [r"\p{L}", r"\S"]
