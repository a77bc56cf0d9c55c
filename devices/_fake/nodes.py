"""What is on a disk in memory, now and after a power cut."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["Node", "cut_power", "walk"]


@dataclass
class Node:
    """A file (data), a directory (names) or a link (target), as it is, and as it is on the disk."""

    kind: str
    mode: int = 0o644
    data: bytes = b""
    target: str = ""
    names: dict[str, Node] = field(default_factory=dict)
    saved_data: bytes = b""
    saved_names: dict[str, Node] = field(default_factory=dict)
    changes: list[dict[str, Node | None]] = field(default_factory=list)
    links: int = 1
    mtime_s: float = 0.0

    def copy(self, made: dict[int, Node]) -> Node:
        """This node and all below it anew, each once; `made` is what has been copied, by identity."""
        if id(self) not in made:
            made[id(self)] = twin = replace(self)
            twin.names = {name: node.copy(made) for name, node in self.names.items()}
            twin.saved_names = {name: node.copy(made) for name, node in self.saved_names.items()}
            twin.changes = [{name: node and node.copy(made) for name, node in c.items()} for c in self.changes]
        return made[id(self)]

    def save(self) -> None:
        """Bring a file's bytes, or a directory's names, to the disk."""
        self.saved_data, self.saved_names, self.changes = self.data, dict(self.names), []

    def change(self, **names: Node | None) -> None:
        """Change names of a directory in one step."""
        self.changes.append(names)
        _apply(self.names, names)


def _apply(names: dict[str, Node], change: dict[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def walk(node: Node, found: dict[int, Node]) -> dict[int, Node]:
    """Every node from `node` down, each once, added to `found`."""
    if id(node) not in found:
        found[id(node)] = node
        for child in node.names.values():
            walk(child, found)
    return found


def cut_power(root: Node, luck: random.Random | None, *, kept: bool) -> None:
    """Leave of a disk what a power cut leaves: of what was not synced nothing, all if `kept`, or as `luck` has it."""
    nodes: dict[int, Node] = {}
    _settle(root, luck, kept, nodes)
    for node in nodes.values():
        node.links = 0
    for node in nodes.values():
        for child in node.names.values():
            child.links += 1


def _settle(node: Node, luck: random.Random | None, kept: bool, found: dict[int, Node]) -> None:  # noqa: FBT001
    """Make a node and all below it what a power cut leaves of them."""
    if id(node) in found:
        return
    found[id(node)] = node
    names = dict(node.saved_names)
    for change in node.changes:
        if luck.random() < 0.5 if luck else kept:
            _apply(names, change)
    node.names = node.saved_names = names
    node.saved_names, node.changes = dict(names), []
    if node.data != node.saved_data:
        node.data = _torn(node, luck) if luck else node.data if kept else node.saved_data
        node.saved_data = node.data
    for child in names.values():
        _settle(child, luck, kept, found)


def _torn(node: Node, luck: random.Random) -> bytes:
    """What is left of a file whose last bytes were not synced."""
    cut = luck.randrange(len(node.data) + 1)
    zeros = node.data[:cut] + bytes(len(node.data) - cut)
    return luck.choice([node.saved_data, node.data, node.data[:cut], zeros])
