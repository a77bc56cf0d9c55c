"""A runner for this machine or an emulated board, compiled as a user does it, and the engine of the installed wheel."""

import subprocess
from pathlib import Path

from debian import need

SOURCE = Path(__file__).parents[1] / "devices" / "run.c"
CORE = Path(__file__).parents[1] / "sdk" / "exporting" / "c_project"
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Werror")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compiled(out, compiler="gcc", package="gcc", flags=("-O2",), source=SOURCE):
    """Compile the runner, or skip with the reason."""
    need(compiler, package)
    subprocess.run([compiler, *STRICT, *flags, f"-I{CORE}", str(source), "-o", str(out), "-ldl"], check=True)
    return out


def engine():
    """The library of LiteRT that the wheel for this machine has."""
    import ai_edge_litert

    return Path(ai_edge_litert.__file__).parent / "libLiteRt.so"
