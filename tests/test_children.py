"""What crosses into a child: every `Child` in the code, the function that it names, and the structs of both."""

import ast
import importlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect
from test_architecture import TREES, import_lines

MODULES = {"edgewright." + name.removesuffix(".py").removeprefix("sdk/").replace("/", "."): name for name in TREES}
PROGRESS = "collections.abc.Callable[[str], None]"


def homes(tree):
    """The full names of what a module imports anywhere, or defines at its top."""
    found = {}
    for node in import_lines(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def full(node, module, tree):
    """An annotation with the full names of what it is made of; None and `type(None)` are one."""
    if ast.unparse(node) in ("None", "type(None)"):
        return "None"
    own, top = homes(tree), {node.name for node in tree.body if isinstance(node, ast.ClassDef)}

    class Named(ast.NodeTransformer):
        def visit_Name(self, name):
            place = own.get(name.id) or (f"{module}.{name.id}" if name.id in top else name.id)
            return ast.Name(place)

    return ast.unparse(Named().visit(node))


def children():
    """Each `Child(target, request, answer)`: the file, the target, and the two structs by their full names."""
    for module, name in MODULES.items():
        for node in ast.walk(TREES[name]) if "Child" in homes(TREES[name]) else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Child":
                target, *structs = node.args
                assert isinstance(target, ast.Constant), name
                assert not node.keywords, name
                yield name, target.value, *(full(struct, module, TREES[name]) for struct in structs)


CHILDREN = list(children())


def test_the_children_are_found():
    called = {target.rpartition(":")[2] for _, target, *_ in CHILDREN}
    assert {"reference", "convert", "evaluate", "facts", "attentions", "states", "prepare", "run_engine"} <= called
    assert len(CHILDREN) == len({target for _, target, *_ in CHILDREN}) >= 13


@pytest.mark.parametrize(("name", "target", "request_", "answer"), CHILDREN, ids=[row[1] for row in CHILDREN])
def test_the_function_is_there_and_typed(name, target, request_, answer):
    module, _, function = target.partition(":")
    tree = TREES[MODULES[module]]
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    assert len(found) == 1, f"{name} names {target}"
    taken = [full(argument.annotation, module, tree) for argument in found[0].args.args]
    assert (taken, full(found[0].returns, module, tree)) == ([request_, PROGRESS], answer)


@pytest.mark.parametrize("struct", sorted({struct for row in CHILDREN for struct in row[2:] if struct != "None"}))
def test_a_struct_says_what_is_in_it(struct):
    module, _, name = struct.rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    assert issubclass(kind, msgspec.Struct)
    assert list(untyped(inspect.type_info(kind))) == []


def untyped(kind):
    """The places in a type where anything at all may stand."""
    if isinstance(kind, inspect.AnyType) or (isinstance(kind, inspect.CustomType) and kind.cls is not Path):
        yield kind
    elif isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from (f"{kind.cls.__name__}.{field.name}" for _ in untyped(field.type))
    elif isinstance(kind, inspect.DictType):
        yield from (*untyped(kind.key_type), *untyped(kind.value_type))
    elif isinstance(kind, inspect.UnionType | inspect.TupleType):
        each = kind.types if isinstance(kind, inspect.UnionType) else kind.item_types
        yield from (place for one in each for place in untyped(one))
    elif hasattr(kind, "item_type"):
        yield from untyped(kind.item_type)


@pytest.mark.parametrize("kind", [dict, dict[str, Any], list, tuple[dict[str, object], ...], Any | None])
def test_what_is_not_typed_is_seen(kind):
    assert list(untyped(inspect.type_info(kind)))


def test_nothing_is_called_by_a_string():
    """A child that is not named by a `Child` would be one whose struct nobody holds."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            inside = isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
            called = (node.func.id if isinstance(node.func, ast.Name) else node.func.attr) if inside else ""
            if called in ("call", "run", "ask", "ask_in") and node.args:
                first = node.args[0]
                assert not (isinstance(first, ast.Constant) and ":" in str(first.value)), f"{name}:{node.lineno}"
