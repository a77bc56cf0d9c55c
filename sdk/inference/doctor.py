"""What is installed here, what is missing, and the pip line that mends it."""

from __future__ import annotations

import gc
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata, resources, util
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from edgewright import registry
from edgewright.errors import EdgewrightError, MissingExtra, one_line
from edgewright.inference.engines import engines_of
from edgewright.system.child import Child, Limits, call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgewright.contracts.engine import Runtime

__all__ = ["IMPORT", "ImportRequest", "android", "examine", "import_in_child", "require_engine"]

_REMEDIES = {
    "SIGILL": "this processor lacks an instruction that the engine was built with; take another version or engine",
    "ran out of memory": "end other programs, or give this one more memory",
    "GLIBC": "the engine was built for a newer system; take an older version, or upgrade the system",
    "wrong ELF class": "the engine was built for another processor; install it anew here",
}
"""By what an import ends with."""


class ImportRequest(Struct, frozen=True):
    """Modules that may end their process."""

    modules: tuple[str, ...]


_AT_ONCE = 2
"""A choice: some imports take seconds of one core and 500 MB, so that two at a time fit a small machine too."""
IMPORT = Child("edgewright.inference.doctor:import_in_child", ImportRequest, type(None))


def examine() -> list[dict[str, Any]]:
    """A row for each format's converter and each engine: ready or not, versions, and the remedy."""
    parts = []
    engines = [registry.load("runtimes", name)() for name in registry.names("runtimes")]
    for name in registry.names("converters"):
        converter = registry.load("converters", name)
        parts.append(_Part(f"convert to {name}", converter.requires, converter.requires, converter.extra))
    for runtime in (engine for engine in engines if not _spare(engine, engines)):
        what = f"run {', '.join(runtime.formats)} on {runtime.engine}"
        parts.append(_Part(what, (runtime.module,), (runtime.package,), runtime.extra))
    every = dict.fromkeys(name for part in parts if not part.missing() for name in part.modules)
    problems = _problems(tuple(every))
    return [part.row(problems) for part in parts]


def _problems(modules: Sequence[str]) -> dict[str, str]:
    """Why each does not import, "" where it does; together first, in half the time, as they share the large."""
    if not _problem(*modules):
        return dict.fromkeys(modules, "")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(modules, pool.map(_problem, modules), strict=True))


def android() -> tuple[str, ...]:
    """How to get what `flash` puts on an Android device without Python, a line each."""
    source, core = (
        resources.files("edgewright.devices") / "run.c",
        resources.files("edgewright.exporting") / "c_project",
    )
    ndk = "$ANDROID_NDK_HOME/toolchains/llvm/prebuilt/linux-x86_64/bin"
    return (
        f"adb          {shutil.which('adb') or 'missing: apt install adb, or the platform tools of Android'}",
        f"--runner     {ndk}/aarch64-linux-android28-clang -O2 -I{core} -o edgewright-run {source} -ldl",
        "--engine     jni/arm64-v8a/libLiteRt.so of LiteRT's AAR, com.google.ai.edge.litert:litert on Google's Maven,",
        "             or the one that the app has already; releases 2.1.3 to 2.3 are known to work on Linux",
        "then         edgewright flash BUNDLE adb://SERIAL --runner edgewright-run --engine libLiteRt.so",
        "or           a Python that adb's shell may run (--python); that of Termux it may not, but Termux has an sshd:",
        "             pkg install openssh python, and an engine there, then ssh://USER@PHONE",
    )


def require_engine(formats: Sequence[str]) -> None:
    """Raise MissingExtra where no engine that opens one of `formats` is installed and imports."""
    engines = [engine for name in formats for engine in engines_of(name)]
    modules = dict.fromkeys(engine.module for engine in engines if engine.installed())
    problems = []
    for module in modules:
        problem = _problem(module)
        if not problem:
            return
        problems.append(f"{module} {problem}")
    install = f"run: {registry.install_line(engines[0].extra if engines else 'onnx')}"
    found = "; ".join(problems) or "none is installed"
    raise MissingExtra(f"no engine opens {' or '.join(formats)}: {found}", hint=_remedy(found) or install)


def _spare(engine: Runtime, engines: Sequence[Runtime]) -> bool:
    """Whether an engine is not installed and not needed: another one opens all of its formats."""
    others = [other for other in engines if other.installed()]
    return engine not in others and all(any(f in other.formats for other in others) for f in engine.formats)


class _Part(NamedTuple):
    """What can be here or not, and what it needs."""

    what: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str

    def missing(self) -> list[str]:
        return [name for name in self.modules if util.find_spec(name) is None]

    def row(self, problems: Mapping[str, str]) -> dict[str, Any]:
        missing = self.missing()
        broken = "" if missing else "; ".join(f"{name} {problems[name]}" for name in self.modules if problems[name])
        lacks = f"does not import: {broken}" if broken else "ready"
        return {
            "what": self.what,
            "state": f"missing: {', '.join(missing)}" if missing else lacks,
            "versions": ", ".join(f"{name} {_version(name)}" for name in self.packages if _version(name)) or None,
            "remedy": _remedy(broken) or registry.install_line(self.extra) if missing or broken else None,
        }


def _problem(*modules: str) -> str:
    """Why modules do not import, "" where they do; tried in a child: an engine may die of the wrong CPU."""
    try:
        call(IMPORT, ImportRequest(modules), limits=Limits(timeout_s=120))
    except EdgewrightError as error:
        how = error.message.removeprefix(f"{IMPORT.name} ")
        words = error.hint.removeprefix("its last words: ")
        return how if how.startswith(("died", "was killed", "took")) else f"does not import: {one_line(words, 200)}"
    return ""


def _remedy(problem: str) -> str:
    """What helps where a pip line does not: the engine is installed, and this machine cannot run it."""
    return next((remedy for words, remedy in _REMEDIES.items() if words in problem), "")


def import_in_child(request: ImportRequest, progress: Callable[[str], None]) -> None:
    """The child's side of the question whether modules import."""
    del progress
    gc.disable()  # a quarter of the time goes into looking for garbage that imports do not make
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    for module in request.modules:
        __import__(module)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
