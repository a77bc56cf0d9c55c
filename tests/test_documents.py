"""What the documents for engineers name is there."""

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("docs/architecture.md", "CONTRIBUTING.md", "README.md", "docs/boards.md", "docs/measuring.md")
PLACE = re.compile(r"`((?:sdk|converters|runtimes|devices|tests|tools)/[\w./*-]*?)(?::([A-Za-z_]\w*))?`")
DOTTED = re.compile(r"`edgewright((?:\.[A-Za-z_]\w*)+)")


def places(name):
    """The paths in a document, each with the function behind it or ""."""
    return PLACE.findall((ROOT / name).read_text())


def defined(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))


def missing(path, name):
    """What is not there, in words; "" where all is."""
    if re.search(r"\b[A-Z]{4,}\b", path):  # a name to fill in, such as converters/NAME.py
        return ""
    found = ROOT / path
    if not found.exists():
        return f"no {path}"
    return f"no {name} in {path}" if name and name not in defined(found) else ""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_and_function_that_is_named_is_there(document):
    assert [words for words in (missing(*place) for place in places(document)) if words] == []


def test_the_walks_are_read():
    assert len(places("docs/architecture.md")) > 80
    assert missing("sdk/builder/build.py", "biuld") == "no biuld in sdk/builder/build.py"
    assert missing("sdk/builder.py", "") == "no sdk/builder.py"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_module_that_is_named_is_there(document):
    for dotted in DOTTED.findall((ROOT / document).read_text()):
        parts = dotted.strip(".").split(".")
        top = ROOT if parts[0] in ("converters", "runtimes", "devices") else ROOT / "sdk"
        if parts[0] in ("service", "toml", "load", "build"):  # a unit, a file, functions of the package
            continue
        whole = top.joinpath(*parts)
        inner = top.joinpath(*parts[:-1])
        assert whole.is_dir() or whole.with_suffix(".py").exists() or parts[-1] in defined(inner.with_suffix(".py")), (
            dotted
        )


def test_no_two_test_files_have_one_name():
    """pytest imports them by their names alone, and a second one of a name is an error of the whole run."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_what_the_readme_writes_in_a_checkout_is_no_change_of_it():
    commands = "\n".join(re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
    written = {name for _, name in re.findall(r"(--out|--html|--trace|>) ([\w.-]+)", commands)}
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    assert len(written) > 15
    assert [name for name in sorted(written) if not any(fnmatch(name, pattern) for pattern in ignored)] == []
