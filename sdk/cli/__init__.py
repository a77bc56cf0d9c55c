"""The command line. One file per command; the file's name is the command, and only the one that runs is imported."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from typing import Any, NoReturn

import click

from edgewright import registry
from edgewright._version import __version__
from edgewright.cli._options import Room, example
from edgewright.errors import EdgewrightError, MissingExtra, StorageError, UsageError, one_line
from edgewright.system.notices import before_the_first
from edgewright.system.streams import mend

__all__ = ["main"]

_INTERRUPTED = 130
"""As a shell tells SIGINT: 128 + 2."""
_SURROUNDINGS = {
    errno.ENOSPC: ("write", "free some space"),
    errno.EDQUOT: ("write", "the quota is used up; free some space"),
    errno.EFBIG: ("write", "the limit of a file's size is reached (ulimit -f)"),
    errno.EROFS: ("write", "the file system is read-only; choose another place"),
    errno.EIO: ("use", "the disk is failing"),
    errno.EMFILE: ("open", "too many files are open (ulimit -n)"),
    errno.ENFILE: ("open", "too many files are open on this machine"),
    errno.ENOMEM: ("use", "end other programs"),
    errno.EAGAIN: ("use", "too many processes run (ulimit -u)"),
}
"""What a machine runs out of: what could not be done, and what to do next."""


_FILE = "edgewright.toml"
_WITH_SETTINGS = ("build", "bench")
"""Those that a project repeats as they are, and may give options in a file of its own."""
_VERBOSE = ("-v", "--verbose", "--debug")
"""Taken anywhere before `--`: who wants to see more types it behind what went wrong."""


class _Commands(Room):
    room = "cli"
    sections = (
        ("Make and prove", ("build", "inspect", "verify", "eval", "compare")),
        ("Answer", ("run", "serve", "ask")),
        ("Measure", ("bench", "race", "profile", "report")),
        ("Boards", ("devices", "flash", "list", "status", "rollback", "uninstall")),
        ("Pass on", ("push", "pull", "pack", "unpack", "sign", "keys", "export")),
        ("Train and make smaller", ("train", "distill", "pretrain", "compress", "search", "tokenizer", "analyze")),
        ("This machine", ("doctor",)),
    )


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "EDGEWRIGHT"},
    invoke_without_command=True,
    no_args_is_help=False,
    epilog=example("build path/to/model --out sentiment")
    + "\n\nAn option may stand in the environment, such as EDGEWRIGHT_BENCH_THREADS, and those of build and bench in"
    ' edgewright.toml. Completion: eval "$(_EDGEWRIGHT_COMPLETE=bash_source edgewright)", or zsh_source, fish_source.',
)
@click.version_option(__version__, "-V", "--version", prog_name="edgewright")
@click.option("-v", "--verbose", "--debug", is_flag=True, help="Show the traceback of an error, and log more.")
@click.pass_context
def _edgewright(context: click.Context, /, **_: Any) -> None:
    """Small language models on edge devices: converted, proven, measured, installed."""
    name = context.invoked_subcommand
    if name is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)
    if name in _WITH_SETTINGS and os.path.lexists(_FILE):
        _take_settings(context, registry.load("cli", name))


def _take_settings(context: click.Context, command: click.Command) -> None:
    """Options of the project's file count less than those that are typed; that there are some is said."""
    from edgewright.cli._settings import read_settings

    found = read_settings(command)
    if found:
        context.default_map = {str(command.name): found}
        if not {"-q", "--quiet"} & set(context.obj or ()):
            click.echo(f"edgewright: {_FILE} gives {', '.join(found)}", err=True)


def main() -> None:
    """Run the command line and end the process with the exit code of what happened."""
    mend()
    before_the_first(_hear)
    for number in (signal.SIGTERM, signal.SIGHUP):  # a stopped service and a closed terminal clean up as Ctrl-C does
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores one
            signal.signal(number, signal.default_int_handler)
    code = _run(sys.argv[1:])
    if device := sys.modules.get("edgewright.boards.connect"):
        device.disconnect()
    if sources := sys.modules.get("edgewright.model.settle"):
        sources.close()
    if children := sys.modules.get("edgewright.system.preload"):
        children.close()
    _leave(code)


def _hear() -> None:
    from edgewright.cli._notices import show

    show(verbose=_said(sys.argv[1:])[1])


def _leave(code: int) -> NoReturn:
    """End at once: in the usual way some engines' static objects log to standard error as they go."""
    with contextlib.suppress(OSError):  # a full disk was met when the answer was printed
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _run(typed: list[str]) -> int:
    argv, verbose = _said(typed)
    try:
        result = _edgewright.main(argv, prog_name="edgewright", standalone_mode=False, obj=argv)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted; nothing was left behind", _INTERRUPTED)
    except click.ClickException as error:
        return _misused(error)
    except EdgewrightError as error:
        return _fail(error, error.exit_code, verbose=verbose)
    except (SystemExit, BrokenPipeError) as end:
        return _unread(end)
    except Exception as error:  # noqa: BLE001 - the last resort: one line and exit code 70
        problem = _problem(error).with_traceback(error.__traceback__)
        return _fail(problem, problem.exit_code, verbose=verbose)
    return result if isinstance(result, int) else 0


def _misused(error: click.ClickException) -> int:
    """One line; of a group that was asked for nothing, its help."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context and type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later raise it
        click.echo(context.get_help(), err=True)
        return 2
    words = error.format_message()
    if context and isinstance(error, click.MissingParameter):
        words += _shown(context)
    if context and isinstance(error, click.NoSuchOption):
        words += _dashed(context.command)
    return _say(words, 2)


def _shown(context: click.Context) -> str:
    """The command as it is used, and where the rest is said."""
    used = (context.command.epilog or "").partition("Example:\n  ")[2].partition("\n")[0]
    return f"{f' As in: {used};' if used else ''} {context.command_path} --help says all"


def _dashed(command: click.Command) -> str:
    """What helps where a text was taken for an option, of a command that takes texts."""
    texts = [one for one in command.params if isinstance(one, click.Argument) and one.nargs < 0]
    return f" What begins with - and is no option comes behind --, as in: {command.name} … -- '-1'" if texts else ""


def _unread(end: SystemExit | BrokenPipeError) -> int:
    """The exit code where whoever reads the answer has gone, for which click ends the process by itself."""
    told = type(sys.stdout).__name__.endswith("PacifyFlushWrapper")  # so click leaves it where a pipe broke
    cause = end.__context__
    if isinstance(end, SystemExit) and not (told or (isinstance(cause, OSError) and cause.errno == errno.EPIPE)):
        return end.code if isinstance(end.code, int) else 1
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _problem(error: Exception) -> EdgewrightError:
    """What no other error narrows: the surroundings, or a bug of ours."""
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _SURROUNDINGS):
        where = error.filename if error.filename is not None else "the answer"
        what, hint = _SURROUNDINGS.get(error.errno or 0, ("use", "is it there, and may this user use it?"))
        return StorageError(f"cannot {what} {where}: {error.strerror}", hint=hint)
    if isinstance(error, OSError) and "temporary directory" in str(error):
        return StorageError(one_line(str(error.strerror)), hint="set TMPDIR to a directory that can be written")
    if isinstance(error, MemoryError):
        return StorageError("there is not enough memory", hint="end other programs, or take a smaller file")
    if isinstance(error, UnicodeEncodeError) and error.encoding == sys.getfilesystemencoding().replace("-", "_"):
        what = f"a name cannot be written in this locale's encoding, {sys.getfilesystemencoding()}"
        return UsageError(what, hint="set LC_ALL=C.UTF-8, or rename the file")
    if isinstance(error, ModuleNotFoundError) and str(error.name).startswith("edgewright."):
        what = f"this edgewright is a board's part alone, without {error.name}"
        return MissingExtra(what, hint="do it on a workstation, or install the whole of edgewright")
    hint = "this is a bug; run again with --verbose and report it"
    return EdgewrightError(f"{type(error).__name__}: {error}", hint=hint)


def _said(argv: list[str]) -> tuple[list[str], bool]:
    """The words without those for more to be shown, and whether there were any."""
    end = argv.index("--") if "--" in argv else len(argv)
    kept = [word for word in argv[:end] if word not in _VERBOSE]
    verbose = len(kept) < end or os.environ.get("EDGEWRIGHT_VERBOSE", "") not in ("", "0")
    return [*kept, *argv[end:]], verbose


def _fail(error: EdgewrightError, code: int, *, verbose: bool) -> int:
    if verbose:
        import traceback

        traceback.print_exception(error)
    return _say(f"{error.code}: {error}", code)


def _say(words: str, code: int) -> int:
    click.echo(f"edgewright: {one_line(words)}", err=True)
    return code
