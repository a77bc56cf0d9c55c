"""Documents: the same whatever file they stand in, whole, in order, and never more of one in memory than a piece."""

import json

import pytest

from edgewright.data.text_documents import Documents
from edgewright.errors import DataError

STORIES = ["Once there was a dog.", "A cat sat\n\nand slept.", "¿Y el año? 日本語"]


def whole(documents):
    """The documents put together again."""
    found, now = [], ""
    for piece in documents:
        now += piece.text
        assert len(piece.text) <= 1 << 16
        if piece.last:
            found.append(now)
            now = ""
    assert now == ""
    return found


def test_an_end_of_text_in_a_file_separates(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n<|endoftext|>\n".join(STORIES) + "<|endoftext|>\n", encoding="utf-8")
    assert whole(Documents.of([path])) == STORIES


@pytest.mark.parametrize("separator", [r"\n---\n", "§", r"\n\n\n"])
def test_a_separator_of_ones_own(tmp_path, separator):
    path = tmp_path / "a.txt"
    path.write_text(separator.replace("\\n", "\n").join(STORIES), encoding="utf-8")
    assert whole(Documents.of([path], separator=separator)) == STORIES


def test_a_file_without_one_is_a_document(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(STORIES), encoding="utf-8")
    assert whole(Documents.of([path])) == ["\n".join(STORIES)]


@pytest.mark.parametrize("separator", ["", "SEPARATOR"])
@pytest.mark.parametrize("word", ["word ", "x"])
def test_a_document_of_ten_megabytes_comes_in_pieces_and_loses_nothing(tmp_path, word, separator):
    path, text = tmp_path / "a.txt", (word * (10_000_000 // len(word))).strip()
    path.write_text(text + separator + "end", encoding="utf-8")
    assert whole(Documents.of([path], separator=separator)) == ([text, "end"] if separator else [f"{text}end"])


@pytest.mark.parametrize("shift", range(10))
def test_a_separator_across_what_is_read_at_once_separates(tmp_path, shift):
    path, first = tmp_path / "a.txt", "a" * ((1 << 20) * 2 - shift)
    path.write_text(f"{first}SEPARATOR{STORIES[0]}", encoding="utf-8")
    assert whole(Documents.of([path], separator="SEPARATOR")) == [first, STORIES[0]]


def test_tables_have_a_document_a_row(tmp_path):
    lines = [json.dumps({"text": text, "id": at}) for at, text in enumerate(STORIES)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert whole(Documents.of([tmp_path / "a.jsonl"])) == STORIES
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"story": STORIES}), tmp_path / "b.parquet")
    assert whole(Documents.of([tmp_path / "b.parquet"], column="story")) == STORIES
    with pytest.raises(DataError, match=r"row 1 of .*b.parquet has no column text, found story; name the column"):
        list(Documents.of([tmp_path / "b.parquet"]))


def test_a_directory_is_read_in_the_order_of_names(tmp_path):
    inner = tmp_path / "books" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "books/b.txt").write_text("second")
    (tmp_path / "books/a.txt").write_text("first")
    (inner / "c.md").write_text("third")
    (tmp_path / "books/picture.png").write_bytes(b"\0")
    assert whole(Documents.of([tmp_path / "books"])) == ["first", "second", "third"]


def test_what_is_no_text_is_said_in_a_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "zeros.txt").write_bytes(b"\0" * 100)
    (tmp_path / "number.jsonl").write_text('{"text": 3}')
    for path, words in (
        ("none.txt", "it is not there"),
        ("empty", "holds no text; files are taken that end in .txt"),
        ("zeros.txt", "NUL"),
        ("number.jsonl", "has a int in text, where a text should be"),
    ):
        with pytest.raises(DataError, match=words):
            list(Documents.of([tmp_path / path]))


def test_a_fingerprint_tells_texts_and_cuts(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = Documents.of([path]).fingerprint()
    assert first == Documents.of([path]).fingerprint() != Documents.of([path], separator="|").fingerprint()
    path.write_text("two")
    assert first != Documents.of([path]).fingerprint()
