"""The Python environment of a store: wheels unpacked side by side, and a small program that starts Python with them.

    ROOT/wheels/SHA256/       the files of a wheel, under the hash of the wheel; or pip-N, what pip put there
    ROOT/env/bin/python       a script that starts the board's Python with some of these in its PYTHONPATH

The script alone decides what the environment is, and is replaced in one step; its second line says what it is made of.
A tree gets its name only when all that is in it is on the disk, and is never changed after that.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgewright.devices._onboard.files import ensure_dir, fill, get, remove
from edgewright.devices._onboard.wheel import MAX_WHEEL_BYTES, lay_out, whole
from edgewright.errors import DeviceError
from edgewright.system.untrusted import json_or_none

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from edgewright.devices._onboard.disk import Disk

__all__ = ["Env", "Recipe"]

_MAX_SCRIPT_BYTES = 2**16
"""A choice: a line a wheel; what is larger was not written here."""
_SHELLS = ("/bin/sh", "/system/bin/sh")


@dataclass(frozen=True)
class Recipe:
    """What an environment is made of.

    Attributes:
        key: the host's name for exactly this content.
        python: the Python that is started.
        trees: names of directories in `wheels`, in the order of the import path.
        engines: what was asked for, such as onnx.
    """

    key: str
    python: str
    trees: tuple[str, ...]
    engines: tuple[str, ...]

    @classmethod
    def of(cls, tree: Any) -> Recipe | None:
        """The recipe in a JSON object; None where it is none."""
        if not isinstance(tree, dict) or not all(isinstance(tree.get(name), str) for name in ("key", "python")):
            return None
        lists = [tree.get(name) for name in ("trees", "engines")]
        if not all(isinstance(found, list) and all(_is_name(word) for word in found) for found in lists):
            return None
        return cls(tree["key"], tree["python"], tuple(lists[0] or ()), tuple(lists[1] or ()))


def _is_name(word: Any) -> bool:
    return isinstance(word, str) and word.isascii() and word.replace("-", "").isalnum()


class Env:
    """The environment of the store at `root`."""

    def __init__(self, disk: Disk, root: str) -> None:
        self.disk, self.root = disk, root
        self.script, self.wheels = f"{root}/env/bin/python", f"{root}/wheels"

    @property
    def trial(self) -> str:
        """The script of an environment that is not proven yet."""
        return f"{self.script}.new"

    def tree(self, name: str) -> str:
        """Where the files of a wheel lie."""
        return f"{self.wheels}/{name}"

    def recipe(self) -> Recipe | None:
        """What it is made of; None where there is none, or the script is torn."""
        try:
            lines = get(self.disk, self.script, _MAX_SCRIPT_BYTES).splitlines()
            return Recipe.of(json_or_none(lines[1].lstrip(b"# ")))
        except (OSError, IndexError):
            return None

    def missing(self, digests: Iterable[str]) -> list[str]:
        """The wheels of which no tree is whole, looked at twice: a hiccup of the disk is no rot."""
        trees = {digest: self.tree(digest) for digest in digests}
        return [digest for digest, tree in trees.items() if not (whole(self.disk, tree) or whole(self.disk, tree))]

    # what changes it

    def add(self, digest: str, path: str, most_bytes: int) -> None:
        """Make a tree of the wheel at `path`, whose hash was checked. Raises DeviceError: it is no acceptable wheel."""
        new = f"{self.wheels}/.new"
        ensure_dir(self.disk, self.wheels)
        remove(self.disk, new)
        lay_out(self.disk, get(self.disk, path, MAX_WHEEL_BYTES), new, most_bytes)
        self.name(new, digest)

    def name(self, new: str, name: str) -> None:
        """Give a tree that is complete its name."""
        self.disk.sync_all(new)
        remove(self.disk, self.tree(name))
        self.disk.rename(new, self.tree(name))
        self.disk.sync_dir(self.wheels)

    def write(self, recipe: Recipe) -> None:
        """Put down the script of an environment on trial. Raises DeviceError: it cannot be, or not be read again."""
        if ":" in self.root:
            raise DeviceError(f"{self.root} holds a colon, which no import path can", hint="choose another --root")
        shell = next((path for path in _SHELLS if self.disk.stat(path)), _SHELLS[0])
        path = shlex.quote(":".join(self.tree(name) for name in recipe.trees))
        line = f'PYTHONPATH={path} PYTHONNOUSERSITE=1 exec {shlex.quote(recipe.python)} "$@"'
        data = f"#!{shell}\n# {json.dumps(asdict(recipe))}\n{line}\n".encode()
        if len(data) > _MAX_SCRIPT_BYTES:
            what = f"the environment of {len(recipe.trees)} wheels has a script of {len(data)} bytes"
            raise DeviceError(f"{what}, at most {_MAX_SCRIPT_BYTES} are read", hint="choose a shorter --root")
        for folder in (f"{self.root}/env", f"{self.root}/env/bin"):
            ensure_dir(self.disk, folder)
        fill(self.disk, self.trial, data, sync=False)
        self.disk.chmod(self.trial, 0o755)
        self.disk.sync_all(self.trial)

    def switch(self) -> None:
        """Let the environment on trial be the one, in one step, with the bytecode that its proof left in the trees."""
        self.disk.sync_all(self.wheels)
        self.disk.rename(self.trial, self.script)
        self.disk.sync_dir(f"{self.root}/env/bin")

    def clean(self, keep: Collection[str] = ()) -> None:
        """Remove what is not of the environment: trees but those in `keep`, and a script on trial."""
        remove(self.disk, self.trial)
        if self.disk.stat(self.wheels) is None:
            return
        recipe = self.recipe()
        if recipe is None and self.disk.stat(self.script):
            return  # it cannot be read now: what it needs is not known
        for name in self.disk.list(self.wheels):
            if name not in keep and (recipe is None or name not in recipe.trees):
                remove(self.disk, self.tree(name))
