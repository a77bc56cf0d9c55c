"""What crosses to a board and back: dataclasses as JSON, and an answer told from whatever else a login prints.

Standard library alone, for Python 3.9 on: both ends are this module. Laws: `read(type(v), plain(v)) == v`, and
`unframe(banner + frame(t)) == t`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from edgewright.contracts.board_commands import Kind
from edgewright.errors import DeviceError
from edgewright.system.untrusted import encodable

__all__ = ["frame", "plain", "read", "unframe"]

_MARK = b"edgewright-answer: "
_MAX_BYTES = 2**22
"""A choice: a listing of a thousand releases; a line that is longer comes from no agent of ours."""
_Value = TypeVar("_Value")


def plain(value: Any) -> Any:
    """A dataclass as JSON knows it: bytes become base64, and a `Kind` says which it is."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if is_dataclass(value):
        tree = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"op": value.op, **tree} if isinstance(value, Kind) else tree
    return value


def read(kind: type[_Value], tree: Any, at: str = "$") -> _Value:
    """What a tree says, which must be a `kind` and nothing else.

    Raises:
        ValueError: it is not; the words say where.
    """
    found: _Value = _read(kind, tree, at)
    return found


def _read(kind: Any, tree: Any, at: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Union:
        return _one_of(inner, tree, at)
    if origin is tuple:
        return tuple(_read(inner[0], part, f"{at}[{i}]") for i, part in enumerate(_is(list, tree, at)))
    if origin is dict:
        return {name: _read(inner[1], part, f"{at}.{name}") for name, part in _is(dict, tree, at).items()}
    if issubclass(origin or kind, Kind) or is_dataclass(kind):
        return _fields(_kind(origin or kind, tree, at), tree, at)
    return _scalar(kind, tree, at)


def _scalar(kind: Any, tree: Any, at: str) -> Any:
    if kind is bytes:
        return _bytes(_is(str, tree, at), at)
    return _float(tree, at) if kind is float and type(tree) is int else _is(kind, tree, at)


def _is(kind: type, tree: Any, at: str) -> Any:
    if type(tree) is not kind:
        raise ValueError(f"expected {kind.__name__}, got {type(tree).__name__} - at `{at}`")
    return tree


def _one_of(kinds: tuple[Any, ...], tree: Any, at: str) -> Any:
    """None or the one other kind, or a scalar of one of several."""
    others = [kind for kind in kinds if kind is not type(None)]
    if tree is None and len(others) < len(kinds):
        return None
    if len(others) == 1:
        return _read(others[0], tree, at)
    if type(tree) not in others:
        names = ", ".join(kind.__name__ for kind in others)
        raise ValueError(f"expected one of {names}, got {type(tree).__name__} - at `{at}`")
    return tree


def _kind(kind: Any, tree: Any, at: str) -> Any:
    """The dataclass that a tree is one of: `kind`, or for one that only has kinds the one that the tree names."""
    if is_dataclass(kind):
        return kind
    known = {one.op: one for one in kind.__subclasses__()}
    op = _is(dict, tree, at).get("op")
    if not isinstance(op, str) or op not in known:
        raise ValueError(f"expected one of {', '.join(known)}, got {op!r} - at `{at}.op`")
    return known[op]


@cache  # a board has Python 3.9, and evaluating the words takes most of the time of reading
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _fields(kind: Any, tree: Any, at: str) -> Any:
    hints, names = _hints(kind), [field.name for field in fields(kind)]
    tree = dict(_is(dict, tree, at))
    if issubclass(kind, Kind) and tree.pop("op", None) != kind.op:
        raise ValueError(f"expected {kind.op} - at `{at}.op`")
    if set(tree) != set(names):
        missing, strange = sorted(set(names) - set(tree)), sorted(set(tree) - set(names))
        raise ValueError(f"{'missing' if missing else 'unknown'} field {(missing or strange)[0]!r} - at `{at}`")
    return kind(**{name: _read(hints[name], tree[name], f"{at}.{name}") for name in names})


def _bytes(text: str, at: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"expected base64: {error} - at `{at}`") from error


def _float(number: int, at: str) -> float:
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError(f"expected float, got a number of too many digits - at `{at}`") from error


def frame(tree: dict[str, Any]) -> bytes:
    """A JSON object as a marked line of ASCII."""
    return b"\n" + _MARK + json.dumps(tree).encode() + b"\n"


def unframe(printed: bytes) -> dict[str, Any] | None:
    """The JSON object of the last marked line; None where no line is marked.

    Raises:
        DeviceError: the line is too long, torn or no object.
    """
    lines = [line for line in printed.splitlines() if line.startswith(_MARK)]
    if not lines:
        return None
    if len(lines[-1]) > _MAX_BYTES:
        raise DeviceError(f"the board's answer has {len(lines[-1])} bytes, at most {_MAX_BYTES} are read")
    try:
        tree = json.loads(lines[-1][len(_MARK) :])
    except (ValueError, RecursionError) as error:
        raise DeviceError(f"the board's answer is not JSON: {error}", hint="the connection broke; try again") from error
    if not isinstance(tree, dict):
        raise DeviceError("the board's answer is no JSON object")
    if not encodable(tree):
        raise DeviceError("the board's answer holds half of a surrogate pair, which no text can")
    return tree
