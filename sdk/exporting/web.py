"""A directory for web pages: an artifact for onnxruntime-web, the C core as WebAssembly, an ES module and a page.

Everything that a page fetches is in the directory. The files of onnxruntime-web come from npm, one version, known by
its hashes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.bundle.bundle import Bundle
from edgewright.errors import InputError, MissingExtra
from edgewright.exporting.c import fit, write_assets, write_licences
from edgewright.system.atomic import staged
from edgewright.system.files import read_capped, scratch
from edgewright.system.programs import run_to_end
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgewright.bundle.manifest import Artifact

__all__ = ["export_web", "list_files"]

_ENGINE = "onnxruntime-web@1.30.0"
"""The package and version that the answers of pages were held against Python's with."""
_ENGINE_FILES = {
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""What a page needs of it, with SHA-256: the module for the CPU alone, the smallest, which engine.js calls."""
_MARKER = "edgewright.js"
"""What a directory must hold to be replaced."""
_SOURCES = Path(__file__).with_name("web_project")
_VERSION = 1
"""Of files.json, as files.js reads it."""
_MOST_BYTES = 24 << 20
"""Of a file: Cloudflare Pages and others take none above 25 MiB."""
_MOST_ENGINE_BYTES = 64 << 20
"""Of a file of the engine; the larger one has 14 MB."""
_QUICK = ("fp16", "fp32")
"""Of a decoder: at int8 and int4 the engine unpacks every matrix anew for each token in WebAssembly. SmolLM2-135M wrote
8.8 tokens a second at fp32, 1.3 at int8 and 0.7 at int4, on one core; fp16 is fp32 once it is open."""
_NPM_TIMEOUT_S = 300.0
"""A choice: 33 MB through a slow line."""


def export_web(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    precision: str | None = None,
    engine: str | Path | None = None,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Artifact:
    """Write a directory that a static site serves, and whose pages answer as the bundle does; give its artifact.

    Args:
        bundle: a bundle with an artifact for ONNX Runtime, of a task that is answered by one run, of a decoder, or
            of a translator.
        out: the directory to write.
        precision: which artifact; by default the smallest that passed its gates, of a model that writes fp16 or fp32
            where there is one: pages write several times as fast at it.
        engine: a directory that holds the files of onnxruntime-web, such as its package unpacked; by default `npm` gets
            it.
        force: replace such a directory that is at `out` already.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: there is no such artifact, or its file is not what the manifest says.
        UnsupportedConversion: the task, the tokenizer or an input is none that the C core has.
        MissingExtra: there is no npm.
        InputError: npm does not get the engine, or its files are of another version.
        StorageError: `out` exists, or cannot be written.
    """
    opened = Bundle.of(bundle)
    opened, artifact = fit(opened, format="onnx", precision=precision or _quick(opened))
    with staged(Path(out), marker=_MARKER, force=force) as work:
        shutil.copytree(_SOURCES, work, dirs_exist_ok=True)
        write_licences(opened, work)
        write_assets(opened, artifact, work / "model", progress=progress)
        (work / "ort").mkdir()
        if engine is None:
            progress(f"getting {_ENGINE}")
            _get_engine(work / "ort")
        else:
            _copy_engine(Path(engine), work / "ort")
        list_files(work, ("edgewright.wasm", "ort/ort-wasm-simd-threaded.wasm"))
        for name in list_files(work / "model", sorted(path.name for path in (work / "model").iterdir())):
            progress(f"{name} is in parts, since some hosts take no file above 25 MiB")
    return artifact


def _quick(bundle: Bundle) -> str | None:
    """At which precision a page should write, None where it does not or has no choice."""
    if not bundle.task().generates:
        return None
    fits = {one.precision for one in bundle.artifacts("onnx", None) if one.parity.diverged is None}
    return next((one for one in _QUICK if one in fits), None)


def _get_engine(to: Path) -> None:
    if shutil.which("npm") is None:
        hint = f"run: apt install npm, or give a directory with its files by --engine ({_ENGINE})"
        raise MissingExtra("npm is not installed, and onnxruntime-web comes by it", hint=hint)
    with scratch() as work:
        ways = ("--prefer-offline", "--fetch-retries=0", "--loglevel=error", "--pack-destination", str(work))
        try:
            done = run_to_end(["npm", "pack", *ways, _ENGINE], timeout_s=_NPM_TIMEOUT_S, cwd=work)
            said = next(iter(done.lines), "not a word")
        except TimeoutError as error:
            said = str(error)
        packed = next(work.glob("*.tgz"), None)
        if packed is None:
            hint = "without a network give a directory with its files by --engine"
            raise InputError(f"npm does not get {_ENGINE}: {said}", hint=hint)
        try:
            with tarfile.open(packed) as archive:
                for name in _ENGINE_FILES:
                    source = archive.extractfile(f"package/dist/{name}")
                    (to / name).write_bytes(source.read(_MOST_ENGINE_BYTES) if source else b"")
        except (KeyError, tarfile.TarError) as error:
            raise InputError(f"what npm gives for {_ENGINE} is no such package: {error}") from error
    _copy_engine(to, to)


def _copy_engine(given: Path, to: Path) -> None:
    """The engine's files, from wherever they lie in the directory. Raises InputError for others than are known."""
    for name, wanted in _ENGINE_FILES.items():
        places = [given / name, given / "dist" / name, given / "package" / "dist" / name]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise InputError(f"{given} has no {name}", hint=f"it is in the directory dist of {_ENGINE}")
        try:
            data = read_capped(path, _MOST_ENGINE_BYTES, InputError)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != wanted:
            raise InputError(f"{path} is not of {_ENGINE}: its SHA-256 is {found[:12]}, not {wanted[:12]}")
        (to / name).write_bytes(data)


def list_files(directory: Path, names: Iterable[str]) -> list[str]:
    """Write files.json: of each file its parts, with sizes and hashes. Large files are cut; gives their names."""
    files = {Path(name).name: _parts(directory, name) for name in names}
    text = json.dumps({"edgewright": _VERSION, "files": files}, indent=1)
    (directory / "files.json").write_text(text, encoding="utf-8", newline="\n")
    return [name for name, parts in files.items() if len(parts) > 1]


def _parts(directory: Path, name: str) -> list[dict[str, str | int]]:
    data = (directory / name).read_bytes()
    pieces = [data[at : at + _MOST_BYTES] for at in range(0, max(len(data), 1), _MOST_BYTES)]
    paths = [name] if len(pieces) == 1 else [f"{name}.{at}" for at in range(len(pieces))]
    if len(pieces) > 1:
        (directory / name).unlink()
        for path, piece in zip(paths, pieces, strict=True):
            (directory / path).write_bytes(piece)
    return [
        {"path": path, "bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()}
        for path, piece in zip(paths, pieces, strict=True)
    ]
