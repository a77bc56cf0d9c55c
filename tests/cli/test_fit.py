"""Tables as wide as the terminal, and no wider."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright import cli
from edgewright.cli._fit import blocks, facts, fitted, table

ROWS = [
    {
        "format": "onnx",
        "precision": "fp32",
        "n": "250",
        "median_ms": "4.1",
        "p90_ms": "4.4",
        "sha256": "0" * 12,
        "grade": "A",
    },
    {
        "format": "onnx",
        "precision": "int8",
        "n": "250",
        "median_ms": "1.6",
        "p90_ms": "1.9",
        "sha256": "1" * 12,
        "grade": "B",
    },
]
WORDS = st.text(st.sampled_from("ab c-/,"), max_size=60)


def test_what_fits_is_a_table_of_all_columns():
    assert fitted(ROWS, 80) == fitted(ROWS, None) == table(ROWS)
    assert fitted([], 10) == table([])


def test_what_all_rows_share_is_said_once_and_what_matters_least_goes():
    lines = fitted(ROWS, 50)
    assert lines[0].split() == ["format", "precision", "median_ms", "p90_ms", "grade"]
    assert lines[-2:] == ["in all rows: n 250", "not shown, in --json: sha256"]


def test_a_grade_stands_beside_the_numbers_that_it_is_of():
    lines = fitted([{**row, "grade": "void"} for row in ROWS], 50)
    assert [line.split()[-1] for line in lines[:4]] == ["grade", "-----", "void", "void"]


def test_a_row_alone_keeps_what_would_be_shared():
    assert "250" in "\n".join(fitted(ROWS[:1], 58))


def test_a_sentence_goes_on_below():
    rows = [
        {"what": "convert to onnx", "state": "ready", "remedy": "pip install 'edgewright[convert]' and then some more"}
    ]
    lines = fitted(rows, 60)
    assert max(map(len, lines)) <= 60
    assert len(lines) == 4
    assert lines[2].startswith("convert to onnx  ready  pip install")


def test_where_nothing_helps_a_row_is_a_block():
    lines = fitted([{"board": "a" * 15, "release": "b" * 15, "problem": "c" * 30}], 34)
    assert lines == ["a" * 15 + "  " + "b" * 15, "  problem  " + "c" * 23, " " * 11 + "c" * 7]


def test_blocks_and_facts():
    assert blocks(ROWS[:1])[:3] == ["onnx  fp32", "  n          250", "  median_ms  4.1"]
    assert blocks([{"name": "a" * 12, "value": "b c " * 5}], 16) == ["a" * 12, "  b c b c b c b", "  c b c"]
    assert (
        facts({"task": "fill-mask", "made with": "a 1, b 2, c 3"}, 21)
        == "task        fill-mask\nmade with   a 1, b 2,\n            c 3"
    )


@given(
    st.lists(st.fixed_dictionaries(dict.fromkeys(("what", "sha256", "n", "verdict"), WORDS)), min_size=1, max_size=4)
)
def test_every_word_of_what_is_not_left_out_is_there(rows):
    plain = [{name: " ".join(cell.split()) for name, cell in row.items()} for row in rows]
    text = "".join("\n".join(fitted(plain, 60)).split())
    for row in plain:
        for word in row["what"].split():
            assert word[:9] in text


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("command", [("inspect",), ("devices", "list"), ("devices", "estimate"), ("devices", "show")])
def test_what_commands_print_is_no_wider_than_the_terminal(command, columns, bundle_dir, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    more = {
        "inspect": (bundle_dir,),
        "estimate": (bundle_dir, "--device", "raspberry-pi-4"),
        "show": ("raspberry-pi-4",),
    }
    assert cli._run([*command, *map(str, more.get(command[-1], ()))]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns


def test_a_table_in_a_pipe_is_whole(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert cli._run(["devices", "list"]) == 0
    assert "instructions" in capsys.readouterr().out.splitlines()[0]
    monkeypatch.setenv("COLUMNS", "60")
    assert cli._run(["devices", "list", "--json"]) == 0
    assert "instructions" in json.loads(capsys.readouterr().out)["rows"][0]


def test_a_narrow_terminal_has_a_line_for_each_board(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run("devices", "list")
    boards = json.loads(run("devices", "list", "--json")[1])["rows"]
    heads, _, *lines = out.partition("\n\n")[0].splitlines()
    assert heads.split() == ["profile", "board", "prefer", "threads"]
    assert [line.split()[0] for line in lines] == [board["profile"] for board in boards]
    assert "Raspberry Pi Ltd" not in out, "a vendor whose name the board has already"
