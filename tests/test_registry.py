import importlib
import re
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgewright import registry
from edgewright.errors import MissingExtra, UsageError
from edgewright.system.toml import read_toml

CHECKOUT = registry._checkout
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


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (None, "pip install 'edgewright[onnx]'"),
        ("no JSON", "pip install 'edgewright[onnx]'"),
        ('{"url": "file:///a.whl", "archive_info": {}}', "pip install 'edgewright[onnx]'"),
        ('{"url": "file://%s/gone", "dir_info": {}}', "pip install 'edgewright[onnx]'"),
        ('{"url": "file://%s/my%%20own", "dir_info": {}}', "pip install '%s/my own[onnx]'"),
        (
            '{"url": "file://%s/my%%20own", "dir_info": {"editable": true}}',
            "pip install -e '%s/my own[onnx]'",
        ),
    ],
)
def test_the_pip_line_is_of_the_checkout_that_was_installed(told, line, tmp_path, monkeypatch):
    """Which no index may have."""
    (tmp_path / "my own").mkdir()
    (tmp_path / "my own/pyproject.toml").touch()
    filled = told % tmp_path if told and "%s" in told else told
    monkeypatch.setattr(registry, "_checkout", CHECKOUT)
    monkeypatch.setattr(metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: filled))
    assert registry.install_line("onnx") == (line % tmp_path if "%s" in line else line)


def test_one_missing_module_is_missing_in_the_singular():
    with pytest.raises(MissingExtra, match=r"^no_such_module is not installed"):
        registry.require(("no_such_module",), "onnx")


def test_require_imports_nothing():
    sys.modules.pop("this", None)
    registry.require(("this",), "onnx")
    assert "this" not in sys.modules


PROJECT = read_toml(Path(__file__).parents[1] / "pyproject.toml")[1]["project"]


def named(requirement):
    """The package of a requirement, and the extras that it asks for."""
    found = re.match(r"([A-Za-z0-9_.-]+)(?:\[([^]]*)\])?", requirement)
    extras = tuple(name.strip() for name in (found[2] or "").split(",") if name.strip())
    return re.sub(r"[-_.]+", "-", found[1]).lower(), extras


def brought(extras):
    """Every package that extras, by comma, bring, with what those need in turn where they are installed."""
    own, found = extras.split(","), set()
    for one in own:  # grows as it goes
        for package, more in map(named, PROJECT["optional-dependencies"][one]):
            own += [name for name in more if package == "edgewright" and name not in own]
            found |= {package} - {"edgewright"}
    waiting = [*found]
    for package in waiting:
        try:
            needs = metadata.requires(package) or ()
        except metadata.PackageNotFoundError:
            continue
        more = {named(need)[0] for need in needs if "extra ==" not in need} - found
        found |= more
        waiting += more
    return found


def required():
    """Each extra that somebody is told to install for some modules: (modules, extra, where)."""
    root = Path(__file__).parents[1]
    for top in ("sdk", "converters", "runtimes", "devices"):
        for path in (root / top).rglob("*.py"):
            for call in re.finditer(r'registry\.require\(\(([^)]*)\), "([a-z-]+)"\)', path.read_text()):
                yield tuple(re.findall(r'"([^"]+)"', call[1])), call[2], path.relative_to(root).as_posix()
    for name in registry.names("converters"):
        one = registry.load("converters", name)
        yield one.requires, one.extra, f"converters/{name}"


def test_an_extra_brings_what_one_is_told_to_install_it_for():
    homes = metadata.packages_distributions()
    wrong = {}
    for modules, extra, where in required():
        has = brought(extra)
        for module in modules:
            packages = {named(home)[0] for home in homes.get(module, [module])}
            if not packages & has:
                wrong[where] = f"{module} is not in {extra}"
    assert wrong == {}
