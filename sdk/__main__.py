"""`python -m edgewright` is the command `edgewright`, and like it runs no file of the working directory."""

import os
import sys

__all__: list[str] = []


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

    from edgewright.cli import main

    main()
