"""`python -m edgewright` is the command `edgewright`, and like it runs no file of the working directory."""

import gc
import os
import sys

__all__ = ["main"]

_BETWEEN_LOOKS = 50_000
"""Objects made before Python looks for cycles among them, 700 of its own: what imports make stays, and looking it
through again and again took a tenth of the way to a first answer. Enough for all of numpy."""


def main() -> None:
    """The command line, see `edgewright.cli.main`; what it consists of is imported now."""
    gc.set_threshold(_BETWEEN_LOOKS, *gc.get_threshold()[1:])

    from edgewright import cli

    cli.main()


def _leave_out_the_working_directory() -> None:
    """Take off what `-m` put first on the import path, see `edgewright.system.interpreter`.

    Where edgewright itself lies there, children get it too.
    """
    dropped = getattr(sys.flags, "safe_path", False) or sys.orig_argv[1:2] == ["-c"]
    if dropped or sys.path[:1] != [_working_directory()]:
        return
    if sys.path[0] != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):  # noqa: PTH100, PTH120 - no import
        del sys.path[0]
    else:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (sys.path[0], os.environ.get("PYTHONPATH"))))


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - the same
    except OSError:  # it was removed, and nothing can be in it
        return ""


if __name__ == "__main__":
    _leave_out_the_working_directory()
    main()
