"""Files named as what a Python imports, in a directory that is none of its business: each says so when it is run."""

import os
import sys
from pathlib import Path

import pytest

OURS = ("accelerate", "click", "msgspec", "numpy", "onnx", "onnxruntime", "optuna", "pip", "safetensors", "tokenizers")
NAMES = sorted({*sys.stdlib_module_names, *OURS, "edgewright", "torch", "transformers"})
WITNESS = "run-by-mistake"
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")

BODY = "with open({witness!r}, 'a') as file:\n    file.write({name!r} + chr(10))\n"


class Planted:
    """A directory with a file for each of `NAMES`, but those in `without`."""

    def __init__(self, folder, *, without=()):
        self.folder, self.names = folder, [name for name in NAMES if name not in without]
        self._witness = folder / WITNESS
        folder.mkdir(exist_ok=True)
        for name in self.names:
            (folder / f"{name}.py").write_text(BODY.format(witness=str(self._witness), name=name))

    def ran(self):
        """The names whose file was run."""
        return ran(self.folder)


def ran(folder):
    """The names whose file was run, in a directory that was made before."""
    witness = folder / WITNESS
    return witness.read_text().split() if witness.exists() else []


def python_of(version):
    """A Python of a version, of pyenv's or the system's, or a skip with the reason."""
    home = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    found = [*home.glob(f"versions/{version}.*/bin/python"), *Path("/usr/bin").glob(f"python{version}")]
    if not found:
        pytest.skip(f"no Python {version} is in {home} or /usr/bin")
    return str(found[0])
