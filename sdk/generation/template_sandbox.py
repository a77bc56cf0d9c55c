"""Jinja's sandbox with an end: a template of a stranger reads nothing, and takes neither memory nor time beyond a cap.

`ImmutableSandboxedEnvironment` keeps a template from Python's insides, not from filling the memory: a width in a
format, a text that replaces each of its letters by itself, a list of lists written out, a loop within a loop. Here
everything that makes a text, a list or a round of a loop is weighed, before it is made where it may be larger than what
it is made of, and one rendering has so much of it and no more. What templates have no use for is not there.
"""

from __future__ import annotations

import functools
import json
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jinja2.ext import loopcontrols
from jinja2.filters import do_round
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["MOST_CHARACTERS", "Sandbox", "rendering"]

MOST_CHARACTERS = 1 << 22
"""Of one text: a choice, four times the largest one that the tokenizer takes."""
_MOST_WORK = 8 * MOST_CHARACTERS
"""Of one rendering, in characters, items and rounds together: a choice, eight copies of the largest conversation."""
_ROUND = 256
"""What a round of a loop or a call counts: about the characters that are copied in its time, half a microsecond."""
_ITEM = 32
"""What an item of a list counts: about the bytes that it takes, and its share of the time when it is written out."""
_MOST_POWER = 8
"""A choice: no template has a use for powers."""
_MOST_WIDTH = 16
"""Of what stands between the parts of JSON, and of places behind the point: a choice, templates ask for 4."""
_FILTERS = (
    *(
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "dictsort",
        "e",
        "escape",
        "first",
        "float",
        "int",
        "items",
        "join",
    ),
    *("last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round"),
    *("safe", "select", "selectattr", "sort", "string", "title", "trim", "unique", "upper"),
)
"""Jinja's own that make at most a copy of what they are given, and two that are weighed before."""
_METHODS = {
    str: (
        *("capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdecimal", "isdigit", "islower"),
        *("isnumeric", "isspace", "isupper", "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix"),
        *("replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip"),
        *("swapcase", "title", "upper"),
    ),
    dict: ("get", "items", "keys", "values"),
    list: ("count", "index"),
    tuple: ("count", "index"),
    int: (),
    float: (),
    bool: (),
    bytes: (),
}
"""What a template may call of a value, by the value's type."""
_left: ContextVar[list[int]] = ContextVar("_left")


@contextmanager
def rendering() -> Iterator[None]:
    """Count one rendering from here on."""
    token = _left.set([_MOST_WORK])
    try:
        yield
    finally:
        _left.reset(token)


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment for chat templates with the settings that transformers gives it.

    What is too large raises OverflowError, what is not there is undefined or does not parse.
    """

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols], finalize=_written)
        given = {**self.filters, "join": _join, "replace": _replace, "round": _round, "string": _written}
        self.filters = {name: _weighed(given[name]) for name in _FILTERS}
        self.filters |= {"tojson": _to_json, "sum": _sum, _ROUNDS: _rounds}
        del self.globals["lipsum"]

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = _Weighing().visit(super()._parse(source, name, filename))
        assert isinstance(tree, nodes.Template)  # noqa: S101 - the transformer gives what it is given
        return tree

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """An operator's result, refused where it would be too large."""
        if operator == "*":
            sizes = [len(one) if isinstance(one, (str, list, tuple)) else abs(one) for one in (left, right)]
            many = _ITEM if any(isinstance(one, (list, tuple)) for one in (left, right)) else 1
            _take(int(sizes[0] * sizes[1]) * many if any(hasattr(one, "__len__") for one in (left, right)) else 1)
            _check(sizes[0] * sizes[1], "*")
        elif operator == "**":
            _check(abs(right), "**", _MOST_POWER)
            _check(abs(left), "**")
        elif operator == "%":
            _check(isinstance(left, str), "%", 0)
        else:
            for one in (left, right):
                _taken(one)
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may have it."""
        allowed = next((names for kind, names in _METHODS.items() if isinstance(obj, kind)), None)
        return (allowed is None or attr in allowed) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """No format at all: its widths have no end."""
        if getattr(value, "__name__", "") in ("format", "format_map") and isinstance(value.__self__, str):
            return self.unsafe_undefined(value.__self__, value.__name__)
        return None

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item, a slice or an attribute."""
        return _taken(super().getitem(obj, argument))

    def call(self, context: Any, called: Any, *given: Any, **named: Any) -> Any:  # noqa: D102 - Jinja's own
        _take(_ROUND)
        on = getattr(called, "__self__", None)
        if isinstance(on, str) and called.__name__ in ("replace", "join"):
            return (_replace if called.__name__ == "replace" else _joined)(on, *given, **named)
        return _taken(super().call(context, called, *given, **named))


_ROUNDS = "rounds of a loop"
"""A filter that no template can name."""


class _Weighing(NodeTransformer):
    """Lets loops count their rounds, and makes `a ~ b` the filter that does the same and is weighed."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's way of naming visitors
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, _ROUNDS, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes), "join", [], [], None, None, lineno=node.lineno)


def _check(size: float, what: str, most: int = MOST_CHARACTERS) -> None:
    if size > most:
        raise OverflowError(f"{what} of {size:.3g}, at most {most} are made")


def _take(work: int) -> None:
    left = _left.get()
    left[0] -= work
    if left[0] < 0:
        raise OverflowError(f"it makes more than {_MOST_WORK} characters and rounds")


def _taken(made: Any) -> Any:
    """What was made, counted."""
    _take(len(made) if isinstance(made, str) else _ITEM * len(made) if isinstance(made, (list, tuple, dict)) else 1)
    return made


def _weighed(filtered: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(filtered)  # with Jinja's mark of what it wants to be given first
    def run(*given: Any, **named: Any) -> Any:
        return _taken(filtered(*given, **named))

    return run


def _weigh(value: Any) -> None:
    """Take what writing a value out costs, its items and theirs included."""
    inside = list(value.items()) if isinstance(value, dict) else value
    if isinstance(inside, (list, tuple)):
        _take(_ITEM * (len(inside) + 1))
        for one in inside:
            _weigh(one)
    else:
        _take(len(value) if isinstance(value, str) else 1)


def _written(value: Any) -> Any:
    """A value as it is written: a text, whatever it was."""
    _weigh(value)
    return value if isinstance(value, str) or hasattr(value, "__html__") else str(value)


def _join(items: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    """Jinja's `join`."""
    found = items if attribute is None else [_attribute(one, str(attribute)) for one in items]
    return _joined(str(d), [str(_written(one)) for one in found])


def _attribute(value: Any, names: str) -> Any:
    for name in names.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    return value


def _joined(between: str, texts: Iterable[str]) -> str:
    given = list(texts)
    _take(sum(map(len, given)) + len(between) * len(given))
    return between.join(given)


def _replace(text: Any, old: str, new: str, count: int | None = None) -> str:
    """`replace`, Jinja's and Python's."""
    text, old, new = (str(_written(one)) for one in (text, old, new))
    _take(len(text) + text.count(old) * len(new))
    return str(text.replace(old, new, -1 if count is None else count))


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    """Jinja's `round`, which raises 10 to the precision."""
    _check(abs(precision), "round's precision", _MOST_WIDTH)
    return do_round(value, precision, method)  # type: ignore[arg-type]  # it refuses other methods itself


def _sum(numbers: Iterable[Any], attribute: str | None = None, start: float = 0) -> Any:
    """Jinja's `sum`, of numbers alone."""
    given = [one if attribute is None else _attribute(one, attribute) for one in numbers]
    if not all(isinstance(one, (int, float)) for one in (*given, start)):
        raise TypeError("sum takes numbers")
    return sum(given, start)


def _to_json(value: Any, **options: Any) -> str:
    """As JSON, without HTML's escapes, as transformers has it."""
    _weigh(value)
    known = {name: options[name] for name in ("indent", "separators", "sort_keys") if name in options}
    for between in (known.get("indent"), *(known.get("separators") or ())):
        _check(len(between) if isinstance(between, str) else between or 0, "tojson's width", _MOST_WIDTH)
    return str(_taken(json.dumps(value, ensure_ascii=bool(options.get("ensure_ascii")), **known)))


def _rounds(items: Iterable[Any]) -> Iterable[Any]:
    """What a loop goes over: a list or a generator, of which each round is counted."""
    if isinstance(items, (list, tuple, dict, str, range)):
        _take(_ROUND * len(items))  # loops ask for their length, which a generator has not
        return items
    return _one_by_one(items)


def _one_by_one(items: Iterable[Any]) -> Iterator[Any]:
    for one in items:
        _take(_ROUND)
        yield one
