"""Options of answers, names of columns and what a file was read as, by the command line and one bundle."""

import json

import pytest

from edgewright import cli
from edgewright.data import rows as data


@pytest.fixture
def run(live, capsys):
    """Run a command on the bundle: exit code, standard output, standard error."""

    def call(command, *argv):
        code = cli._run([command, str(live), *map(str, argv)])
        return code, *capsys.readouterr()

    return call


def answers(out):
    return [json.loads(line)["answer"] for line in out.splitlines()]


def test_an_answer_is_a_list_of_as_many_labels_as_were_asked(run):
    code, out, _ = run("run", "the river had risen in the night")
    assert (code, [[one["label"] for one in answer] for answer in answers(out)]) == (0, [["positive"]])
    _, out, _ = run("run", "good", "--top-k", "0")
    assert [[one["label"] for one in answer] for answer in answers(out)] == [["negative", "positive"]]


def test_an_option_of_another_task_is_told(run):
    code, out, err = run("run", "good", "--truncate-dim", "8")
    assert (code, out) == (2, "")
    assert "text-classification has no option truncate_dim; it has top_k, function_to_apply" in err


def test_a_pair_is_printed_by_its_names(run):
    _, out, _ = run("run", "good", "--pair", "a pity")
    assert json.loads(out)["text"] == {"text": "good", "text_pair": "a pity"}


@pytest.mark.parametrize("command", ["run", "eval"])
def test_columns_are_called_as_they_are_said_to_be(run, tmp_path, command):
    path = tmp_path / "reviews.csv"
    path.write_text('Review;Stars\ngood;negative\n"the river had; risen in the night";positive\n')
    given = ("--input", path) if command == "run" else ("--data", path, "--json")
    code, _, err = run(command, *given)
    assert code == 3
    assert "line 2" in err
    named = ("--text-column", "review", *(("--label-column", "stars") if command == "eval" else ()))
    code, out, err = run(command, *given, *named)
    assert code == 0, err
    if command == "run":
        texts = [json.loads(line)["text"] for line in out.splitlines()]
        assert texts == ["good", "the river had; risen in the night"]
    else:
        (row,) = json.loads(out)["rows"]
        assert (row["score"]["value"], row["score"]["n"], row["score"]["data"]) == (100, 2, "reviews.csv")


def test_the_same_rows_are_counted_and_said(tmp_path, caplog):
    train, dev = tmp_path / "train.tsv", tmp_path / "dev.jsonl"
    train.write_text("text\tlabel\ngood\tpositive\na pity\tnegative\n")
    dev.write_text('{"text": "a pity", "label": 0}\n{"text": "fine", "label": 1}\n')
    assert data.shared(train, dev) == (1, 2)
    assert caplog.messages[-1] == (
        "1 of the 2 rows of dev.jsonl are rows of train.tsv too: a score on them says little of others"
    )
    caplog.clear()
    assert data.shared(train, train) == (2, 2)
    dev.write_text('{"text": "fine", "label": 1}\n')
    caplog.clear()
    assert data.shared(train, dev) == (0, 1)
    assert not any("too" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--device", ""], 2, "--device': it is empty; give the URL of a board"),
        (["--context", "0"], 2, "the options of a decoder mean nothing"),
        (["--json-schema", "none.json"], 3, "data-error: cannot read none.json: No such file or directory"),
        (["--json-schema", "latin.json"], 3, "data-error: cannot read latin.json: it is not UTF-8 at byte 2"),
    ],
)
def test_an_option_that_cannot_be_meant_is_told(run, tmp_path, monkeypatch, options, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"\xe9": 1}')
    found, out, err = run("run", "a text", *options)
    assert (found, out, words in err) == (code, "", True), err


@pytest.mark.parametrize(
    ("command", "option"), [("bench", "--out"), ("profile", "--trace"), ("profile", "--html"), ("profile", "--out")]
)
def test_where_nothing_can_be_written_nothing_is_measured(run, tmp_path, command, option):
    code, out, err = run(command, option, tmp_path / "none" / "run.json", "--json")
    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert "run.json: No such file or directory" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench", "--fail-over", "nan"], "'nan' is not a percentage such as 5%"),
        (["race", "--format", "onnx", "--dry-run"], "--format is for a model that is built now"),
        (["race", "--data", "rows.tsv", "--dry-run"], "--data is for a model that is built now"),
        (["serve", "--http", "0", "--max-waiting", "0"], "0 is not in the range x>=1"),
        (["serve", "--http", "0", "--max-connections", "-1"], "-1 is not in the range x>=1"),
    ],
)
def test_an_option_that_would_do_nothing_or_everything_is_refused(run, words, said):
    code, out, err = run(*words)
    assert (code, out, said in err) == (2, "", True), err
