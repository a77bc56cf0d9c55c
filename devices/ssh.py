"""A device behind the system's OpenSSH: `ssh://[user@]host[:port]`, where the host may be a name of `~/.ssh/config`.

The user's configuration counts: keys, agent, jump hosts, known_hosts, and a shared connection of their own. The device
needs an ssh server, OpenSSH's or Dropbear's, and a POSIX shell; no sftp. Every command there is framed by marks, which
tell what a login prints from what the command prints, and ssh's own exit code 255 from the command's.
"""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import weakref
from functools import cached_property
from typing import IO, TYPE_CHECKING

from edgewright.contracts.transport import Completed, Transport
from edgewright.devices._ways.copy import patience_s, pull, push
from edgewright.devices._ways.process import capture
from edgewright.devices._ways.ssh_master import Master, options
from edgewright.devices._ways.ssh_words import failure
from edgewright.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Ssh"]

_ADDRESS = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,126})@)?"
    r"(?:\[(?P<number>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]|(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_MARKED = 'trap "" PIPE; echo "$1"; echo "$1" >&2; m=$1; shift; "$@"; echo "$m $?" >&2'
"""Keeps what has come even where the answer finds no way back."""
_OPEN_S = 60.0
"""A choice: connecting, a jump host and a slow board's key exchange; nobody is asked for a password."""
_ASK_S = 20.0
"""A choice: a question to ssh itself or one small program, on a board that is busy."""
_WORTH_RSYNC_BYTES = 2**18
"""A choice: below it the two questions before an rsync cost more than it can save."""


class Ssh(Transport):
    """The transport `ssh`."""

    def __init__(self, host: str, *, user: str = "", port: int = 0) -> None:
        self.host, self.user, self.port = host, user, port
        self._master: Master | None = None
        self._greeting = ""
        self._reached = False
        self._end = weakref.finalize(self, lambda: None)

    @classmethod
    def at(cls, rest: str) -> Ssh:
        """What `[user@]host[:port]` names; an IPv6 address stands in brackets. Raises UsageError."""
        found = _ADDRESS.fullmatch(rest)
        port = int(found["port"] or 0) if found else 0
        if found is None or port > 65535 or found["port"] in ("0", "00"):
            raise UsageError(f"ssh://{rest} is no address", hint="give ssh://host, or ssh://user@host:port")
        return cls(found["number"] or found["host"], user=found["user"] or "", port=port)

    @property
    def target(self) -> str:
        """The device as ssh's command line names it, without the port."""
        return f"{self.user}@{self.host}" if self.user else self.host

    def close(self) -> None:
        """End the shared connection."""
        self._end()
        self._master = None

    # the command lines

    @cached_property
    def _settings(self) -> dict[str, str]:
        """What the user's configuration says of the device."""
        done = _here(["ssh", "-G", *self._place()])
        if done.exit_code != 0:
            raise self._failure(done, started=False)
        return dict(line.partition(" ")[::2] for line in done.stdout.decode(errors="replace").splitlines())

    def _place(self) -> list[str]:
        port = ["-p", str(self.port)] if self.port else []
        return [*port, *(["-l", self.user] if self.user else []), "--", self.host]

    def _ssh(self) -> list[str]:
        """The program and its options, on the shared connection; the place and the command follow."""
        words = ["ssh", *options(self._settings)]
        if self._settings.get("controlpath", "none") != "none":
            return words  # the user shares connections already
        if self._master is None or not self._master.alive():
            self._connect(words)
        return [*words, *(self._master.arguments() if self._master else [])]

    def _connect(self, words: list[str]) -> None:
        self.close()
        master = Master()
        self._end = weakref.finalize(self, master.close)
        if master.open([*words, *master.arguments("yes"), *self._place(), "exec cat"], _OPEN_S):
            self._master, self._reached = master, True
            self._greeting = master.printed()  # the server's banner, which is the cause of nothing that comes later
            return
        said = Completed(255, b"", master.words().encode())
        self.close()
        raise self._failure(said, started=False)

    # what a transport does

    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed:
        return self._far(argv, timeout_s=timeout_s, stdin=stdin)

    def _far(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes | IO[bytes] = b"") -> Completed:
        mark = secrets.token_hex(12)
        command = f"exec /bin/sh -c {shlex.quote(_MARKED)} sh {mark} {shlex.join(argv)}"
        whole, name = [*self._ssh(), *self._place(), command], f"{argv[0]} on {self.target}"
        try:
            said = capture(whole, stdin=stdin, timeout_s=timeout_s, name=name)
        except DeviceError as error:
            raise DeviceError(error.message, hint="it may go on there") from error
        done = _unmarked(said, mark.encode())
        if done is None:
            raise self._failure(said, started=mark.encode() in said.stdout + said.stderr)
        self._reached = True
        return done

    def _failure(self, said: Completed, *, started: bool) -> DeviceError:
        words = said.stderr.decode(errors="replace")
        if self._master is not None:
            words = self._master.words().removeprefix(self._greeting) + words
        broke = started or said.exit_code < 0 or (said.exit_code == 255 and self._reached)
        facts = {"target": self.target, "port": self.port, "started": broke}
        offered = self._offered() if "ost key" in words or "IDENTIFICATION" in words else ""
        return failure(words, **facts, reached=self._reached, offered=offered)  # type: ignore[arg-type]

    def _offered(self) -> str:
        """The host key that the device shows, such as `ssh-ed25519 SHA256:...`; ssh prints it in its log."""
        done = _here(["ssh", *options({}), "-o", "LogLevel=DEBUG1", "-v", *self._place(), "true"])
        keys = re.findall(r"Server host key: (\S+ SHA256:[A-Za-z0-9+/=]+)", done.stderr.decode(errors="replace"))
        return keys[-1] if keys else ""

    def _push(self, here: Path, there: str) -> None:
        large = here.stat().st_size >= _WORTH_RSYNC_BYTES
        push(self._far, here, there, fast=lambda: large and self._rsync(here, there))

    def _pull(self, there: str, here: Path) -> None:
        pull(self._far, there, here)

    @cached_property
    def _has_rsync(self) -> bool:
        """Whether both ends have it."""
        there = ["sh", "-c", "command -v rsync"]
        return shutil.which("rsync") is not None and self._far(there, timeout_s=_ASK_S).exit_code == 0

    def _rsync(self, here: Path, there: str) -> bool:
        """Let rsync send a file, in place: what it leaves when it is cut is a beginning. Says whether it tried."""
        if not self._has_rsync:
            return False
        shell = [*self._ssh(), *self._place()[:-2]]
        host = f"[{self.host}]" if ":" in self.host else self.host
        words = ["rsync", "--inplace", "-s", "--chmod=u=rw,go=r", "--timeout=60", "-e", shlex.join(shell)]
        limit_s = patience_s(here.stat().st_size)
        return capture([*words, "--", str(here), f"{host}:{there}"], timeout_s=limit_s).exit_code >= 0


def _here(argv: list[str]) -> Completed:
    try:
        return capture(argv, timeout_s=_ASK_S)
    except FileNotFoundError as error:
        raise DeviceError("there is no ssh on this machine", hint="install OpenSSH's client: openssh-client") from error


def _unmarked(said: Completed, mark: bytes) -> Completed | None:
    """What the command itself printed, and its exit code; None where it did not come to its end."""
    _, first, out = said.stdout.partition(mark + b"\n")
    _, second, rest = said.stderr.partition(mark + b"\n")
    err, last, code = rest.rpartition(mark + b" ")
    digits = code.split(b"\n")[0]
    if not (first and second and last and digits.isdigit()):
        return None
    return Completed(int(digits), out, err)
