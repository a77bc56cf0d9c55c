import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewright.errors import DataError, StorageError, UsageError
from edgewright.text.tokenizer import Tokenizer
from edgewright.training import tokenizers
from edgewright.training.tokenizers import KINDS, train_tokenizer

SENTENCES = Path(__file__).parents[2] / "tools" / "demo" / "sentences.tsv"
LINES = [line.split("\t")[0] for line in SENTENCES.read_text().splitlines()[1:]]
SIZE = 400
texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Each kind once, on the story: kind -> its directory."""
    root = tmp_path_factory.mktemp("trained")
    for kind in KINDS:
        train_tokenizer([SENTENCES], root / kind, kind=kind, size=SIZE)
    return root


def opened(directory, length=512):
    return Tokenizer(directory, length)


def ids_of(tokenizer, text):
    return tokenizer.encode([text]).feeds["input_ids"][0].tolist()


def back(tokenizer, text):
    return tokenizer.decode(ids_of(tokenizer, text))


@pytest.mark.parametrize("kind", KINDS)
def test_size_specials_and_template(trained, kind):
    tokenizer = opened(trained / kind)
    assert tokenizer.largest_id + 1 == SIZE
    marks = ("[CLS]", "[SEP]") if kind == "wordpiece" else ("<s>", "</s>")
    encoding = tokenizer.encode([("Nobody laughed.", "The river")])
    words = [encoding.to_text([one]) for one in encoding.feeds["input_ids"][0].tolist()]
    assert (words[0], words[-1]) == marks
    assert set(encoding.feeds["token_type_ids"][0].tolist()) == ({0, 1} if kind == "wordpiece" else {0})
    assert tokenizer.mask_token in ("[MASK]", "<mask>")
    assert ids_of(tokenizer, f"a {tokenizer.mask_token} b").count(tokenizer.mask_id) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts)
def test_bpe_gives_every_text_back_to_the_byte(trained, text):
    if "<" not in text:  # a special token written in a text counts as one
        assert back(opened(trained / "bpe"), text) == text


@pytest.mark.parametrize("kind", KINDS)
def test_a_sentence_of_the_corpus_comes_back(trained, kind):
    line = LINES[0]
    spaced, wanted = back(opened(trained / kind), line), unicodedata.normalize("NFKC", line)
    assert "".join(spaced.split()) == "".join(wanted.split())


def test_lower_case(tmp_path):
    for kind in KINDS:
        train_tokenizer([SENTENCES], tmp_path / kind, kind=kind, size=SIZE, lower_case=True)
        tokenizer = opened(tmp_path / kind)
        assert ids_of(tokenizer, "THE RIVER") == ids_of(tokenizer, "the river")


def test_special_tokens_of_ones_own(tmp_path):
    train_tokenizer([SENTENCES], tmp_path / "t", kind="bpe", size=SIZE, special=["<url>", "<user>"])
    tokenizer = opened(tmp_path / "t")
    ids = ids_of(tokenizer, "see <url>, <user>")
    assert len(set(ids) & {5, 6}) == 2
    assert "<url>" not in tokenizer.decode(ids)


def test_a_character_that_is_not_in_the_corpus_is_unknown_but_for_bytes(trained):
    for kind in KINDS:
        tokenizer = opened(trained / kind)
        assert (tokenizer.unknown_id in ids_of(tokenizer, "你")) == (kind != "bpe")


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_two_processes_write_the_same_bytes(tmp_path, kind):
    code = "import sys; from edgewright.training.tokenizers import train_tokenizer as train\n"
    code += f"train([{str(SENTENCES)!r}], sys.argv[1], kind={kind!r}, size=400)"
    for name in "ab":
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True)
    one, other = ((tmp_path / name / "tokenizer.json").read_bytes() for name in "ab")
    assert one == other


def test_what_was_trained_is_told(trained, tmp_path):
    found = train_tokenizer([SENTENCES], tmp_path / "t", kind="wordpiece", size=SIZE)
    assert found.texts == len(LINES)
    assert (found.tokens, found.unknown) == (SIZE, pytest.approx(0, abs=0.05))
    assert 1 < found.tokens_per_word < 5
    config = json.loads((trained / "wordpiece" / "tokenizer_config.json").read_text())
    assert (config["model_max_length"], config["pad_token"]) == (512, "[PAD]")


def test_rows_are_a_corpus_too(tmp_path):
    (tmp_path / "c.tsv").write_bytes(SENTENCES.read_bytes())
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in LINES))
    (tmp_path / "c.txt").write_text("\n".join(LINES))
    made = []
    for name in ("c.tsv", "c.jsonl", "c.txt"):
        train_tokenizer([tmp_path / name], tmp_path / name[2:], kind="bpe", size=SIZE)
        made.append((tmp_path / name[2:] / "tokenizer.json").read_bytes())
    assert made[0] == made[1] == made[2]


def test_a_corpus_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizers, "_PIECE_BYTES", 50)
    (tmp_path / "c.txt").write_bytes(b"the river " * 400 + b" the end")
    pieces = list(tokenizers._read([tmp_path / "c.txt"]))
    assert max(map(len, pieces)) <= 50
    assert "".join(pieces).count("river") >= 360


@pytest.mark.parametrize("at", range(45, 51))
def test_no_character_is_cut_between_two_pieces(tmp_path, monkeypatch, at):
    monkeypatch.setattr(tokenizers, "_PIECE_BYTES", 50)
    text = "x" * at + "é€𝄞" + "y" * 60
    (tmp_path / "c.txt").write_text(f"\ufeff{text}\n{text}", encoding="utf-8")
    assert "".join(tokenizers._read([tmp_path / "c.txt"])) == 2 * text


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"size": 100000}, UsageError, r"the corpus of \d+ texts gives \d+ tokens, 100000 were asked; give a size of"),
        ({"size": 30}, UsageError, r"30 tokens have no room for 5 special tokens and \d+ of single characters"),
        ({"kind": "words"}, UsageError, "unknown kind of tokenizer 'words'; choose from bpe, wordpiece, unigram"),
        ({"corpus": "empty.txt"}, DataError, "empty.txt holds no text"),
        ({"corpus": "gone.txt"}, DataError, r"cannot read .*gone.txt: No such file"),
        ({"out": "full"}, StorageError, "is not empty; choose another place, or use --force"),
        ({"out": "empty.txt"}, StorageError, "is a file"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_leaves_nothing_behind(tmp_path, kind, options, error, words):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    corpus = tmp_path / options["corpus"] if "corpus" in options else SENTENCES
    given_options = {"kind": kind, "size": 300, **{k: v for k, v in options.items() if k in ("kind", "size")}}
    with pytest.raises(error, match=words):
        train_tokenizer([corpus], tmp_path / options.get("out", "out"), **given_options)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_transformers_reads_it_alike(trained, kind):
    transformers = pytest.importorskip("transformers", reason="of the extra `convert`")
    theirs, ours = transformers.AutoTokenizer.from_pretrained(trained / kind), opened(trained / kind)
    for text in (*LINES[:40], "naïve 你 ﬁne  two", ("Nobody laughed.", "The end")):
        found = theirs(*([text] if isinstance(text, str) else text))
        feeds = ours.encode([text]).feeds
        assert found["input_ids"] == feeds["input_ids"][0].tolist()
        if kind == "wordpiece":
            assert found["token_type_ids"] == feeds["token_type_ids"][0].tolist()
    assert theirs.mask_token_id == ours.mask_id
    assert theirs.pad_token_id is not None
    assert theirs.model_max_length == 512
