"""What is known of boards, and what follows from it: one TOML file each, every table with its sources.

Those of the project lie in `devices/profiles`. A user's own are taken from `$XDG_CONFIG_HOME/edgewright/profiles`, from
the directory that `$EDGEWRIGHT_PROFILES` names, and from `--profiles`; the later one wins where two have a name.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from edgewright import registry
from edgewright.contracts.precision import PRECISIONS, Precision, known
from edgewright.errors import StorageError, UsageError, did_you_mean
from edgewright.inference.engines import engines_of, formats
from edgewright.system.files import home
from edgewright.system.shown import brief
from edgewright.system.toml import read_toml, record

__all__ = [
    "Accelerator",
    "Cluster",
    "Cpu",
    "Engine",
    "Memory",
    "Profile",
    "Recognized",
    "Run",
    "Storage",
    "System",
    "board_profiles",
    "named",
    "read_profile",
    "wanted",
    "written_profiles",
]

_Words: TypeAlias = Annotated[str, Meta(min_length=1, max_length=300)]
"""A choice: two lines of a table; what is longer is no name, and no title of a source."""
_Count: TypeAlias = Annotated[int, Meta(ge=1)]
_Sources: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^\S.*, (https://\S+|measured: .+)\Z", max_length=300)], ...], Meta(min_length=1)
]
"""Each a short title and an address, or how it was measured."""

_Instruction: TypeAlias = Literal[
    "neon", "crc32", "fp16", "dotprod", "i8mm", "bf16", "sve", "sve2", "sse4.2", "avx", "avx2", "fma", "f16c"
]
_Cell: TypeAlias = Annotated[str, Meta(pattern=rf"^[a-z]+/({'|'.join(PRECISIONS)})\Z")]


class Cluster(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Cores of one kind.

    Attributes:
        core: the kind, such as `Cortex-A72`.
        count: how many.
        clock_mhz: the highest clock that the board ships with.
        part: implementer and part number, as Linux shows them in /proc/cpuinfo: `0x41:0xd08`.
        fp32_macs_per_cycle: float32 multiply-accumulates that one core can begin in a cycle; what others a cycle holds
            follows from the instruction sets.
    """

    core: _Words
    count: _Count
    clock_mhz: _Count | None = None
    part: Annotated[str, Meta(pattern=r"^0x[0-9a-f]{2}:0x[0-9a-f]{3}\Z")] | None = None
    fp32_macs_per_cycle: _Count | None = None


class Cpu(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The processor; of a generic profile the least that is asked of it, with no clusters."""

    architecture: Literal["aarch64", "x86_64"]
    instructions: tuple[_Instruction, ...]
    clusters: tuple[Cluster, ...] = ()
    sources: _Sources

    @property
    def byte_dots(self) -> bool:
        """Whether engines have fast products of blocks of bytes; on Arm they are made of FEAT_DotProd's."""
        return self.architecture != "aarch64" or "dotprod" in self.instructions


class Memory(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Main memory: the sizes that are sold, and the bandwidth of its interface, 10^9 bytes per second."""

    ram_mib: tuple[_Count, ...] = ()
    kind: _Words | None = None
    read_gb_s: Annotated[float, Meta(gt=0)] | None = None
    sources: _Sources


class Storage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds the files."""

    kinds: tuple[_Words, ...]
    sources: _Sources


class Accelerator(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What computes beside the processor, whether an engine of edgewright uses it or not."""

    kind: Literal["gpu", "npu", "dla", "dsp", "tpu"]
    name: _Words
    sources: _Sources


class System(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Operating systems that the vendor ships, and the Python that comes with the first of them."""

    os: tuple[_Words, ...]
    python: Annotated[str, Meta(pattern=r"^3\.\d+\Z")] | None = None
    sources: _Sources


class Engine(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An engine that installs there, by its key, and how."""

    name: _Words
    install: _Words
    sources: _Sources


class Recognized(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a probe tells the board: by its name, in which `*` stands for anything, else by its kinds of cores.

    Attributes:
        models: patterns of /proc/device-tree/model; the longest that fits wins.
        products: patterns of Android's `ro.product.model`.
        generic: whether it stands for all boards of its architecture, on `linux` or `android`, that no other knows.
    """

    models: tuple[_Words, ...] = ()
    products: tuple[_Words, ...] = ()
    generic: Literal["linux", "android"] | None = None
    sources: _Sources


class Run(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What follows.

    Attributes:
        prefer: `format/precision`, the best first.
        threads: of the engine.
        affinity: the kinds of cores to keep to, all if empty.
        reason: why, and whether it has been measured.
    """

    prefer: Annotated[tuple[_Cell, ...], Meta(min_length=1)]
    threads: _Count
    affinity: tuple[_Words, ...] = ()
    reason: Annotated[str, Meta(min_length=1, max_length=600)]


class Profile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A board, or a kind of boards."""

    name: _Words
    vendor: _Words
    cpu: Cpu
    memory: Memory
    storage: Storage | None = None
    accelerators: tuple[Accelerator, ...] = ()
    system: System
    engines: tuple[Engine, ...] = ()
    recognized: Recognized
    run: Run

    def __repr__(self) -> str:
        cores = " + ".join(f"{one.count} {one.core}" for one in self.cpu.clusters)
        return brief(self, f"{self.vendor} {self.name}", cores, f"prefers {self.run.prefer[0]}")


def read_profile(path: Path) -> Profile:
    """A profile from its file.

    Raises:
        UsageError: not TOML, an unknown or missing field, a value that is not allowed, or tables that contradict.
    """
    profile: Profile = record(read_toml(path)[1], Profile, str(path))
    problem = _problem(profile)
    if problem:
        raise UsageError(f"{path}: {problem}")
    return profile


def _problem(profile: Profile) -> str:
    """What contradicts itself, in words."""
    cores = {cluster.core: cluster.count for cluster in profile.cpu.clusters}
    known = {"engines": registry.names("runtimes"), "run.prefer": formats()}
    given = {
        "engines": [engine.name for engine in profile.engines],
        "run.prefer": [cell.partition("/")[0] for cell in profile.run.prefer],
    }
    for path, names in given.items():
        for name in names:
            if name not in known[path]:
                return f"{path} names {name!r}{did_you_mean(name, known[path])}; allowed: {', '.join(known[path])}"
    for core in profile.run.affinity:
        if core not in cores:
            return f"run.affinity names {core!r}{did_you_mean(core, cores)}; cpu.clusters has {', '.join(cores)}"
    if cores and profile.run.threads > sum(cores.values()):
        return f"run.threads is {profile.run.threads}, cpu.clusters has {sum(cores.values())} cores"
    opened = {name: [engine.engine for engine in engines_of(name)] for name in given["run.prefer"]}
    stray = [name for name, engines in opened.items() if given["engines"] and not set(engines) & set(given["engines"])]
    return (
        f"run.prefer names {stray[0]!r}, which none of its engines opens; give one of {', '.join(opened[stray[0]])}"
        if stray
        else ""
    )


def written_profiles(directory: str | Path | None = None) -> dict[str, Path]:
    """The file of every profile by its name, which is the file's: the project's, and those of the user."""
    folders = [Path(str(resources.files("edgewright.devices"))) / "profiles"]
    with suppress(StorageError):  # a user without a home has no profiles there
        folders.append(home("XDG_CONFIG_HOME", ".config") / "edgewright" / "profiles")
    asked = [Path(given) for given in (os.environ.get("EDGEWRIGHT_PROFILES"), directory) if given]
    folders += asked
    missing = next((folder for folder in asked if not folder.is_dir()), None)
    if missing:
        raise UsageError(f"{missing} is no directory of profiles", hint="it holds NAME.toml files")
    return dict(sorted({path.stem: path for folder in folders for path in folder.glob("*.toml")}.items()))


def board_profiles(directory: str | Path | None = None) -> dict[str, Profile]:
    """Every profile by its name, those in a directory of the user's too. Raises UsageError where a file is bad."""
    return {name: read_profile(path) for name, path in written_profiles(directory).items()}


def named(name: str, directory: str | Path | None = None) -> Profile:
    """The profile called `name`, or the one board that people call so: `pi4` is raspberry-pi-4.

    Raises:
        UsageError: there is none, or its file is bad.
    """
    files = written_profiles(directory)
    short = [] if name in files else [each for each in files if len(name) > 2 and _plain(each).endswith(_plain(name))]
    if len(short) == 1:
        return read_profile(files[short[0]])
    if name not in files:
        raise UsageError(f"no profile {name!r}{did_you_mean(name, files)}", hint=f"profiles: {', '.join(files)}")
    return read_profile(files[name])


def _plain(name: str) -> str:
    """A name without what people leave out or write in another way."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def wanted(
    profile: Profile, formats: tuple[str, ...] = (), precisions: tuple[Precision, ...] = ()
) -> dict[str, list[Precision]]:
    """Precisions by format that a board runs best, in its order; what is given explicitly wins over the profile.

    A format that the profile does not know comes at its precisions of the other formats. What only the board itself
    can make is left out, unless it is asked for.
    """
    cells = [(name, known(precision)) for name, _, precision in (cell.partition("/") for cell in profile.run.prefer)]
    usual = dict.fromkeys(precision for _, precision in cells)
    chosen = formats or dict.fromkeys(name for name, _ in cells if not registry.load("converters", name).made_there)
    own = {name: [precision for other, precision in cells if other == name] for name in chosen}
    return {name: list(precisions) or own[name] or list(usual) for name in chosen}
