"""The regular expressions of pre-tokenizers -> a small program for a matcher that backtracks, as Oniguruma does.

What a character class holds is not worked out here: `tokenizers` itself is asked of every code point (see
`edgewright.exporting.unicode_tables`), so that a class means what it means there. An instruction is three numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compiled"]

_CHAR, _CLASS, _SPLIT, _JUMP, _LOOK, _LOOK_NOT, _MATCH, _REPEAT = range(1, 9)
"""Opcodes, as `ew_tokenizer.c` has them. _REPEAT stands before a _CHAR or _CLASS and loops over it."""
_POSSESSIVE = 1 << 31
"""Set in the least number of a _REPEAT that gives nothing back."""
_ENDLESS = 0x7FFFFFFF
"""The most of a loop without a limit."""
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t"}
_CLASSES = frozenset("sSdDwW")
"""Letters that stand for a class behind a backslash."""


class _Node(Struct):
    """A part of an expression: code, whether it is one character wide, and whether it can match nothing."""

    code: list[tuple[int, int, int]]
    single: bool
    empty: bool


def compiled(pattern: str, bit_of: Callable[[str], int]) -> list[int]:
    """An expression as a program.

    Args:
        pattern: the expression.
        bit_of: gives a bit of a code point's properties for a character class in Oniguruma's syntax.

    Raises:
        UnsupportedConversion: the expression has something else than characters, classes, groups, alternatives,
            greedy or possessive repetition and looking ahead, or it matches nothing at all somewhere.
    """
    parser = _Parser(pattern, bit_of)
    node = parser.alternatives(folded=False)
    if parser.at != len(pattern):
        parser.refuse(f"what stands at {parser.at}")
    if node.empty:
        parser.refuse("that it can match nothing")
    return [number for line in [*node.code, (_MATCH, 0, 0)] for number in line]


class _Parser:
    def __init__(self, pattern: str, bit_of: Callable[[str], int]) -> None:
        self.pattern, self.bit_of, self.at = pattern, bit_of, 0

    def refuse(self, what: str) -> None:
        raise UnsupportedConversion(
            f"the pre-tokenizer's expression {self.pattern!r} cannot be carried: {what}",
            hint="expressions of GPT-2, Llama 3 and their kin can",
        )

    def next(self, text: str) -> bool:
        """Step over `text` if it comes next."""
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) * found
        return found

    def alternatives(self, *, folded: bool) -> _Node:
        branches = [self.sequence(folded=folded)]
        while self.next("|"):
            branches.append(self.sequence(folded=folded))
        node = branches.pop()
        while branches:
            first = branches.pop()
            code = [(_SPLIT, 1, len(first.code) + 2), *first.code, (_JUMP, len(node.code) + 1, 0), *node.code]
            node = _Node(code, single=False, empty=first.empty or node.empty)
        return node

    def sequence(self, *, folded: bool) -> _Node:
        node = _Node([], single=False, empty=True)
        count = 0
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            part = self.repeated(self.atom(folded=folded))
            node = _Node([*node.code, *part.code], single=not count and part.single, empty=node.empty and part.empty)
            count += 1
        return node

    def atom(self, *, folded: bool) -> _Node:  # noqa: PLR0911 - a line for each kind
        if self.next("(?="):
            return self.look(_LOOK, folded=folded)
        if self.next("(?!"):
            return self.look(_LOOK_NOT, folded=folded)
        if self.next("(?i:"):
            return self.group(folded=True)
        if self.next("(?:"):
            return self.group(folded=folded)
        if self.pattern.startswith("(?", self.at) or self.pattern[self.at] in "^$.*+?{":
            self.refuse(f"what stands at {self.at}")
        if self.next("("):
            return self.group(folded=folded)
        if self.pattern[self.at] == "[":
            return self.of_class(self.bracketed(), folded=folded)
        if self.pattern[self.at] == "\\":
            return self.escaped(folded=folded)
        self.at += 1
        return self.character(self.pattern[self.at - 1], folded=folded)

    def group(self, *, folded: bool) -> _Node:
        node = self.alternatives(folded=folded)
        if not self.next(")"):
            self.refuse("a group that does not end")
        return node

    def look(self, opcode: int, *, folded: bool) -> _Node:
        inner = self.group(folded=folded)
        code = [(opcode, len(inner.code) + 2, 0), *inner.code, (_MATCH, 0, 0)]
        return _Node(code, single=False, empty=True)

    def bracketed(self) -> str:
        begin, depth = self.at, 0
        while self.at < len(self.pattern):
            one = self.pattern[self.at]
            self.at += 2 if one == "\\" else 1
            depth += (one == "[") - (one == "]")
            if not depth:
                return self.pattern[begin : self.at]
        self.refuse("a class that does not end")
        return ""

    def escaped(self, *, folded: bool) -> _Node:
        kind = self.pattern[self.at + 1 : self.at + 2]
        if kind in ("p", "P") and self.pattern[self.at + 2 : self.at + 3] == "{":
            end = self.pattern.find("}", self.at)
            name, self.at = self.pattern[self.at : end + 1], end + 1
            return self.of_class(name, folded=folded)
        self.at += 2
        if kind in _CLASSES:
            return self.of_class(f"\\{kind}", folded=folded)
        if not kind or (kind.isalnum() and kind not in _ESCAPES):
            self.refuse(f"\\{kind}")
        return self.character(_ESCAPES.get(kind, kind), folded=folded)

    def character(self, one: str, *, folded: bool) -> _Node:
        if folded and one.isalpha():
            return self.of_class(one, folded=True)
        return _Node([(_CHAR, ord(one), 0)], single=True, empty=False)

    def of_class(self, name: str, *, folded: bool) -> _Node:
        bit = self.bit_of(f"(?i:{name})" if folded else name)
        return _Node([(_CLASS, bit, 0)], single=True, empty=False)

    def repeated(self, node: _Node) -> _Node:
        least, most = self.times()
        if (least, most) == (1, 1):
            return node
        possessive = self.next("+")
        if not possessive and self.next("?"):
            self.refuse("repetition that takes as little as it can")
        if node.single:
            code = [(_REPEAT, least | (_POSSESSIVE if possessive else 0), most), *node.code]
        elif not node.empty and not possessive and (least, most) == (0, 1):
            code = [(_SPLIT, 1, len(node.code) + 1), *node.code]
        elif not node.empty and not possessive and most == _ENDLESS and least < 2:
            loop = [(_SPLIT, 1, len(node.code) + 2), *node.code, (_JUMP, -len(node.code) - 1, 0)]
            code = [*node.code * least, *loop]
        else:
            self.refuse("repetition of a group")
        return _Node(code, single=False, empty=node.empty or not least)

    def times(self) -> tuple[int, int]:
        for sign, found in (("?", (0, 1)), ("*", (0, _ENDLESS)), ("+", (1, _ENDLESS))):
            if self.next(sign):
                return found
        if not self.next("{"):
            return 1, 1
        end = self.pattern.find("}", self.at)
        least, comma, most = self.pattern[self.at : max(end, self.at)].partition(",")
        if not least.isdigit() or (most and not most.isdigit()):
            self.refuse("its {")
        self.at = end + 1
        return int(least), int(most or (_ENDLESS if comma else least))
