"""Spaces: what is wrong is told with its line, what cannot be is left out, what is chosen becomes a recipe."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgewright.compression.recipe import read
from edgewright.compression.steps import Setting
from edgewright.errors import UsageError
from edgewright.model.source import open_source
from edgewright.searching.space import Space

DISTIL = '[[step]]\nuse = "distill"\nepochs = { search = 0.5, full = 3.0 }\n'


@pytest.fixture
def space(_source, tmp_path):
    source = open_source(_source)
    rows = tmp_path / "rows.tsv"
    setting = Setting(source.directory, rows, rows, tmp_path, 0, 1, lambda _: None)

    def make(text):
        (tmp_path / "space.toml").write_text(text)
        return Space.read(tmp_path / "space.toml", source, setting)

    return make


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no steps"),
        ("step = [1]\n", "has no steps"),
        ("x = ", "is not TOML"),
        ('[[step]]\nuse = "student"\nlayer = { try = [1, 2] }\n', "line 3: unknown option of student 'layer'"),
        ('[[step]]\nuse = "studnt"\n\n[artifact]\nprecision = { try = ["fp32", "int8"] }\n', "line 2: unknown step"),
        ('[[step]]\nuse = "student"\nlayers = { try = [1, "two"] }\n', "line 3: layers of student is 'two'"),
        (
            '[[step]]\nuse = "student"\nlayers = { try = [0, 1] }\n',
            "line 3: layers of student is 0: expected `int` >= 1",
        ),
        (
            '[[step]]\nuse = "student"\nlayers = { try = [1] }\n',
            "line 3: layers of student tries [1]; give at least two",
        ),
        ('[[step]]\nuse = "student"\nlayers = { try = [1, 2, 1] }\n', "line 3: layers of student tries 1 twice"),
        ('[[step]]\nuse = "student"\nlayers = { tries = [1, 2] }\n', "line 3: layers of student has tries; write"),
        ('[[step]]\nuse = "student"\nlayers = 2\n', "has nothing to choose"),
        ('[[step]]\nuse = "student"\nlayers = { try = [1, 2] }\n[artefact]\n', "line 4: unknown table 'artefact'"),
        (DISTIL + '[artifact]\nprecision = { try = ["int8", 8] }\n', "line 5: precision of artifact is 8"),
        (
            DISTIL + '[artifact]\n# so\nformat = { try = ["onnx", "onx"] }\n',
            "line 6: unknown format 'onx', did you mean",
        ),
        (
            DISTIL + '[artifact]\nformt = "onnx"\n[[step]]\nuse = "student"\nlayers = { try = [1, 2] }\n',
            "line 5: unknown opt",
        ),
        (
            '[[step]]\nuse = "distill"\nepochs = { search = 0.5, full = "all" }\nbatch = { try = [1, 2] }\n',
            "line 3: epochs",
        ),
        (
            '[[step]]\nuse = "student"\nlayers = { try = [1, 2] }\nheads = 3\n',
            "none of 2 combinations works: width 32 is",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(space, text, words):
    with pytest.raises(UsageError) as caught:
        space(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_large_a_space_is_refused(space):
    many = "[" + ", ".join(map(str, range(1, 400))) + "]"
    with pytest.raises(UsageError, match="159201 combinations, at most 100000"):
        space(f'[[step]]\nuse = "student"\nlayers = {{ try = {many} }}\nfeed_forward = {{ try = {many} }}\n')


def test_what_cannot_be_is_left_out_with_its_reason(space):
    text = '[[step]]\nuse = "student"\nwidth = { try = [32, 48] }\nheads = { try = [4, 5, 8] }\n' + DISTIL
    found = space(text + '[artifact]\nformat = "torchscript"\nprecision = { try = ["fp32", "int4"] }\n')
    assert [tuple(found.values(point).values()) for point in found.points] == [
        (32, 4, "fp32"),
        (32, 8, "fp32"),
        (48, 4, "fp32"),
        (48, 8, "fp32"),
    ]
    assert sum(found.infeasible.values()) == 8
    assert "width 32 is no multiple of 5 heads" in " ".join(found.infeasible)
    assert found.infeasible["torchscript has no precision int4"] == 4


def test_a_precision_that_there_is_not_is_told_with_its_line_and_the_nearest(space):
    text = DISTIL + '[artifact]\nformat = "onnx"\nprecision = { try = ["fp32", "int-4"] }\n'
    with pytest.raises(UsageError, match=r"line \d+: unknown precision 'int-4', did you mean int4\?; allowed: fp32, "):
        space(text)


def test_a_point_becomes_a_recipe_with_the_full_runs_values(space, tmp_path):
    text = '[[step]]\nuse = "prune-layers"\nkeep = { try = [[0], [0, 1]] }\n\n' + DISTIL
    found = space(text + "[artifact]\ntokens = 16\nprecision = { try = ['fp32', \"int8\"] }\n")
    point = found.points[-1]
    assert found.values(point) == {"prune-layers.keep": (0, 1), "artifact.precision": "int8"}
    (layers, short), asked = found.recipe(point), found.measure(point)
    assert (layers.step.keep, short.step.epochs) == ((0, 1), 0.5)
    assert (asked.format, asked.precision, asked.tokens) == ("onnx", "int8", 16)
    (tmp_path / "recipe.toml").write_text(found.toml(point))
    full = read(tmp_path / "recipe.toml")
    assert [named.name for named in full] == ["prune-layers", "distill"]
    assert (full[0].step, full[1].step.epochs) == (layers.step, 3.0)


def test_a_step_that_comes_twice_has_its_number(space):
    found = space(DISTIL + "batch = { try = [8, 16] }\n" + DISTIL + "batch = { try = [8, 32] }\n")
    assert [choice.name for choice in found.choices] == ["distill#1.batch", "distill#2.batch"]


def test_comments_do_not_make_another_space(space):
    text = '[[step]]\nuse = "student"\nlayers = { try = [1, 2] }\n'
    assert space(text).sha256 == space(f"# a remark\n{text}\n").sha256 != space(text.replace("2", "3")).sha256


def test_the_space_of_the_table_is_one_of_the_demo_model():
    source = open_source(Path(__file__).parents[2] / "tools/demo/model")
    rows = Path("rows.tsv")
    setting = replace(Setting(source.directory, rows, rows, rows, 0, 1, lambda _: None))
    assert len(Space.read(Path(__file__).parent / "search_space.toml", source, setting).points) == 18
