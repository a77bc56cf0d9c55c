import importlib
import sys
from pathlib import Path

import pytest

from edgewright import registry
from edgewright.errors import MissingExtra, UsageError

ROOMS = ["converters", "runtimes", "devices", "tasks", "cli"]


@pytest.mark.parametrize("room", ROOMS)
def test_names_are_the_files_of_the_room_without_underscored_ones(room):
    package = importlib.import_module(f"edgewright.{room}")
    files = {path.stem for folder in package.__path__ for path in Path(folder).glob("*.py")}
    wanted = sorted(name.replace("_", "-") for name in files if not name.startswith("_"))
    assert list(registry.names(room)) == wanted
    assert wanted


@pytest.mark.parametrize("room", ROOMS)
def test_an_unknown_key_lists_the_keys(room):
    with pytest.raises(UsageError) as caught:
        registry.load(room, "no-such-thing")
    assert "'no-such-thing'" in caught.value.message
    assert all(name in caught.value.hint for name in registry.names(room))


@pytest.mark.parametrize("key", ["", "_show", "../onnx", "text_classification", "__init__", "os"])
def test_nothing_but_a_key_is_imported(key):
    before = set(sys.modules)
    with pytest.raises(UsageError, match="unknown task"):
        registry.load("tasks", key)
    assert not {name for name in set(sys.modules) - before if "task" in name}


@pytest.mark.parametrize("name", registry.names("tasks"))
def test_a_key_gives_the_object_of_that_name(name):
    assert registry.load("tasks", name).name == name


def test_a_missing_module_names_the_pip_line():
    with pytest.raises(MissingExtra) as caught:
        registry.require(("sys", "no_such_module_a", "no_such_module_b"), "onnx")
    assert str(caught.value) == (
        "no_such_module_a, no_such_module_b are not installed; run: pip install 'edgewright[onnx]'"
    )
    assert caught.value.exit_code == 6


def test_one_missing_module_is_missing_in_the_singular():
    with pytest.raises(MissingExtra, match=r"^no_such_module is not installed"):
        registry.require(("no_such_module",), "onnx")


def test_require_imports_nothing():
    sys.modules.pop("this", None)
    registry.require(("this",), "onnx")
    assert "this" not in sys.modules
