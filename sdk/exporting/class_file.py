"""Class files without what only a debugger and a caller's compiler read of them.

Layout: The Java Virtual Machine Specification, Java SE 17, chapter 4. Nothing that runs is touched: instructions, their
constants and the lines of a stack trace stay where they are.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["lean_class"]

_UTF8, _LONG, _DOUBLE = 1, 5, 6
"""Tags of constants: texts, and those that take two numbers."""
_SIZES = {3: 5, 4: 5, 5: 9, 6: 9, 7: 3, 8: 3, 9: 5, 10: 5, 11: 5, 12: 5, 15: 4, 16: 3, 17: 5, 18: 5, 19: 3, 20: 3}
"""Of constants by their tag (table 4.4-A), that of a text aside."""
_NAMING = {7: 1, 8: 1, 12: 2, 16: 1, 19: 1, 20: 1}
"""How many texts a constant of that tag names, in the numbers that it begins with."""
_PUBLIC = 0x0001
"""Of access_flags."""
_DEBUG = frozenset({"LocalVariableTable", "LocalVariableTypeTable", "SourceDebugExtension"})
"""Names of variables, and the map of inlined lines: for a debugger that stops inside of a method."""
_NOTES = frozenset({"RuntimeVisibleAnnotations", "RuntimeInvisibleAnnotations", "RuntimeInvisibleParameterAnnotations"})
"""Of a class that callers cannot name: Kotlin's metadata and what may be null, which a caller's compiler reads."""
_TEXTLESS = frozenset(
    {"BootstrapMethods", "ConstantValue", "Deprecated", "EnclosingMethod", "Exceptions", "LineNumberTable", "NestHost"}
    | {"NestMembers", "PermittedSubclasses", "SourceDebugExtension", "StackMapTable", "Synthetic"}
)
"""Attributes that name no text of the pool by themselves."""
_ROWS = {"InnerClasses": (2, 8, (4,)), "MethodParameters": (1, 4, (0,)), "LocalVariableTable": (2, 10, (4, 6))}
"""Attributes that are rows: where these begin, how long one is, and where in it texts are named."""


class _Attribute(NamedTuple):
    name: int
    kind: str
    data: bytes
    inner: tuple[_Attribute, ...] = ()
    """Of Code, whose data ends before its attributes."""


class _Member(NamedTuple):
    head: bytes
    attributes: tuple[_Attribute, ...]

    @property
    def public(self) -> bool:
        return bool(struct.unpack_from(">H", self.head)[0] & _PUBLIC)


class _Unknown(Exception):
    """There is an attribute of another age, whose texts are not known."""


def lean_class(data: bytes, *, public: bool) -> bytes | None:
    """The class without debug tables; of one that no caller can name also without what callers' compilers read.

    The names of parameters stay where a caller sees them. A class that is not `public` becomes its package's own, as
    Kotlin's `internal` would have it; None of one that has nothing but constants, which are where they are used. A
    class with an attribute that this module does not know stays as it is.
    """
    read = _ClassFile(data)
    if not public and read.is_constants():
        return None
    try:
        return read.lean(public=public)
    except _Unknown:
        return data


class _ClassFile:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pool, at = self._constants()
        self._head = data[at : at + 6]
        count = self._short(at + 6)
        self._interfaces, at = data[at + 6 : at + 8 + 2 * count], at + 8 + 2 * count
        self._fields, at = self._members(at)
        self._methods, at = self._members(at)
        self._attributes, _ = self._some(at)

    def is_constants(self) -> bool:
        values = all(any(one.kind == "ConstantValue" for one in field.attributes) for field in self._fields)
        return values and not self._methods and bool(self._fields)

    def lean(self, *, public: bool) -> bytes:
        gone = _DEBUG if public else _DEBUG | _NOTES
        fields = [_Member(one.head, self._kept(one.attributes, gone)) for one in self._fields]
        methods = [self._method(one, gone, public=public) for one in self._methods]
        attributes = self._kept(self._attributes, gone)
        head = self._head
        if not public:
            head = struct.pack(">H", self._flags() & ~_PUBLIC) + head[2:]
        named = set(self._named([*fields, *methods], attributes))
        pool = b"".join(b"\1\0\0" if c[0] == _UTF8 and i not in named else c for i, c in self._pool.items())
        return b"".join(
            [self._data[:10], pool, head, self._interfaces, _joined(fields), _joined(methods), _packed(attributes)]
        )

    def _flags(self) -> int:
        return int(struct.unpack_from(">H", self._head)[0])

    def _short(self, at: int) -> int:
        return int(struct.unpack_from(">H", self._data, at)[0])

    def _constants(self) -> tuple[dict[int, bytes], int]:
        found: dict[int, bytes] = {}
        number, at = 1, 10
        while number < self._short(8):
            tag = self._data[at]
            size = 3 + self._short(at + 1) if tag == _UTF8 else _SIZES[tag]
            found[number] = self._data[at : at + size]
            at += size
            number += 2 if tag in (_LONG, _DOUBLE) else 1
        return found, at

    def _members(self, at: int) -> tuple[list[_Member], int]:
        found = []
        count, at = self._short(at), at + 2
        for _ in range(count):
            attributes, end = self._some(at + 6)
            found.append(_Member(self._data[at : at + 6], attributes))
            at = end
        return found, at

    def _some(self, at: int) -> tuple[tuple[_Attribute, ...], int]:
        found = []
        count, at = self._short(at), at + 2
        for _ in range(count):
            name, size = struct.unpack_from(">HI", self._data, at)
            begin, at = at + 6, at + 6 + size
            kind = self._pool[name][3:].decode()
            if kind == "Code":
                code = begin + 8 + struct.unpack_from(">I", self._data, begin + 4)[0]
                code += 2 + 8 * self._short(code)
                found.append(_Attribute(name, kind, self._data[begin:code], self._some(code)[0]))
            else:
                found.append(_Attribute(name, kind, self._data[begin:at]))
        return tuple(found), at

    def _kept(self, attributes: tuple[_Attribute, ...], gone: frozenset[str]) -> tuple[_Attribute, ...]:
        return tuple(
            one._replace(inner=self._kept(one.inner, gone)) if one.kind == "Code" else one
            for one in attributes
            if one.kind not in gone
        )

    def _method(self, method: _Member, gone: frozenset[str], *, public: bool) -> _Member:
        if not (public and method.public):
            return _Member(method.head, self._kept(method.attributes, gone))
        kept = self._kept(method.attributes, gone - {"LocalVariableTable"})
        code = [one._replace(inner=tuple(map(_parameters, one.inner))) if one.kind == "Code" else one for one in kept]
        return _Member(method.head, tuple(code))

    def _named(self, members: list[_Member], attributes: tuple[_Attribute, ...]) -> Iterator[int]:
        """The texts that are used, by their numbers."""
        for constant in self._pool.values():
            yield from struct.unpack_from(f">{_NAMING.get(constant[0], 0)}H", constant, 1)
        for member in members:
            yield from struct.unpack_from(">HH", member.head, 2)
            yield from _texts(member.attributes)
        yield from _texts(attributes)


def _parameters(attribute: _Attribute) -> _Attribute:
    """Of a method's variables those that are there from its first instruction on: its parameters."""
    if attribute.kind != "LocalVariableTable":
        return attribute
    rows = [attribute.data[at : at + 10] for at in range(2, len(attribute.data), 10)]
    rows = [row for row in rows if row[:2] == b"\0\0"]
    return attribute._replace(data=struct.pack(">H", len(rows)) + b"".join(rows))


def _joined(members: list[_Member]) -> bytes:
    return struct.pack(">H", len(members)) + b"".join(one.head + _packed(one.attributes) for one in members)


def _packed(attributes: tuple[_Attribute, ...]) -> bytes:
    parts = [struct.pack(">H", len(attributes))]
    for one in attributes:
        data = one.data + (_packed(one.inner) if one.kind == "Code" else b"")
        parts.append(struct.pack(">HI", one.name, len(data)) + data)
    return b"".join(parts)


def _texts(attributes: tuple[_Attribute, ...]) -> Iterator[int]:
    for one in attributes:
        yield one.name
        if one.kind == "Code":
            yield from _texts(one.inner)
        elif one.kind in ("Signature", "SourceFile"):
            yield from struct.unpack(">H", one.data)
        elif one.kind in _ROWS:
            begin, size, places = _ROWS[one.kind]
            for row in range(begin, len(one.data), size):
                yield from (struct.unpack_from(">H", one.data, row + place)[0] for place in places)
        elif one.kind in _NOTES:
            yield from _annotated(one)
        elif one.kind not in _TEXTLESS:
            raise _Unknown(one.kind)


def _annotated(attribute: _Attribute) -> Iterator[int]:
    reader = _Annotations(attribute.data)
    if attribute.kind == "RuntimeInvisibleParameterAnnotations":
        for _ in range(reader.byte()):
            yield from reader.several()
    else:
        yield from reader.several()


class _Annotations:
    """Annotations and their values (4.7.16): each method gives the texts that the next one names."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def short(self) -> int:
        return self.byte() << 8 | self.byte()

    def several(self) -> Iterator[int]:
        for _ in range(self.short()):
            yield from self.one()

    def one(self) -> Iterator[int]:
        yield self.short()
        for _ in range(self.short()):
            yield self.short()
            yield from self.value()

    def value(self) -> Iterator[int]:
        tag = chr(self.byte())
        if tag == "@":
            yield from self.one()
        elif tag == "[":
            for _ in range(self.short()):
                yield from self.value()
        else:
            yield self.short()
            if tag == "e":
                yield self.short()
