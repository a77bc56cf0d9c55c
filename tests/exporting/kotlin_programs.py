"""The Kotlin library compiled and run on the JVM, for tests and `tools/android_answers.py`.

`tools/android_setup` gets what it takes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from c_programs import engine as library

from edgewright.exporting import android, kotlin_sources
from edgewright.exporting.class_file import lean_class

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KIT = ROOT / "build" / "android"
PROJECT = ROOT / "sdk" / "exporting" / "android_project"
WAYS = ("-no-stdlib", "-no-reflect", "-jvm-target", "1.8", *android._LEAN, "-Werror")
COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
SHORT = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx1g")
"""Of a JVM that is over before its own best code pays: the compiler takes half of the processor's time."""
LEAN = ROOT / "sdk" / "exporting" / "class_file.py"
ENGINES = {"Onnx": "onnxruntime-android.jar", "LiteRt": "litert.jar", "ExecuTorch": "executorch.jar"}
"""Of an engine its own Java classes in the kit. There is no package of LiteRT's: they are compiled of its sources."""
FORWARD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
const void *OrtGetApiBase(void)
{
    void *library = dlopen(getenv("EW_ENGINE"), RTLD_NOW | RTLD_LOCAL);
    void *base = library ? dlsym(library, "OrtGetApiBase") : 0;
    return base ? ((const void *(*)(void))base)() : 0;
}
const void *OrtSessionOptionsAppendExecutionProvider_CPU(void *a, int b) { return (void)a, (void)b, (void *)0; }
"""
"""A library under the name that the Java interface is linked to, which passes on to the one that EW_ENGINE names: so
that Kotlin and Python have the same engine."""


def missing() -> str:
    """Why nothing can be compiled here, "" where it can."""
    if shutil.which("java") is None:
        return "there is no JDK: apt install openjdk-17-jdk-headless"
    return (
        ""
        if (KIT / "onnxruntime-java.jar").exists()
        else "tools/android_setup gets the Kotlin compiler and the engine's Java interface"
    )


def jars(*names: str) -> str:
    found = [path for name in names for path in sorted(KIT.glob(name))]
    return os.pathsep.join(map(str, found))


def sources(engine: str = "Onnx") -> list[Path]:
    """The library on an engine, the sample and the tests' programs.

    Of LiteRT and ExecuTorch there is no Java library for the JVM: what stands for theirs asks the engine itself.
    """
    others = tuple({"Onnx", "LiteRt", "ExecuTorch"} - {engine})
    library = [path for path in sorted(PROJECT.rglob("*.kt")) if not path.name.startswith(others)]
    return [*library, *sorted(HERE.glob("*.kt")), *sorted((HERE / "engines").glob(f"{engine}.kt"))]


def compiled(engine: str = "Onnx") -> Path:
    """The classes of all sources against android.jar and onnxruntime-android's, as an archive has them.

    They are made once for each state of the sources.
    """
    every = sources(engine)
    state = b"".join(path.read_bytes() for path in (*every, LEAN)) + repr(WAYS).encode()
    state = hashlib.sha256(state).hexdigest()[:16]
    out = KIT / f"{engine}-{state}"
    if not out.exists():
        own = out.with_name(f"{out.name}.{os.getpid()}")
        against = jars("kotlin/*.jar", "onnxruntime-android.jar", "android.jar")
        argv = ["java", *SHORT, "-cp", jars("kotlin/*.jar"), COMPILER, *WAYS, "-cp", against, "-d", str(own)]
        done = subprocess.run([*argv, *map(str, every)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        _make_lean(own / "edgewright")
        for old in [*KIT.glob(f"{engine}-*"), *KIT.glob(f"programs-{engine}-*")]:
            if old != own:
                shutil.rmtree(old, ignore_errors=True)
        own.rename(out)
    return out


def classpath(engine: str = "Onnx") -> list[Path]:
    """What an export's compiler compiles the library against."""
    coroutines = sorted(KIT.glob("kotlin/kotlin-jupyter*.jar"))  # which has them
    return [*coroutines, KIT / "android.jar", KIT / ENGINES[engine]]


def shipped(project: Path, out: Path) -> Path:
    """The classes of an export's archive."""
    with zipfile.ZipFile(project / "edgewright.aar") as archive:
        out.write_bytes(archive.read("classes.jar"))
    return out


def compiler(place: Path, *words: str) -> Path:
    """A Kotlin compiler as a file to be started, which is always given `words`."""
    argv = ["java", *SHORT, "-cp", f"'{jars('kotlin/*.jar')}'", COMPILER, "-kotlin-home", str(KIT / "home"), *words]
    place.write_text(f'#!/bin/sh\nexec {" ".join(argv)} "$@"\n')
    place.chmod(0o755)
    return place


def _programs(engine: str) -> Path:
    """The classes of the tests' programs and of what stands for an engine, without those of the library."""
    classes = compiled(engine)
    out = classes.with_name(f"programs-{classes.name}")
    if not out.exists():
        own = out.with_name(f"{out.name}.{os.getpid()}")
        shutil.copytree(classes, own)
        for path in of_library(own):
            path.unlink()
        own.rename(out)
    return out


def exported(engine: str, tasks: tuple[str, ...]) -> tuple[Path, Path]:
    """What `--kotlinc` makes of an engine and tasks, whatever the bundle: the project and its archive's classes.

    They are made once for each state of the sources; a warning of the compiler's is an error.
    """
    made_of = [path for path in PROJECT.rglob("*") if path.is_file()]
    made_of += [PROJECT.with_name(f"{name}.py") for name in ("android", "class_file", "kotlin_sources")]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(made_of))).hexdigest()[:16]
    every = KIT / f"exported-{state}"
    out = every / f"{engine}-{hashlib.sha256(repr(tasks).encode()).hexdigest()[:16]}"
    if not out.exists():
        every.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=every) as scratch:
            own = Path(scratch, "project")
            shutil.copytree(PROJECT, own)
            android._choose_engine(own, engine)
            kotlin_sources.keep_tasks(own, set(tasks))
            (own / android._ASSETS).mkdir(parents=True)
            android._archive(own, str(compiler(own / "kotlinc", "-Werror")), classpath(engine))
            shipped(own, own / "classes.jar")
            own.rename(out)
        for old in KIT.glob("exported-*"):
            if old != every:
                shutil.rmtree(old, ignore_errors=True)
    return out, out / "classes.jar"


def of_library(classes: Path) -> dict[Path, str]:
    """Of the library's classes the sources that they are made of."""
    programs = {path.stem for path in HERE.glob("*.kt")}
    of = {path: _source(path.read_bytes()) for path in (classes / "edgewright").glob("*.class")}
    return {path: source for path, source in of.items() if source not in programs}


def _source(data: bytes) -> str:
    """A class file ends with the attributes of the class, of which SourceFile is a name in the pool."""
    names = re.findall(rb"\x01\x00.([A-Z]\w+)\.kt", data, re.DOTALL)
    return names[0].decode() if len(names) == 1 else ""


def _make_lean(classes: Path) -> None:
    public = kotlin_sources.public_classes(PROJECT) | kotlin_sources.public_classes(HERE)
    for path in classes.glob("*.class"):
        lean = lean_class(path.read_bytes(), public=path.stem.partition("$")[0] in public)
        if lean is None:
            path.unlink()
        else:
            path.write_bytes(lean)


def program(
    place: Path,
    name: str,
    *,
    java: str = "java",
    ways: tuple[str, ...] = (),
    engine: str = "Onnx",
    needs: Mapping[str, object] | None = None,
    shipped: Path | None = None,
) -> Path:
    """A program of the tests' sources, `Tokens` or another, as a file to be started; `needs` is its environment.

    `shipped` is a jar of an export, which is then all that the program has of the library.
    """
    argv = [java, *ways, f"-Donnxruntime.native.path={_forward()}", "-cp"]
    kept = jars("kotlin/kotlin-stdlib*", "kotlin/kotlin-jupyter*", "onnxruntime-java.jar", "json.jar")
    own = [shipped, _programs(engine)] if shipped else [compiled(engine)]
    argv += [os.pathsep.join(map(str, [*own, kept]))]
    names = [f"export {name}={value}" for name, value in (needs or {"EW_ENGINE": library()}).items()]
    lines = ["#!/bin/sh", *names, f'exec {" ".join(argv)} edgewright.{name}Kt "$@"', ""]
    place.write_text("\n".join(lines))
    place.chmod(0o755)
    return place


def _forward() -> Path:
    """The directory of the Java interface's library, beside it one that is named like the engine."""
    out = KIT / "engine"
    if not out.exists():
        own = out.with_name(f"engine.{os.getpid()}")
        own.mkdir()
        shutil.copy(KIT / "native" / "libonnxruntime4j_jni.so", own)
        (own / "forward.c").write_text(FORWARD)
        flags = ["-shared", "-fPIC", "-Wl,-soname,libonnxruntime.so.1"]
        argv = ["gcc", *flags, "-o", "libonnxruntime.so", "forward.c", "-ldl"]
        subprocess.run(argv, cwd=own, check=True, capture_output=True)
        own.rename(out)
    return out
