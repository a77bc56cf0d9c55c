"""Several runs beside each other: in their order, and what changed, where it can be said."""

import json

import pytest
from measured import FOUND, row, run, samples
from msgspec.structs import replace

from edgewright.errors import DataError, UsageError
from edgewright.measure import profile, rows
from edgewright.reporting.history import History
from edgewright.reporting.report import Report, report, report_files, report_history

VOID = {"grade": "void", "reasons": ("other processes took 40% of the machine",)}


def at(day, centre, source="a" * 64, **fields):
    return replace(run(row(samples(centre), **fields), source=source), began=f"2026-01-0{day}T00:00:00Z")


def changed(*runs):
    return History.of(runs)._changes()


def test_the_oldest_comes_first_and_what_changed_is_shown():
    (line,) = changed(at(3, 1.2), at(1, 1.0), at(2, 1.1))
    assert [round(line[f"run {number}, ms"], 1) for number in (1, 2, 3)] == [1.0, 1.1, 1.2]
    assert line["last of first"].startswith("1.2")
    assert line["verdict"] == "slower"
    assert changed(at(1, 1.0), at(2, 0.5))[0]["verdict"] == "faster"
    assert changed(at(1, 1.0), at(2, 1.0))[0]["verdict"] == "no difference shown"


def test_another_model_or_machine_is_said():
    assert changed(at(1, 1.0), at(2, 0.5, "b" * 64))[0]["verdict"] == "faster; another model"
    other = replace(at(2, 0.5), machine=replace(at(2, 0.5).machine, model="another board"))
    assert changed(at(1, 1.0), other)[0]["verdict"] == "faster; another machine"


def test_a_void_row_shows_nothing_and_a_row_of_one_run_stands_alone():
    (line,) = changed(at(1, 1.0), at(2, 9.0, **VOID))
    assert (line["run 2, ms"], line["verdict"]) == ("void", None)
    first, second = changed(at(1, 1.0), at(2, 1.0, tokens=128))
    assert (first["run 2, ms"], second["run 1, ms"]) == (None, None)


def test_the_page_and_the_markdown_have_all_runs():
    made = report_history([at(1, 1.0), at(2, 1.1), at(3, 1.2)])
    page = made.html()
    assert page.count("<svg") == 2  # a chart of its one row, twice: for a wide screen and for a phone
    assert [page.count(f">run {number}</text>") for number in (1, 2, 3)] == [1] * 3
    assert "None" not in page
    assert len([line for line in made.markdown().splitlines() if line.startswith("| 2026") or line[2:3].isdigit()]) == 3


def test_files_of_runs_and_profiles_are_told_apart(tmp_path):
    for number in (1, 2):
        rows.write(at(number, 1.0), tmp_path / f"{number}.json")
    profile.write(FOUND, tmp_path / "profile.json")
    one, two, timed = (tmp_path / name for name in ("1.json", "2.json", "profile.json"))
    assert report_files([timed, one]) == report(one, [timed])
    assert isinstance(report_files([one]), Report)
    assert [made.began[:10] for made in report_files([two, one]).runs] == ["2026-01-01", "2026-01-02"]
    for files, baseline, words in (
        ([one, two, timed], None, "without profiles"),
        ([one, two], one, "without a baseline"),
    ):
        with pytest.raises(UsageError, match=words):
            report_files(files, baseline)
    with pytest.raises(UsageError, match="no file is of one"):
        report_files([timed])
    (tmp_path / "bad.json").write_text(json.dumps({"kind": 5}))
    with pytest.raises(DataError):
        report_files([tmp_path / "bad.json"])
    with pytest.raises(DataError, match="has no rows"):
        report_history([replace(at(1, 1.0), rows=())])
