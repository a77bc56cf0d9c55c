"""A Gradle project for Android: a library module in Kotlin that answers as a bundle does, its assets, and a sample.

Tokenizer and tasks are Kotlin alone, so that no NDK is needed; the engine is ONNX Runtime's own Android library, which
Gradle gets from Maven. `android_project` is the project, of which an export takes the code of the bundle's task and to
which it adds the assets.
"""

from __future__ import annotations

import io
import os
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgewright.bundle.external_data import weights_of
from edgewright.errors import InputError, MissingExtra, UnsupportedConversion, UsageError
from edgewright.exporting.c import TASKS, fit, write_assets, write_licences
from edgewright.exporting.class_file import lean_class
from edgewright.exporting.encrypted_file import CIPHER, encrypt_file, key_id, need_cipher, read_key
from edgewright.exporting.kotlin_sources import ENCRYPTED, keep_tasks, public_classes
from edgewright.system.atomic import staged
from edgewright.system.files import scratch
from edgewright.system.programs import run_to_end
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact

__all__ = ["export_android", "key_notes", "sizes"]

_MARKER = "settings.gradle.kts"
"""What a directory must hold to be replaced."""
_SOURCES = Path(__file__).with_name("android_project")
_MODULE = Path("edgewright", "src", "main")
"""The library's module, by Gradle's layout."""
_ASSETS = _MODULE / "assets" / "edgewright"
"""Where Gradle looks for a module's assets, and the name by which the library opens them."""
_ARCHIVE = "edgewright.aar"
"""Beside the modules, where a compiler is given."""
_MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="edgewright.android">
    <uses-sdk android:minSdkVersion="24" />
</manifest>
"""
"""Gradle makes it of build.gradle.kts: the same name and the same least version."""
_METADATA = "aarFormatVersion=1.0\naarMetadataVersion=1.0\n"
_LIKELY = ("android.jar", "the engine's archive", "kotlinx-coroutines-core's jar")
_ENGINES = {"onnx": "Onnx", "ort": "Onnx", "tflite": "LiteRt", "executorch": "ExecuTorch"}
"""Of a format the engine: how the names of its sources begin."""
_BUILT_WITH = {
    "Onnx": ("com.microsoft.onnxruntime:onnxruntime-android:1.29.0", "ai.onnxruntime.**"),
    "LiteRt": ("com.google.ai.edge.litert:litert:1.4.0", "org.tensorflow.lite.**"),
    "ExecuTorch": ("org.pytorch:executorch-android:1.0.1", "org.pytorch.executorch.**"),
}
"""Of an engine its library, of a version whose Java interface is that of the classes that its source was compiled
against, and the classes that native code finds by their names. Those of the first are in the project."""
_COMPILE_TIMEOUT_S = 900.0
"""A choice: the compiler takes 20 s on one core, and a board may be slow."""
_LEAN = (
    "-Xno-call-assertions",
    "-Xno-param-assertions",
    "-Xno-receiver-assertions",
    "-Xno-source-debug-extension",
)
"""What build.gradle.kts gives the compiler, too: nulls of Java are not looked for where Kotlin's types forbid them, and
the map of inlined lines is kept once. It takes 3 % off the classes."""
_EVERY_TASK = "all"
"""Of `tasks`."""
_KEY_NAME = "key "
"""The line of model.txt that names the key."""
_MOST_CLASSES = 2**27
"""A choice: those of onnxruntime-android have 0.1 MB; what unpacks to more is no library to compile against."""
_SMALLEST = 9
"""zlib's level: it is packed once."""
_SAME_TIME = (1980, 1, 1, 0, 0, 0)
"""Of every file in the archive, so that its bytes depend on what is in it alone."""
_ENGINE_BYTES = {"arm64-v8a": 32_232_640, "armeabi-v7a": 22_809_264}
"""Of the native libraries of onnxruntime-android 1.29.0, for the two ABIs that phones have."""


def export_android(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    format: Literal["onnx", "ort", "tflite", "executorch"] = "onnx",  # noqa: A002
    precision: str | None = None,
    tasks: Sequence[str] = (),
    encrypt: str | Path | None = None,
    kotlinc: str | Path | None = None,
    classpath: Sequence[str | Path] = (),
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Artifact:
    """Write a Gradle project whose library module answers as the bundle does, and give the artifact that is in it.

    Args:
        bundle: a bundle with such an artifact, of a task that is answered by one run, of a decoder, whose template
            for chats comes along where it is no more than texts around messages, or of a translator in ONNX.
        out: the directory to write.
        format: of the artifact, which says the engine: LiteRT for `tflite`, ExecuTorch for `executorch`, else ONNX
            Runtime. Each is mapped, but for a `.pte` file where it lies in the app's archive; the weights of an `onnx`
            file are copied by the engine.
        precision: which artifact; by default the smallest that passed its gates.
        tasks: whose code comes along with that of the bundle's own, or `all`, for an app that opens other models with
            this library.
        encrypt: the file of a key of 32 bytes, by which what the engine opens is encrypted: an app opens it by
            `openEncrypted` (`edgewright.exporting.encrypted_file` says how the files look).
        kotlinc: a Kotlin compiler, which makes `edgewright.aar` of the module, for builds without Gradle: its classes
            have lines for stack traces, no names of variables, and what Kotlin callers read of the public ones alone.
        classpath: what it compiles against: android.jar, the classes of the engine and of kotlinx-coroutines, as jars
            or as archives for Android.
        force: replace such a project that is at `out` already.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: there is no such artifact, or its file is not what the manifest says.
        UnsupportedConversion: the task, the tokenizer or an input is none that the library has, or the weights lie in
            a file that the engine opens by itself, which cannot be encrypted.
        MissingExtra: there is no such compiler, or nothing that encrypts.
        UsageError: one of `tasks` is no task of the library, or the key is none.
        InputError: it does not compile against that classpath.
        StorageError: `out` exists, or cannot be written.
    """
    opened, artifact = fit(bundle, format=format, precision=precision)
    if len(opened.parts(artifact)) > 1 and not opened.task().generates:
        raise UnsupportedConversion(
            f"{artifact.path} has its weights in a file beside it, which is no asset that can be mapped",
            hint="choose another precision",
        )
    if strange := sorted(set(tasks) - {*TASKS, _EVERY_TASK}):
        raise UsageError(f"the Android library has no task {strange[0]}", hint=f"it has {', '.join(TASKS)}")
    key = None if encrypt is None else _key(opened, artifact, encrypt)
    for path in classpath:
        if not Path(path).is_file():
            raise InputError(f"there is no {path}", hint=f"the classpath has {', '.join(_LIKELY)}")
    with staged(Path(out), marker=_MARKER, force=force) as work:
        shutil.copytree(_SOURCES, work, dirs_exist_ok=True)
        write_licences(opened, work)
        _choose_engine(work, _ENGINES[format])
        kept = set(TASKS if _EVERY_TASK in tasks else (opened.manifest.task, *tasks))
        keep_tasks(work, kept if key is None else {*kept, ENCRYPTED})
        (work / _ASSETS).parent.mkdir(parents=True)
        write_assets(opened, artifact, work / _ASSETS, progress=progress)
        if key is not None:
            progress("encrypting the weights")
            _encrypt(work / _ASSETS, [Path(path).name for path in opened.parts(artifact)], key)
        if kotlinc is not None:
            progress("compiling the library")
            _archive(work, str(kotlinc), [Path(path) for path in classpath])
    return artifact


def _key(opened: Bundle, artifact: Artifact, path: str | Path) -> bytes:
    """The key, where it can encrypt that artifact."""
    if artifact.format == "executorch" or weights_of(artifact.path) in opened.parts(artifact):
        raise UnsupportedConversion(
            f"{artifact.path} cannot be encrypted: its engine opens the weights by itself, as a file",
            hint="an encoder in onnx, ort or tflite can, and a decoder in tflite",
        )
    need_cipher()
    return read_key(path)


def _encrypt(assets: Path, names: Sequence[str], key: bytes) -> None:
    """Encrypt what the engine opens, and have the settings say so."""
    there = [name for name in names if (assets / name).is_file()]
    for name in there:
        encrypt_file(assets / name, key)
    with (assets / "model.txt").open("a", encoding="utf-8", newline="\n") as settings:
        settings.writelines(f"encrypted {name}\n" for name in there)  # in front: a library without it names it
        settings.writelines([f"cipher {CIPHER}\n", f"{_KEY_NAME}{key_id(key)}\n"])


def key_notes(project: str | Path) -> list[str]:
    """What to say of an export that opens with a key; nothing of any other."""
    lines = Path(project, _ASSETS, "model.txt").read_text(encoding="utf-8").splitlines()
    names = (line.removeprefix(_KEY_NAME) for line in lines if line.startswith(_KEY_NAME))
    return [f"openEncrypted asks your server for the key {name}: who gets it has the weights" for name in names]


def _choose_engine(work: Path, engine: str) -> None:
    """Leave the one engine's sources, and have the build name its library."""
    for other in _BUILT_WITH.keys() - {engine}:
        for path in (work / _MODULE / "kotlin" / "edgewright").glob(f"{other}*.kt"):
            path.unlink()
    for name in ("build.gradle.kts", "consumer-rules.pro"):
        path = work / "edgewright" / name
        text = path.read_text(encoding="utf-8")
        for before, after in zip(_BUILT_WITH["Onnx"], _BUILT_WITH[engine], strict=True):
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8", newline="\n")


def sizes(project: str | Path) -> str:
    """What such a project adds to an app, in words."""
    files = sorted((path.stat().st_size, path.name) for path in Path(project, _ASSETS).iterdir())
    parts = ", ".join(f"{name} {size / 1e6:.2f}" for size, name in reversed(files))
    said = f"assets have {sum(size for size, _ in files) / 1e6:.2f} MB: {parts}"
    if Path(project, _MODULE, "kotlin", "edgewright", "OnnxRunner.kt").is_file():
        engine = ", ".join(f"{size / 1e6:.0f} MB for {abi}" for abi, size in _ENGINE_BYTES.items())
        said += f"; ONNX Runtime has {engine}"
    archive = Path(project, _ARCHIVE)
    if not archive.is_file():
        return said
    with zipfile.ZipFile(archive) as opened:
        classes = opened.getinfo("classes.jar").file_size
    return f"{said}; {_ARCHIVE} has {archive.stat().st_size / 1e6:.2f} MB, its classes {classes / 1e3:.0f} kB"


def _archive(work: Path, kotlinc: str, classpath: Sequence[Path]) -> None:
    """Put `edgewright.aar` beside the modules: what Gradle would make of the library."""
    with scratch() as place:
        classes = place / "classes.jar"
        _compile(work, kotlinc, [_classes(path, place) for path in classpath], classes)
        lean = _lean(classes, public_classes(work / _MODULE))
        with zipfile.ZipFile(work / _ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
            _put(archive, "AndroidManifest.xml", _MANIFEST.encode())
            _put(archive, "R.txt", b"")
            _put(archive, "proguard.txt", (work / "edgewright" / "consumer-rules.pro").read_bytes())
            _put(archive, "META-INF/com/android/build/gradle/aar-metadata.properties", _METADATA.encode())
            _put(archive, "classes.jar", lean)
            for path in sorted((work / _ASSETS).iterdir()):
                _put(archive, f"assets/edgewright/{path.name}", path.read_bytes())


def _lean(jar: Path, public: set[str]) -> bytes:
    """A jar with what runs, what a stack trace says, and what callers' compilers read of the `public` classes."""
    out = io.BytesIO()
    with zipfile.ZipFile(jar) as made, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in made.namelist():
            data: bytes | None = made.read(name)
            if data is not None and name.endswith(".class"):
                outer = Path(name).stem.partition("$")[0]
                data = lean_class(data, public=outer in public)
            if data is not None:
                _put(archive, name, data)
    return out.getvalue()


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _SAME_TIME), data, zipfile.ZIP_DEFLATED, _SMALLEST)


def _classes(path: Path, scratch: Path) -> Path:
    """A jar as it is, of an archive for Android its classes."""
    if path.suffix != ".aar":
        return path
    jar = scratch / f"{path.stem}.jar"
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("classes.jar").file_size
            if size > _MOST_CLASSES:
                raise InputError(f"classes.jar of {path} has {size} bytes, at most {_MOST_CLASSES} are read")
            jar.write_bytes(archive.read("classes.jar"))
    except (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise InputError(f"{path} is no archive for Android: {error}") from error
    return jar


def _compile(work: Path, kotlinc: str, classpath: Sequence[Path], out: Path) -> None:
    sources = sorted(str(path) for path in (work / _MODULE / "kotlin").rglob("*.kt"))
    against = ["-classpath", os.pathsep.join(map(str, classpath))] if classpath else []
    argv = [kotlinc, "-no-reflect", "-jvm-target", "1.8", *_LEAN, *against, "-d", str(out), *sources]
    try:
        done = run_to_end(argv, timeout_s=_COMPILE_TIMEOUT_S)
    except TimeoutError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise MissingExtra(f"cannot start {kotlinc}: {error.strerror}", hint="give the way to a kotlinc") from error
    if done.code or not out.is_file():
        said = next((line for line in done.lines if "error:" in line), "not a word")
        said = said.replace(f"{work}/", "")
        raise InputError(
            f"{kotlinc} does not compile the library: {said}", hint=f"--classpath wants {', '.join(_LIKELY)}"
        )
