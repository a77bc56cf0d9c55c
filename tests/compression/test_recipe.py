"""Recipes: what is wrong is told with its line, what was meant, and what is allowed."""

from pathlib import Path

import pytest

from edgewright import registry
from edgewright.compression.recipe import read
from edgewright.errors import UsageError


def recipe(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_steps_come_in_their_order(tmp_path):
    steps = read(recipe(tmp_path, '[[step]]\nuse = "prune-layers"\nkeep = [0, 2]\n\n[[step]]\nuse = "train"\n'))
    assert [named.name for named in steps] == ["prune-layers", "train"]
    assert steps[0].step.keep == (0, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no steps"),
        ("x = ", "is not TOML"),
        ('[[stop]]\nuse = "train"\n', "line 1: unknown table 'stop', did you mean step"),
        ('[[step]]\nuse = "prune-head"\n', "line 2: unknown step 'prune-head', did you mean prune-heads"),
        ("[[step]]\n", "line 1: unknown step"),
        ('[[step]]\nuse = "train"\n\n[[step]]\nuse = "train"\nepoch = 1\n', "line 6: unknown option of train 'epoch'"),
        ('[[step]]\nuse = "train"\nepochs = "two"\n', "line 3: epochs of train is 'two': expected `float`"),
        ('[[step]]\nuse = "prune-heads"\namount = 1.5\n', "line 3: amount of prune-heads is 1.5"),
        ('[[step]]\nuse = "prune-heads"\n', "line 2: prune-heads needs amount"),
        ('[[step]]\nuse = "prune-movement"\nsparsity = 1\n', "line 3: sparsity of prune-movement is 1"),
        (
            '[[step]]\nuse = "prune-movement"\nsparsity = 0.5\nscope = "all"\n',
            "line 4: scope of prune-movement is 'all'",
        ),
        ('[[step]]\nuse = "quantize-aware"\nto = "int3"\n', "line 3: to of quantize-aware is 'int3'"),
        (
            '[[step]]\nuse = "quantize-aware"\nto = "int4"\ngroup = 48\n',
            "line 4: unknown option of quantize-aware 'group'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, words):
    with pytest.raises(UsageError) as caught:
        read(recipe(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "tools/recipes").iterdir()), ids=lambda p: p.stem)
def test_the_recipes_that_the_docs_name_are_read(path):
    assert read(path)
    assert path.read_text().startswith("# ")


def test_the_recipe_of_the_demo_model_is_one():
    steps = read(Path(__file__).parents[2] / "tools/demo/recipe.toml")
    assert [named.name for named in steps][:2] == ["train", "trim-vocabulary"]
    assert steps[-1].step.max_bytes < 8_000_000


def test_every_step_says_what_its_options_are():
    for name in registry.names("compression.steps"):
        kind = registry.load("compression.steps", name)
        words = " ".join(base.__doc__ or "" for base in kind.__mro__[:3])
        for field in kind.__struct_fields__:
            assert field in words or field in (
                "learning_rate",
                "epochs",
                "batch",
                "evaluations",
                "precision",
                "max_length",
                "seed",
            ), (name, field)
