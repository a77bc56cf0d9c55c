"""Data files as people save them: the same rows come out, or the file is refused with what was found."""

import csv
import io
import json
import logging
import os
import subprocess
import sys

import pytest

from edgewright.bundle.manifest import Settings
from edgewright.data import rows as data
from edgewright.errors import DataError
from edgewright.tasks import Example
from edgewright.tasks.text_classification import TextClassification

TASK = TextClassification(Settings(max_length=8, labels=("bad", "good", "so")))
PLAIN = [("a fine little film", "good"), ("it drags", "bad")]
QUOTED = [("a fine little film", "good"), ('he said "run, now" and left', "bad")]
ALL = [*QUOTED, ("first line\nsecond line", "so"), ("tab\there", "good")]


def written(rows, header=("text", "label"), *, encoding="utf-8", end="\n", **dialect):
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=end, **dialect)
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def objects(rows):
    return [{"text": text, "label": label} for text, label in rows]


FILES = {
    "pandas.tsv": (written(ALL, delimiter="\t"), ALL),
    "quotes.tsv": (written(QUOTED, delimiter="\t"), QUOTED),
    "all_quoted.tsv": (written(PLAIN, delimiter="\t", quoting=csv.QUOTE_ALL), PLAIN),
    "plain.csv": (written(ALL), ALL),
    "upper.CSV": (written(ALL), ALL),
    "semicolons.csv": (written(ALL, delimiter=";"), ALL),
    "tabs.csv": (written(ALL, delimiter="\t"), ALL),
    "excel.csv": (b"sep=;\r\n" + written(ALL, delimiter=";", end="\r\n"), ALL),
    "excel_unicode.txt": (written(QUOTED, encoding="utf-16", end="\r\n", delimiter="\t"), QUOTED),
    "excel_utf16.tsv": (written(QUOTED, encoding="utf-16", end="\r\n", delimiter="\t"), QUOTED),
    "no_mark_utf16.tsv": (written(PLAIN, encoding="utf-16-le", end="\r\n", delimiter="\t"), PLAIN),
    "mark.csv": (written(ALL, encoding="utf-8-sig", end="\r\n"), ALL),
    "raw.tsv": (
        b'text\tlabel\nhe said "run" now\tgood\n"Great."\tbad\n"half\tso\n',
        [('he said "run" now', "good"), ('"Great."', "bad"), ('"half', "so")],
    ),
    "commas.tsv": (b'text\tlabel\n"Oh, no."\tgood\nfine, then\tbad\n', [('"Oh, no."', "good"), ("fine, then", "bad")]),
    "excel_commas.tsv": (b'text\tlabel\n"Oh, no."\tgood\nfine\tbad\n', [("Oh, no.", "good"), ("fine", "bad")]),
    "index.tsv": (b"\ttext\tlabel\n0\ta fine little film\tgood\n1\tit drags\tbad\n", PLAIN),
    "index.csv": (b"Unnamed: 0,text,label\n0,a fine little film,good\n1,it drags,bad\n", PLAIN),
    "caps.tsv": (written(PLAIN, ("Text", "LABEL"), delimiter="\t"), PLAIN),
    "spaces.tsv": (b"text\tlabel \na fine little film\tgood \nit drags\tbad\n", PLAIN),
    "other_case.tsv": (b"text\tlabel\na fine little film\tGood\nit drags\tBAD\n", PLAIN),
    "floats.tsv": (b"text\tlabel\na fine little film\t1.0\nit drags\t0.0\n", PLAIN),
    "labels.jsonl": (b'{"text":"a fine little film","labels":1}\n{"text":"it drags","labels":0}\n', PLAIN),
    "array.json": (json.dumps(objects(ALL)).encode(), ALL),
    "array.jsonl": (json.dumps(objects(ALL), indent=1).encode(), ALL),
    "lines.json": ("\n".join(map(json.dumps, objects(ALL))).encode(), ALL),
    "utf16.jsonl": ("\n".join(map(json.dumps, objects(ALL))).encode("utf-16"), ALL),
}


@pytest.fixture
def saved(tmp_path):
    def save(name):
        (tmp_path / name).write_bytes(FILES[name][0])
        return tmp_path / name

    return save


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_it_was_meant(saved, name):
    labels = TASK.settings.labels
    wanted = FILES[name][1]
    path = saved(name)
    assert data.examples(path, TASK) == [Example(text, labels.index(label)) for text, label in wanted]
    assert list(data.items(path)) == data.texts(path) == [text for text, _ in wanted]
    assert data.is_table(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.tsv",
            b'text\tlabel\n"he said ""no"""\tgood\nshe said "yes" too\tbad\n',
            "whose quotes were added by a writer",
        ),
        ("a.tsv", b"Text\ttext\tlabel\na\tb\tgood\n", "the columns 'Text', 'text', which are one name"),
        ("a.csv", b'text,label\n"open,good\nnext,bad\n', "unexpected end of data"),
        ("a.csv", b'text,label\n"a" b,good\n', "line 2: ',' expected after"),
        ("a.tsv", b"text\tlabel\n\tgood\nfine\tbad\n", "line 2: its text is empty"),
        ("a.tsv", b"text\tlabel\nfine\t\nbad\tbad\n", "line 2: label '' is none of bad, good, so or 0..2"),
        ("a.tsv", b"text\tlabel\nfine\tgood\nso so\tso\nbad\t0\n", "line 4: label '0' is a number, where most"),
        (
            "a.txt",
            b"fine\nbad\n",
            "was read as a text a line, text-classification needs the columns sentence or text and",
        ),
        ("a.tsv", b"\x00\x01\x02\x03text", "is no text: it has NUL bytes"),
        ("a.json", b'[{"text": "a"', "line 1 is not JSON"),
    ],
)
def test_what_cannot_be_meant_or_can_be_meant_twice_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        data.examples(tmp_path / name, TASK)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pandas.tsv", "pandas.tsv: tab-separated, quoted cells"),
        ("raw.tsv", "raw.tsv: tab-separated, quotes are text"),
        ("excel_unicode.txt", "excel_unicode.txt: tab-separated, quoted cells, UTF-16"),
        ("mark.csv", "mark.csv: comma-separated, UTF-8 with a byte order mark"),
        ("semicolons.csv", "semicolons.csv: separated by semicolons"),
        ("index.tsv", "index.tsv: tab-separated, quotes are text, an index column is left out"),
        ("array.json", "array.json: an array of JSON"),
        ("lines.json", "lines.json: JSON, an object a line"),
    ],
)
def test_the_dialect_is_said_once(saved, caplog, name, words):
    caplog.set_level(logging.INFO, "edgewright.data")
    path = saved(name)
    assert data.examples(path, TASK)
    assert data.texts(path)
    assert caplog.messages == [words]


def test_lines_that_look_like_nothing_else_are_lines(tmp_path):
    (tmp_path / "in.txt").write_text("text, and label\nit drags, a bit\n")
    assert (
        list(data.items(tmp_path / "in.txt"))
        == data.texts(tmp_path / "in.txt")
        == ["text, and label", "it drags, a bit"]
    )


HOT = TextClassification(Settings(max_length=8, labels=("toxic", "insult", "threat", "spam"), problem="multi_label"))
FORMS = {
    "vectors": lambda row: row,
    "floats": lambda row: [float(one) for one in row],
    "names": lambda row: [HOT.settings.labels[at] for at, one in enumerate(row) if one],
    "numbers": lambda row: [at for at, one in enumerate(row) if one],
    "joined": lambda row: ",".join(HOT.settings.labels[at] for at, one in enumerate(row) if one),
    "written": json.dumps,
}


@pytest.mark.parametrize("form", FORMS)
def test_several_labels_are_the_same_in_every_form(tmp_path, form):
    every = [[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0]]
    lines = [json.dumps({"text": "a", "label": FORMS[form](row)}) for row in every]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    found = [example.label for example in data.examples(tmp_path / "rows.jsonl", HOT)]
    assert found == [frozenset(at for at, one in enumerate(row) if one) for row in every]


def test_vectors_and_names_in_one_file_are_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": [1, 0, 0, 0]}\n{"text": "b", "label": ["toxic"]}\n')
    with pytest.raises(DataError, match="where most of the file are"):
        data.examples(tmp_path / "rows.jsonl", HOT)


FORMS_OF_COLUMNS = {
    "reviews.csv": b"Review,Stars,text\nit drags,bad,x\n",
    "reviews.tsv": b'Review\tStars\ttext\nit drags\tbad\t"a ""x"""\n',
    "reviews.txt": b"Review;Stars\nit drags;bad\n",
    "reviews.jsonl": b'{"Review": "it drags", "Stars": 0, "text": "x"}\n',
    "reviews.json": b'[{"Review": "it drags", "Stars": "bad"}]',
}


@pytest.mark.parametrize("name", FORMS_OF_COLUMNS)
def test_columns_can_be_named(tmp_path, caplog, name):
    path = tmp_path / name
    path.write_bytes(FORMS_OF_COLUMNS[name])
    caplog.set_level(logging.INFO, "edgewright.data")
    with data.called("review ", "stars"):
        assert data.examples(path, TASK) == [Example("it drags", 0)]
        assert list(data.items(path)) == data.texts(path) == ["it drags"]
        named = data.fingerprint(path)
    assert [message.split(":")[0] for message in caplog.messages] == [name]
    assert data.fingerprint(path) != named
    with data.called("body"), pytest.raises(DataError, match="has no column body") as caught:
        data.texts(path)
    assert "\n" not in str(caught.value)


def test_names_of_columns_reach_children_and_end_with_the_command(monkeypatch):
    monkeypatch.setenv("EDGEWRIGHT_LABEL_COLUMN", "grade")
    read = "import os; print(os.environ['EDGEWRIGHT_TEXT_COLUMN'], os.environ['EDGEWRIGHT_LABEL_COLUMN'])"
    with data.called("review", "stars"):
        done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    assert done.stdout == "review stars\n"
    assert os.environ["EDGEWRIGHT_LABEL_COLUMN"] == "grade"
    assert "EDGEWRIGHT_TEXT_COLUMN" not in os.environ


def saved_by_datasets(directory, rows, names):
    """What `Dataset.save_to_disk` writes, by its documented files."""
    import pyarrow as pa

    directory.mkdir(parents=True)
    table = pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]})
    with pa.ipc.new_stream(str(directory / "data-00000-of-00001.arrow"), table.schema) as writer:
        writer.write_table(table)
    (directory / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": names, "_type": "ClassLabel"}}
    (directory / "dataset_info.json").write_text(json.dumps({"features": features}))


def test_a_directory_of_datasets_names_its_classes(tmp_path):
    saved_by_datasets(tmp_path / "set/train", [("it drags", 1), ("fine", 0)], ["good", "bad"])
    (tmp_path / "set/dataset_dict.json").write_text('{"splits": ["train"]}')
    assert data.examples(tmp_path / "set/train", TASK) == [Example("it drags", 0), Example("fine", 1)]
    with pytest.raises(DataError, match=r"has the splits train; give one of them: .*set/train"):
        data.examples(tmp_path / "set", TASK)


def test_parquet_of_datasets_names_its_classes(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    features = {"label": {"names": ["good", "bad"], "_type": "ClassLabel"}}
    table = pa.table({"text": ["it drags"], "label": [1]})
    parquet.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}),
        tmp_path / "rows.parquet",
    )
    assert data.examples(tmp_path / "rows.parquet", TASK) == [Example("it drags", 0)]


def test_an_id_of_the_hub_is_told_apart():
    with pytest.raises(
        DataError, match=r"cannot read stanfordnlp/sst2: .*; a data set of the hub is hf://stanfordnlp/sst2:SPLIT"
    ):
        data.examples("stanfordnlp/sst2", TASK)


def test_items_of_tasks_of_more_than_a_text(tmp_path):
    rows = [
        {"query": "q", "texts": ["a"], "labels": [1], "id": 7},
        {"sequence": "a", "candidate_labels": ["b"]},
        {"text": "a", "label": "b"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = [{"query": "q", "texts": ["a"]}, {"sequence": "a", "candidate_labels": ["b"]}, "a"]
    assert list(data.items(tmp_path / "rows.jsonl")) == data.texts(tmp_path / "rows.jsonl") == found


@pytest.mark.parametrize("header", ["Review;Stars", "Review,Stars", "Review\tStars"])
def test_a_header_that_nobody_knows_is_still_one(tmp_path, header):
    (tmp_path / "a.csv").write_text(header + "\n" + header.replace("Review", "fine").replace("Stars", "good") + "\n")
    assert list(data.rows(tmp_path / "a.csv")) == [(2, {"review": "fine", "stars": "good"})]
    with pytest.raises(DataError, match=r"no column label or labels, found review, stars"):
        data.examples(tmp_path / "a.csv", TASK)
    with pytest.raises(DataError, match="line 2 holds no text"):
        list(data.items(tmp_path / "a.csv"))


def test_a_column_of_texts_alone(tmp_path):
    (tmp_path / "a.csv").write_text('text\n"fine; good, fine"\nso so\n')
    assert list(data.items(tmp_path / "a.csv")) == ["fine; good, fine", "so so"]
