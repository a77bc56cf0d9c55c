"""The arrows between the rooms, read from the source text and from fresh processes."""

import ast
import functools
import io
import itertools
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Mapping
from pathlib import Path

import pytest

import edgewright

ROOT = Path(__file__).parents[1]
ROOMS = ("converters", "runtimes", "devices")
FILES = sorted(path for top in ("sdk", *ROOMS) for path in (ROOT / top).rglob("*.py"))


class Asked(Mapping):
    """What is made of each name when it is asked for: each worker collects this file, and few of them run it."""

    def __init__(self, names, make):
        self.names, self.make = dict.fromkeys(names), functools.cache(make)

    def __getitem__(self, name):
        if name not in self.names:
            raise KeyError(name)
        return self.make(name)

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)


TREES = Asked((path.relative_to(ROOT).as_posix() for path in FILES), lambda name: ast.parse((ROOT / name).read_text()))
HUB = [name for name in TREES if name.startswith("sdk/")]
HEAVY = {"torch", "transformers", "safetensors", "onnx", "onnxscript", "onnxruntime", "tensorflow", "huggingface_hub"}

FLOORS = (
    *("errors", "_version", "registry"),
    *("system", "statistics", "text", "bundle", "contracts", "model", "tasks", "data"),
    *("generation", "inference", "serving", "measure", "reporting", "proof", "analysis"),
    *("boards", "builder", "exporting", "training", "compression", "searching"),
    *("cli", "client", "doctor", "testing", "converters", "runtimes", "devices"),
)
"""The rooms of the package, the ground first: a room imports what lies below it."""


@functools.cache
def import_lines(tree):
    """The nodes of a tree that import, anywhere in it: a million nodes are walked once."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(tree):
    """Every module that a tree imports anywhere, with the names that it takes from it (none for a plain import)."""
    for node in import_lines(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        else:
            assert node.level == 0, "relative import"
            yield node.module, tuple(alias.name for alias in node.names)


def rooms_of(tree):
    """The rooms that a tree imports from."""
    parts = {part for module, names in imported(tree) for part in (module, *(f"{module}.{name}" for name in names))}
    return {room for room in ROOMS for part in parts if f"{part}.".startswith(f"edgewright.{room}.")}


MODULES = {
    "edgewright." + name.removesuffix(".py").removeprefix("sdk/").replace("/", ".").removesuffix(".__init__"): name
    for name in TREES
}
FACES_OF_THE_PACKAGE = {"sdk/__init__.py", "sdk/__main__.py"}
"""They lead to names that lie on every floor."""


def room(name):
    """The room of a file: `sdk/bundle/manifest.py` -> `bundle`, `runtimes/_x86.py` -> `runtimes`."""
    return name.removeprefix("sdk/").split("/")[0].removesuffix(".py")


def arrows(tree):
    """The files that a tree imports from, whether at once, inside a function or for typing alone."""
    for module, names in imported(tree):
        inner = [f"{module}.{name}" for name in names if f"{module}.{name}" in MODULES]
        yield from (MODULES[part] for part in (inner or [module]) if part in MODULES)


GRAPH = Asked(
    (name for name in TREES if name not in FACES_OF_THE_PACKAGE), lambda name: sorted(set(arrows(TREES[name])) - {name})
)


def each(names):
    """Let one test look at every file: three thousand tests of a millisecond take a minute to be handed around."""

    def hold(look):
        def test():
            wrong = {}
            for name in names:
                try:
                    look(name)
                except AssertionError as error:
                    wrong[name] = str(error)
            assert not wrong, "\n".join(f"{name}: {words}" for name, words in wrong.items())

        test.__name__, test.__doc__ = look.__name__, look.__doc__
        return test

    return hold


@each(HUB)
def test_the_hub_imports_no_room(name):
    assert rooms_of(TREES[name]) == set()


@each([name for name in TREES if name not in HUB])
def test_a_room_imports_no_other_room(name):
    assert rooms_of(TREES[name]) <= {name.split("/")[0]}


@each(GRAPH)
def test_no_arrow_leads_to_a_higher_floor(name):
    own = FLOORS.index(room(name))
    assert {other for other in GRAPH[name] if FLOORS.index(room(other)) > own} == set()


def circles(graph):
    """The circles of a graph, each as the names on the way round."""
    done, way, found = set(), [], []

    def walk(name):
        if name in way:
            found.append(way[way.index(name) :])
        elif name not in done:
            way.append(name)
            for other in graph.get(name, ()):
                walk(other)
            done.add(way.pop())

    for name in graph:
        walk(name)
    return found


def test_no_circle_of_imports():
    assert circles(GRAPH) == []


def test_a_circle_is_seen():
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"]}) == [["b", "c"]]
    assert circles({"a": ["b", "c"], "b": ["c"], "c": []}) == []


def test_no_command_imports_another():
    for name in (name for name in HUB if name.startswith("sdk/cli/")):
        own = {module for module, _ in imported(TREES[name]) if module.startswith("edgewright.cli.")}
        assert own <= {
            f"edgewright.cli.{helper}"
            for helper in (
                "_chat",
                "_options",
                "_tables",
                "_on_device",
                "_progress",
                "_instructions",
                "_fit",
                "_settings",
                "_notices",
            )
        }, name


@functools.cache
def importers(name):
    """Each library that a file imports, with the function in which it does; None stands for the module's own level."""
    found = set()

    def visit(node, function):
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef) else function
            found.update((module.split(".")[0], inner) for module, _ in own_imports(child))
            visit(child, inner)

    visit(TREES[name], None)
    return found


def functions_that_import(name, library):
    return {function for one, function in importers(name) if one == library}


def own_imports(node):
    return imported(node) if isinstance(node, ast.Import | ast.ImportFrom) else ()


def test_torch_is_imported_only_where_models_are_made_or_exported_and_where_an_engine_takes_its_tensors():
    users = {name: functions_that_import(name, "torch") for name in TREES}
    makers = ("converters/", "sdk/compression/", "sdk/searching/", "sdk/training/")
    outside = {name: where for name, where in users.items() if where and not name.startswith(makers)}
    # ExecuTorch's Python bindings take and give torch tensors
    assert outside == {
        "sdk/model/torch_module.py": {"export_module"},
        "sdk/model/pruned.py": {"mend"},
        "runtimes/executorch.py": {"import_engine", "_tensors", "_register_attention"},
        "runtimes/_decoding/executorch.py": {"__init__"},
        "runtimes/_decoding/executorch_translator.py": {"__init__"},
    }


# What is made of torch's own classes is imported by functions alone.
MAKERS = ("sdk/training/_", "sdk/searching/_", "sdk/compression/steps/_")
MADE_OF_TORCH = [name for name in HUB if name.startswith(MAKERS) and "__init__" not in name]


@each([name for name in HUB if name not in MADE_OF_TORCH])
def test_the_hub_imports_nothing_heavy_at_module_level(name):
    inner = {f"edgewright.{made[4:-3].replace('/', '.')}" for made in MADE_OF_TORCH}
    assert not {module for node in TREES[name].body for module, _ in own_imports(node)} & inner
    assert {library for library in HEAVY | {"tokenizers"} if None in functions_that_import(name, library)} == set()
    assert name.startswith("sdk/cli/") or "click" not in {module for module, _ in imported(TREES[name])}


@each([name for name in TREES if name.startswith("devices/_onboard/")])
def test_what_lies_on_a_board_is_read_as_json_in_one_place(name):
    """`json_or_none` and `strict_json`: what is nested without end is torn, too."""
    calls = [node.func for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)]
    assert not [
        call for call in calls if isinstance(call, ast.Attribute) and ast.unparse(call) in ("json.loads", "json.load")
    ]


# names


def written_all(tree):
    """The value of `__all__`, None where there is none."""
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            return ast.literal_eval(node.value)
    return None


def defined(tree):
    """The names that the top level of a module defines itself."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))


FACES = {
    *("sdk/__init__.py", "sdk/contracts/__init__.py", "sdk/training/__init__.py"),
    "sdk/compression/steps/__init__.py",
    *("sdk/client.py", "sdk/doctor.py"),  # names that others know: the guide, and boards of every version
}
"""What these export is defined in the modules beside them."""


# Size and Name in sdk/bundle/manifest.py, Label in sdk/tasks/text_classification.py (whose `__all__` is its one key).
@each(TREES)
def test_every_public_name_is_in_all(name):
    listed = written_all(TREES[name])
    assert listed is not None
    assert len(set(listed)) == len(listed)
    if name not in FACES:
        public = {word for word in defined(TREES[name]) if not word.startswith("_")}
        assert public == {word for word in listed if word != "__version__"}


def test_what_is_imported_from_another_module_is_in_its_all():
    for importer, tree in TREES.items():
        for module, names in imported(tree):
            listed = set(written_all(TREES[MODULES[module]])) if module in MODULES else None
            strangers = {n for n in names if listed is not None and n not in listed and f"{module}.{n}" not in MODULES}
            assert strangers == set(), f"{importer} imports {strangers} from {module}"


def test_every_name_of_the_package_is_there():
    assert set(edgewright.__all__) - set(edgewright._MODULES) == {"__version__", *edgewright._HOMES}
    assert all(getattr(edgewright, name) is not None for name in edgewright.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        edgewright.nonsense  # noqa: B018


@each([name for name in TREES if name.split("/")[-2] in (*ROOMS, "tasks", "cli")])
def test_a_file_that_is_a_key_names_one_object(name):
    key = not Path(name).name.startswith("_")
    assert not key or len(written_all(TREES[name])) == 1


@each(TREES)
def test_a_module_says_what_it_is_for(name):
    assert ast.get_docstring(TREES[name])


# numbers


def numbers(node):
    """The numbers of an expression; 0 and 1 as the value of a keyword (`ge=0`) or an index (`[1:]`) say themselves."""
    plain = {id(part.value) for part in ast.walk(node) if isinstance(part, ast.keyword)}
    plain |= {id(part.slice) for part in ast.walk(node) if isinstance(part, ast.Subscript)}
    plain |= {id(end) for part in ast.walk(node) if isinstance(part, ast.Slice) for end in (part.lower, part.upper)}
    for part in ast.walk(node):
        number = isinstance(part, ast.Constant) and type(part.value) in (int, float)
        if number and (part.value not in (0, 1) or id(part) not in plain):
            yield part.value


def without_reason(text):
    """The names of a module's numbers that have neither a docstring below nor a comment above or beside them."""
    tree, lines = ast.parse(text), io.StringIO(text).readline
    comments = {t.start[0]: t.line for t in tokenize.generate_tokens(lines) if t.type == tokenize.COMMENT}
    comments = {at: line for at, line in comments.items() if not PRAGMA.search(line)}
    own = {at for at, line in comments.items() if line.lstrip().startswith("#")}
    for node, below in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not node.value or not list(numbers(node.value)):
            continue
        documented = isinstance(below, ast.Expr) and isinstance(getattr(below.value, "value", None), str)
        if (
            not documented
            and node.lineno - 1 not in own
            and not comments.keys() & {*range(node.lineno, node.end_lineno + 1)}
        ):
            yield from defined(ast.Module([node], []))


PRAGMA = re.compile(r"# (fmt|noqa|type|pragma)\b")


@each(TREES)
def test_a_number_has_its_reason_beside_it(name):
    assert set(without_reason((ROOT / name).read_text())) - {"__version__"} == set()


@pytest.mark.parametrize(
    "code",
    [
        "_POLL_S = 0.05",
        "_A = -1",
        "_A: int = 2**20",
        "_A, _B = 1, 2",
        "_A = Limit(points=0.5)",
        "# of something else\n\n_A = 3",
        "_B = 2  # its own\n_A = 3",
        "_A = 3  # noqa: X1",
        '_A = 3\n\ndef f():\n    """Of a function."""',
        "_Words = Annotated[str, Meta(min_length=1, max_length=300)]",
    ],
)
def test_a_number_without_a_reason_is_seen(code):
    assert list(without_reason(code))


@pytest.mark.parametrize(
    "code",
    [
        '_A = 3\n"""Why."""',
        "# why\n_A = 3",
        "_A = 3  # why",
        "_A = {\n    1: 2,  # why\n}",
        "_Count = Annotated[int, Meta(ge=1)]",
        "_REST = words[1:]",
        "_ON = True",
        "def f():\n    a = 3",
    ],
)
def test_a_number_with_one_is_not(code):
    assert list(without_reason(code)) == []


# what starts a Python: `edgewright.system.interpreter` alone knows how to keep the working directory out of it


SHELL = re.compile(r"(?<!PYTHONSAFEPATH=1 )(?<!run: )python[0-9.]* -[mc]\b")
"""In a line of shell; `run: ` begins an advice to the user."""


def by_hand(tree):
    """The lines of argument vectors, or of shell, that start a Python without it."""
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple):
            words = [ast.unparse(word) for word in node.elts]
            pairs = list(itertools.pairwise(words))
            options = any(word in ("'-m'", "'-c'") and before != "'sh'" for before, word in pairs)
            begins = len(words) > 1 and words[0] in ("'-m'", "'-c'", "sys.executable")
            piped = any(word == "'-'" and not before.startswith(("'", "f'")) for before, word in pairs)
            if options or begins or piped:
                yield node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            yield from (node.lineno for _ in SHELL.finditer(node.value))


@each([name for name in TREES if name != "sdk/system/interpreter.py"])
def test_no_python_is_started_but_by_the_one_that_keeps_the_working_directory_out(name):
    # a program on standard input runs nothing of that directory, and drops the entry in its first line
    assert len(list(by_hand(TREES[name]))) == (1 if name == "sdk/boards/agent.py" else 0)


@pytest.mark.parametrize(
    "code",
    [
        "[sys.executable, 'x.py']",
        "[python, '-m', 'edgewright']",
        "(python, '-c', code, *words)",
        "_PIP = ('-m', 'pip', 'install')",
        "way.run([way.python, '-'], stdin=b'')",
        "f'python3 -c {line}'",
        "line = 'exec python -m edgewright'",
    ],
)
def test_a_python_started_by_hand_is_seen(code):
    assert len(list(by_hand(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code", ["['sh', '-c', line]", "['edgewright', '-']", "line = 'PYTHONSAFEPATH=1 python3 -c 1'"]
)
def test_another_program_is_not(code):
    assert list(by_hand(ast.parse(code))) == []


# what comes with an import, seen in fresh processes


def fresh(code):
    """Run some code in a fresh process; the names of the outermost packages that it imported."""
    lines = ["import sys", "before = set(sys.modules)", "try:", *(f"    {line}" for line in code.splitlines())]
    lines += ["except SystemExit as end:", "    assert not end.code, end.code", "import json"]
    lines += ["print(json.dumps(sorted({name.split('.')[0] for name in set(sys.modules) - before})), file=sys.stderr)"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, check=True, text=True)
    return set(json.loads(done.stderr.splitlines()[-1])), done.stdout


def test_importing_the_package_imports_only_the_standard_library():
    packages, _ = fresh("import edgewright")
    assert packages - sys.stdlib_module_names == {"edgewright"}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["build", "--help"], ["--version"]])
def test_help_imports_neither_numpy_nor_tokenizers_nor_anything_heavy(arguments):
    code = f"sys.argv = ['edgewright', *{arguments!r}]\nfrom edgewright.cli import _run\nsys.exit(_run(sys.argv[1:]))"
    packages, printed = fresh(code)
    assert packages & (HEAVY | {"numpy", "tokenizers"}) == set()
    assert "edgewright" in printed


def test_only_the_command_that_runs_is_imported():
    code = "import sys\nsys.argv = ['edgewright', 'run', '--help']\nfrom edgewright.cli import _run\n"
    code += "_run(sys.argv[1:])\nprint(*sorted(m for m in sys.modules if m.startswith('edgewright.cli.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1].split() == ["edgewright.cli._options", "edgewright.cli.run"]


def test_the_way_to_an_answer_imports_nothing_heavy():
    packages, _ = fresh("from edgewright import load, evaluate, verify, Bundle")
    assert packages & HEAVY == set()


def test_the_package_is_a_command_too():
    argv = [sys.executable, "-m", "edgewright", "--version"]
    done = subprocess.run(argv, capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["edgewright,", "version", edgewright.__version__]


def test_no_public_function_shares_its_name_with_a_module():
    """Importing such a module would put it in the function's place: `ew.build(...)` would call a module."""
    modules = {path.stem for path in (ROOT / "sdk").iterdir()}
    assert modules & set(edgewright._HOMES) == set()


TOOLS = sorted((ROOT / "tools").glob("*.py"))


@pytest.mark.parametrize("path", TOOLS, ids=[path.name for path in TOOLS])
def test_a_tool_imports_what_there_is(path):
    """No tool is imported by the fast tests; what it takes from the package is read instead."""
    own = {name.removesuffix("/__init__.py").removesuffix(".py"): tree for name, tree in TREES.items()}
    for module, names in imported(ast.parse(path.read_text())):
        if module == "edgewright" or not module.startswith("edgewright."):
            continue
        place = module.removeprefix("edgewright.").replace(".", "/")
        tree = own.get(place if place.split("/")[0] in ROOMS else f"sdk/{place}")
        assert tree is not None, module
        below = {name for name in names if f"sdk/{place}/{name}.py" in TREES or f"{place}/{name}.py" in TREES}
        assert set(names) - below <= {*(written_all(tree) or ()), *defined(tree)}, module
