"""An environment for each peer below build/peers, made once, with edgewright itself as a wheel among them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("sdk", "converters", "runtimes", "devices")
LLAMA = "llama-cpp-python==0.3.36"
LLAMA_CMAKE = f"-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama_cpp_INCLUDE={ROOT}/tools/llama_library.cmake"
"""For this machine's instructions, as the engines that choose their kernels at run time have them anyway."""


def packages(name: str) -> list[list[str]]:
    """What pip installs into an environment, one step after the other, in the project's own versions."""
    engines = _pinned("numpy", "tokenizers", "onnxruntime", "ai-edge-litert")
    torch = _pinned("torch")  # first and alone: a later step finds it there and takes no other build
    return {
        "edgewright": [[*engines, *_pinned("click", "msgspec")]],
        "bare": [engines],
        "transformers": [torch, _pinned("transformers", "tokenizers", "numpy")],
        "optimum": [torch, ["optimum-onnx[onnxruntime]==0.1.0", "transformers<4.58", *_pinned("onnxruntime")]],
        "sentence-transformers": [torch, _pinned("sentence-transformers", "transformers", "tokenizers", "numpy")],
        "fastembed": [["fastembed==0.9.1", *_pinned("onnxruntime")]],
        "openvino": [["openvino==2026.4.1", "nncf==3.4.0", *_pinned("tokenizers")]],
        "llama": [["--no-binary", "llama-cpp-python", LLAMA]],
    }[name]


def _pinned(*names: str) -> list[str]:
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in names]


def python_of(name: str, work: Path) -> Path:
    """The interpreter of a peer's environment, made where it is not there yet.

    Raises:
        subprocess.CalledProcessError: something could not be installed.
    """
    home, steps = work / name, packages(name)
    python = home / "bin" / "python"
    if not is_ready(home, steps):
        print(f"installing {name} into an environment of its own", file=sys.stderr, flush=True)
        venv.create(home, clear=True, symlinks=True, with_pip=True)
        for step in steps:
            _pip(python, *step)
        mark_ready(home, steps)
    if name == "edgewright":
        _install_wheel(python, home)
    return python


def _pip(python: Path, *what: str) -> None:
    argv = ["nice", str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *what]
    subprocess.run(argv, check=True, env={**os.environ, "CMAKE_ARGS": LLAMA_CMAKE})


def _install_wheel(python: Path, home: Path) -> None:
    """Install edgewright as a user does, from a copy: setuptools would leave its work in the checkout."""
    source, out = home / "source", home / "wheel"
    if is_ready(out, digest(*code())):
        return
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    ignored = shutil.ignore_patterns(".*", "build", "tests", "demo", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(argv, check=True, capture_output=True)
    _pip(python, "--force-reinstall", "--no-deps", *map(str, out.glob("*.whl")))
    mark_ready(out, digest(*code()))


def digest(*paths: Path) -> str:
    """Of some files: what was made from the same is kept."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()


def code(*rooms: str) -> list[Path]:
    """The project's own modules, of some rooms or of all."""
    return sorted(path for room in rooms or ROOMS for path in (ROOT / room).rglob("*.py"))


def is_ready(home: Path, what: object) -> bool:
    """Whether a directory was finished, and from the same."""
    mark = home / "ready"
    return mark.is_file() and mark.read_text() == str(what)


def mark_ready(home: Path, what: object) -> None:
    (home / "ready").write_text(str(what))
