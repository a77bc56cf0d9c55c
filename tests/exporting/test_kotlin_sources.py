"""What a task needs of the Kotlin library; that it compiles is asked by tools/android_answers.py."""

import functools
import re
import shutil

import pytest

from edgewright.exporting import kotlin_sources
from edgewright.exporting.android import _BUILT_WITH, _MODULE, _SOURCES
from edgewright.exporting.c import TASKS
from edgewright.exporting.kotlin_sources import ENCRYPTED, keep_tasks, public_classes

SOURCES = {path: path.read_text() for path in _SOURCES.rglob("*.kt")}
COMMENTS = re.compile(r'/\*.*?\*/|//[^\n]*|"""[^\n]*?"""|"(?:\\.|[^"\\])*"', re.DOTALL)
CLASS = re.compile(r"^(?:(?:internal|data|enum) )*(?:fun interface|class|interface|object) (\w+)", re.MULTILINE)
FUNCTION = re.compile(r"^(?:(?:internal|inline|suspend) )*fun (?:<T> )?(\w+)\(", re.MULTILINE)
"""What other files can name; functions of a class are called with it."""


def declared(texts):
    """Of classes their names, of functions how they are called."""
    every = "\n".join(texts)
    return {*CLASS.findall(every), *(f"{name}(" for name in FUNCTION.findall(every))}


def named(text):
    """Classes, and functions that are called and are none of the file's own."""
    own = {f"{name}(" for name in re.findall(r"fun (?:<T> )?(\w+)\(", text)}
    return (set(re.findall(r"(?<![.\w])\w+\(", text)) - own) | set(re.findall(r"(?<![.\w])[A-Z]\w*\b(?!\()", text))


@functools.cache
def kept(tasks, engine):
    others = tuple(_BUILT_WITH.keys() - {engine})
    return {
        path.stem: kotlin_sources._kept(text, tasks)
        for path, text in SOURCES.items()
        if not path.name.startswith(others) and not tasks.isdisjoint(kotlin_sources._NEEDED_BY.get(path.stem, tasks))
    }


def test_files_that_are_for_some_tasks_are_there():
    assert kotlin_sources._NEEDED_BY.keys() <= {path.stem for path in SOURCES}


def test_regions_name_tasks():
    marks = [line.strip() for text in SOURCES.values() for line in text.splitlines() if "//" in line]
    begun = [line.removeprefix("//region ") for line in marks if line.startswith("//region ")]
    assert len(begun) == marks.count("//endregion") > len(TASKS)
    assert {name for line in begun for name in line.split(", ")} == {*TASKS, "answers", ENCRYPTED}


@pytest.mark.parametrize("engine", _BUILT_WITH)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("more", [(), (ENCRYPTED,)], ids=["", ENCRYPTED])
def test_what_is_kept_names_nothing_that_is_gone(task, engine, more):
    whole, mine = kept(frozenset({*TASKS, ENCRYPTED}), engine), kept(frozenset({task, *more}), engine)
    gone = declared(whole.values()) - declared(mine.values())
    assert len(gone) > 5
    for stem, text in mine.items():
        lost = gone & named(COMMENTS.sub(" ", text))
        assert not lost, stem
        assert "//region" not in text
        assert "//endregion" not in text


def test_a_task_has_its_own_calls_and_no_other_ones(tmp_path):
    shutil.copytree(_SOURCES, tmp_path, dirs_exist_ok=True)
    keep_tasks(tmp_path, {"text-classification", "translation"})
    (library,) = tmp_path.rglob("Edgewright.kt")
    text = library.read_text()
    calls = set(re.findall(r"^    fun (\w+)", text, re.MULTILINE))
    assert calls == {"classify", "translate", "check"}
    assert re.findall(r'^ +"([a-z-]+)",$', text, re.MULTILINE) == ["text-classification", "translation"]
    (sample,) = tmp_path.rglob("MainActivity.kt")
    assert re.findall(r'^ +"([a-z-]+)" ->', sample.read_text(), re.MULTILINE) == ["text-classification", "translation"]


def test_public_classes_are_those_that_callers_can_name():
    assert public_classes(_SOURCES / _MODULE) == {
        *("Aggregation", "CoroutinesKt", "EarlyStopping", "Edgewright", "EdgewrightException", "Encoding", "Ending"),
        *("Entity", "Filling", "Generation", "Label", "Message", "OpenEncryptedKt", "Passage", "Ranked", "Search"),
        *("Tokenizer", "WhenFull", "Written"),
    }
