"""What ssh's own words mean: one error with what to do next for each."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgewright.errors import ConnectionLost, DeviceError, one_line

__all__ = ["failure"]


_CAUSE_LINES = 3
"""A choice: ssh says why it ends in one to three lines, the last that it prints."""


class _Kind(NamedTuple):
    """A pattern in what ssh prints, and the error; `way` for what passes, or may come back, with the network.

    It is looked for at the end, where a server's banner is not; `everywhere` for what ssh frames in many lines.
    """

    pattern: str
    what: str
    hint: str
    way: bool = False
    everywhere: bool = False


_KINDS = (
    _Kind(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|[Hh]ost key .* has changed",
        "{name} has another host key than the one in known_hosts{place}{offered}; nothing was sent",
        "if the board was set up anew, run: ssh-keygen -R '{known}', then: {line}; otherwise someone is in between",
        everywhere=True,
    ),
    _Kind(
        r"Host key verification failed|host key is known for",
        "the host key of {name} is not known here{offered}",
        "compare it with what the board's screen or maker says, then accept it once with: {line}",
    ),
    _Kind(
        r"Permission denied \((?P<ways>[^)]*)\)|Too many authentication failures|No more authentication methods",
        "{name} refuses every key that ssh has here{ways}, and edgewright never types a password",
        "run: ssh-copy-id {target}; or unlock your agent with ssh-add",
    ),
    _Kind(r"Could not resolve hostname", "there is no host called {host}", "is it switched on, and the name right?"),
    _Kind(
        r"Connection refused", "{name} refuses connections: no ssh server is listening", "enable ssh there", way=True
    ),
    _Kind(
        r"not responding|[Tt]imed out|Connection to \S+ port \S+ timed out",
        "{name} does not answer any more",
        "is it powered, and in the same network?",
        way=True,
    ),
    _Kind(
        r"No route to host|Network is unreachable|Host is down",
        "there is no way to {name}",
        "is it powered, and in the same network?",
        way=True,
    ),
    _Kind(
        r"Unable to negotiate|no matching .* found", "{name} and the ssh here share no algorithm: {said}", "upgrade one"
    ),
    _Kind(
        r"Bad configuration option|Bad owner or permissions|terminating, \d+ bad|Can't open user config",
        "ssh does not take its configuration here: {said}",
        "mend it; try: {line}",
    ),
)
_OFFENDING = re.compile(r"Offending \S+ key in (\S+):(\d+)")
_BROKEN = re.compile(r"closed|reset|[Bb]roken|disconnect|mux_|kex_exchange|Control socket|Session open refused")


def failure(words: str, *, target: str, port: int, started: bool, reached: bool, offered: str = "") -> DeviceError:
    """The error behind what ssh printed as it ended without an answer of the command.

    Args:
        words: what it printed.
        target: `user@host` or a host.
        port: 0 for ssh's own default.
        started: whether the command had begun: then the way broke, whatever the words.
        reached: whether the device was reached before: then what concerns the network alone may pass.
        offered: the host key that the device showed.
    """
    host = target.rpartition("@")[2]
    name = f"{target}{f', port {port}' if port else ''}"
    known = f"[{host}]:{port}" if port else host
    line = f"ssh {f'-p {port} ' if port else ''}{target}"
    rows = [row for row in words.splitlines() if row.strip()]
    said = one_line(rows[-1], 200) if rows else "not a word"
    last = "\n".join(rows[-_CAUSE_LINES:])
    for kind in _KINDS:
        found = re.search(kind.pattern, words if kind.everywhere else last)
        if found is None:
            continue
        at = _OFFENDING.search(words)
        place = f" ({at[1]}, line {at[2]})" if at else ""
        taken = found.groupdict().get("ways")
        ways = f" (it takes {taken})" if taken else ""
        shown = f": it shows {offered}" if offered else ""
        facts = {"name": name, "host": host, "known": known, "line": line, "target": target, "said": said}
        what = kind.what.format(**facts, place=place, ways=ways, offered=shown)
        error = ConnectionLost if kind.way and (reached or started) else DeviceError
        return error(what, hint=kind.hint.format(**facts))
    if started or _BROKEN.search(last):
        return ConnectionLost(f"the connection to {name} broke: {said}", hint="try again; is the board still powered?")
    hint = f"can the account run commands there? try: {line} echo hello"
    return DeviceError(f"{name} ended the session before the command could begin: {said}", hint=hint)
