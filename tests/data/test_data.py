import json
import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewright.bundle.manifest import Settings
from edgewright.data import rows as data
from edgewright.errors import DataError, MissingExtra
from edgewright.tasks import Example
from edgewright.tasks.feature_extraction import FeatureExtraction
from edgewright.tasks.text_classification import TextClassification

TASK = TextClassification(Settings(max_length=8, labels=("negative", "positive")))
GOOD = [Example("not bad", 1), Example("a pity", 0)]


@pytest.fixture
def read(tmp_path):
    """Write some bytes to a file of that name, and read them as examples."""

    def run(name, content, task=TASK):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return data.examples(path, task)

    return run


def refused(read, name, content):
    with pytest.raises(DataError) as caught:
        read(name, content)
    return str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_a_table_is_read_whatever_its_line_ends(read, end, last):
    lines = ["sentence\tlabel", "not bad\tpositive", "a pity\tnegative"]
    assert read("rows.tsv", end.join(lines) + end * last) == GOOD


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_objects_are_read_whatever_their_line_ends(read, end):
    lines = ['{"text": "not bad", "label": "1"}', '{"sentence": "a pity", "label": 0, "id": 7}', "", " "]
    assert read("rows.jsonl", end.join(lines)) == GOOD


def test_columns_may_stand_in_any_order_beside_others(read):
    assert read("rows.tsv", "id\tlabel\ttext\n1\t1\tnot bad\n2\t0\ta pity\n") == GOOD


@pytest.mark.parametrize("text", ['"quoted"', '"half', 'a ""b"" c', "'", "\\t", "#not a comment", "a,b;c", " spaced "])
def test_quotes_and_all_else_are_kept_as_they_are(read, text):
    assert read("rows.tsv", f"sentence\tlabel\n{text}\t1\n") == [Example(text, 1)]


def test_a_quote_does_not_swallow_the_next_row(read):
    assert len(read("rows.tsv", 'sentence\tlabel\n"open\t1\nnext\t0\n')) == 2


# message "no column sentence, found sentence" helps nobody.
@pytest.mark.parametrize("name", ["rows.tsv", "rows.jsonl"])
def test_a_byte_order_mark_is_passed_over(read, name):
    content = {"rows.tsv": "text\tlabel\nnot bad\t1\n", "rows.jsonl": '{"text": "not bad", "label": 1}\n'}[name]
    assert read(name, content.encode("utf-8-sig")) == GOOD[:1]


@pytest.mark.parametrize("name", ["rows.tsv", "rows.csv", "rows.jsonl", "rows.txt"])
def test_bytes_that_are_not_utf_8_are_told_with_what_they_may_be(read, items, name):
    content = "sentence\tlabel\nfine\t1\nun café au lait\t1\n".encode("latin-1")
    words = refused(read, name, content)
    assert "is not UTF-8: line 3 has the byte 0xE9; as Windows-1252 it reads 'un café au lait" in words
    with pytest.raises(DataError, match="line 3 has the byte 0xE9"):
        items(name, content)


def test_a_file_that_is_not_what_its_mark_says_is_told_with_its_byte(read):
    whole = ("text\tlabel\n" + "fine\t1\n" * 80_000).encode("utf-16")  # more than is read at once
    assert f"begins as UTF-16 and is not: unexpected end of data at byte {len(whole)}" in refused(
        read, "rows.tsv", whole + b"\x00\xd8"
    )


def test_broken_rows_are_named_by_their_lines(read):
    words = refused(read, "rows.tsv", "sentence\tlabel\ngood\t1\nbad\t2\nshort\nworse\tmaybe\n")
    assert "rows.tsv has 3 broken rows" in words
    assert "line 3: label '2' is none of negative, positive or 0..1" in words
    assert "line 4: no column label" in words
    assert "line 5: label 'maybe'" in words


def test_of_many_broken_rows_three_are_shown(read):
    words = refused(read, "rows.tsv", "sentence\tlabel\n" + "bad\t9\n" * 50)
    assert "has 50 broken rows" in words
    assert words.count("line ") == 3
    assert "and 47 more" in words


def test_a_blank_line_does_not_shift_the_numbers(read):
    assert "line 4: label '9'" in refused(read, "rows.tsv", "sentence\tlabel\ngood\t1\n\nbad\t9\n")


def test_a_broken_object_is_named_by_its_line(read):
    good = '{"text": "fine", "label": 1}\n'
    assert "line 3 is not JSON" in refused(read, "rows.jsonl", good + "\n" + '{"text": "fi\n' + good)
    assert "line 2 is not a JSON object" in refused(read, "rows.jsonl", good + '["fine", 1]\n')
    assert "line 2: label 5 is none of" in refused(read, "rows.jsonl", good + '{"text": "fine", "label": 5}\n')
    assert "line 1 is not JSON" in refused(read, "rows.jsonl", "[" * 100_000)


@pytest.mark.parametrize("name", ["rows.tsv", "rows.jsonl"])
@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_said(read, name, content):
    assert "has no rows; a header line and at least one row are needed" in refused(read, name, content)


def test_a_header_alone_is_no_data(read):
    assert "has no rows" in refused(read, "rows.tsv", "sentence\tlabel\n")


def test_parquet_is_read_row_by_row(tmp_path):
    from pyarrow import parquet, table

    path = tmp_path / "rows.parquet"
    parquet.write_table(
        table({"sentence": ["not bad", "a pity"] * 900, "label": [1, 0] * 900}), path, row_group_size=400
    )
    assert data.examples(path, TASK) == GOOD * 900
    assert data.texts(path)[:2] == ["not bad", "a pity"]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"cannot read .*rows\.parquet"):
        data.examples(path, TASK)
    with pytest.raises(DataError, match=r"cannot read .*none\.parquet"):
        data.examples(tmp_path / "none.parquet", TASK)


def test_parquet_without_pyarrow_is_said_with_the_line_that_mends_it(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtra, match=r"pyarrow is not installed.*edgewright\[parquet\]"):
        data.examples(tmp_path / "rows.parquet", TASK)


@pytest.mark.parametrize("header", ["text\tclass", "body\tlabel", "text,label", "not bad\t1"])
def test_a_missing_column_is_named_with_those_that_are_there(read, header):
    words = refused(read, "rows.tsv", f"{header}\nfine\t1\n")
    assert "line 2: no column " in words
    assert f"found {header.split(chr(9))[0]}" in words


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*gone\.tsv: No such file"):
        data.examples(tmp_path / "gone.tsv", TASK)


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*: Is a directory"):
        data.examples(tmp_path, TASK)


def test_a_column_beyond_all_measure_is_said(read):
    assert "field larger than field limit" in refused(read, "rows.tsv", "sentence\tlabel\n" + "x" * 200_000 + "\t1\n")
    assert "line 1: field larger than field limit" in refused(read, "rows.tsv", "x" * 3_000_000)


def test_pairs_are_read_for_a_task_of_pairs(read):
    task = FeatureExtraction(Settings(max_length=8))
    rows = read("rows.tsv", "sentence1\tsentence2\tscore\na\tb\t4.5\n", task)
    assert rows == [Example(("a", "b"), 4.5)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(min_size=1), st.sampled_from([0, 1])), min_size=1, max_size=5))
def test_any_texts_survive_jsonl(read, rows):
    content = "\n".join(json.dumps({"text": text, "label": label}) for text, label in rows)
    assert read("rows.jsonl", content) == [Example(text, label) for text, label in rows]


# items: what `run` is asked


@pytest.fixture
def items(tmp_path):
    """Write some text to a file of that name, and read it as items."""

    def run(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(data.items(path))

    return run


def test_a_text_stands_on_a_line_and_blank_lines_are_left_out(items):
    assert items("in.txt", "one\r\n\n  two \n \n\tthree") == ["one", "  two ", "\tthree"]


def test_objects_strings_and_pairs(items):
    lines = [
        '"one"',
        '{"text": "two"}',
        '{"sentence": "three", "label": 1}',
        '{"text": "six", "text_pair": "seven"}',
        '{"text": "eight", "text_pair": null}',
        '"nine\\nten \\ud800"',
    ]
    assert items("in.jsonl", "\n".join(lines)) == [
        "one",
        "two",
        "three",
        {"text": "six", "text_pair": "seven"},
        "eight",
        "nine\nten \ud800",
    ]


@pytest.mark.parametrize(
    "line", ["5", "null", "[]", '["a"]', '["a", "b"]', '["a", "b", "c"]', '["a", 5]', "{}", '{"text": 5}', "true"]
)
def test_a_line_without_a_text_is_named(items, line):
    with pytest.raises(DataError, match="line 2 holds no text; write "):
        items("in.jsonl", f'"fine"\n{line}\n')


@pytest.mark.parametrize("line", ["{", "fine", "'fine'", "[" * 100_000])
def test_a_line_that_is_not_json_is_named(items, line):
    with pytest.raises(DataError, match="line 3 is not JSON"):
        items("in.jsonl", f'"fine"\n\n{line}\n')


def test_bytes_of_a_pipe_that_are_not_utf_8_become_the_replacement_character(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "pipe").open("r+b", buffering=0) as writer:
        writer.write(b"caf\xe9 au lait\n")
        assert next(data.items(tmp_path / "pipe")) == "caf\ufffd au lait"


def test_an_item_comes_as_soon_as_its_line_is_there(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "pipe").open("r+b", buffering=0) as writer:
        writer.write(b"one\n")
        got = []
        reader = threading.Thread(target=lambda: got.append(next(data.items(tmp_path / "pipe"))), daemon=True)
        reader.start()
        reader.join(timeout=5)
        assert got == ["one"]


def test_items_of_a_file_that_is_not_there_are_said(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*gone: No such file"):
        list(data.items(tmp_path / "gone"))


# texts: what `bench` is timed on


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.txt", "one\n\ntwo\n"),
        ("in.tsv", "label\tsentence\n1\tone\n0\ttwo\n"),
        ("in.tsv", "text\none\ntwo\n"),
        ("in.jsonl", '{"text": "one"}\n{"sentence": "two"}\n'),
    ],
)
def test_texts_of_a_file(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert data.texts(tmp_path / name) == ["one", "two"]


@pytest.mark.parametrize(("name", "content"), [("in.txt", " \n"), ("in.tsv", "label\n1\n"), ("in.jsonl", '{"a": 1}\n')])
def test_a_file_without_texts_is_said(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match="holds no texts"):
        data.texts(tmp_path / name)


@pytest.mark.shared_data
def test_every_row_of_the_sentiment_data_is_read(shared):
    assert len(data.examples(shared / "sst2/dev.tsv", TASK)) == 872


def test_a_file_of_squad_may_be_one_long_line(tmp_path):
    asked = {"question": "where?", "id": "1", "answers": [{"text": "Rome", "answer_start": 3}]}
    tree = {"data": [{"paragraphs": [{"context": f"in Rome {'x' * 3000}", "qas": [asked]}]}] * 2000}
    (tmp_path / "squad.json").write_text(json.dumps(tree))
    assert (tmp_path / "squad.json").stat().st_size > 2**22
    assert len(list(data.rows(tmp_path / "squad.json"))) == 2000


def test_a_line_without_end_is_no_line_of_data(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b"sentence\tlabel\n" + b"x" * (2**22 + 2**20))
    with pytest.raises(DataError, match=r"line 2 of .*a\.tsv has over 4194304 bytes"):
        list(data.rows(tmp_path / "a.tsv"))


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    for name in ("rows.tsv", "rows.parquet", "rows.jsonl"):
        (tmp_path / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n")
        with pytest.raises(DataError, match=rf"{name} is a pointer of git-lfs; .*git lfs pull"):
            data.opened(tmp_path / name)
