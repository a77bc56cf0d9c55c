"""The systemd unit that serves a store's active release: what it says, and what can be read from one.

The text follows from the store, the release and the manager alone, so that an interrupted change is seen by comparing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from edgewright.system.untrusted import json_or_none

__all__ = ["NAME", "Unit"]

NAME = "edgewright.service"
_MARK = "# edgewright: "
_HOMES = ("/home/", "/root/", "/run/user/")
_TEMPORARY = ("/tmp/", "/var/tmp/")  # noqa: S108 - hidden from a service, unless it lies there

_TEXT = """\
# Serves the active release of {root}. Written by `edgewright flash --service`; `--no-service` removes it.
{mark}{record}
[Unit]
Description=The language model in {root}
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
Environment=PYTHONSAFEPATH=1
ExecStart={start}
Restart=on-failure
RestartSec=1
TimeoutStartSec=180
WatchdogSec=60
RuntimeDirectory=edgewright
RuntimeDirectoryMode=0700
CacheDirectory=edgewright
CacheDirectoryMode=0700
UMask=0077
MemoryMax={memory}
TasksMax=256
{hardening}

[Install]
WantedBy={target}
"""

_ALWAYS = (
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "PrivateNetwork=yes",
    "PrivateUsers=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "RestrictAddressFamilies=AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallErrorNumber=EPERM",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
)
_NO_GPU = ("PrivateDevices=yes", "DevicePolicy=closed", "MemoryDenyWriteExecute=yes")
"""Where a GPU is used its driver needs devices, and writes programs for it."""
_SYSTEM = (
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "KeyringMode=private",
    "IPAddressDeny=any",
    "RemoveIPC=yes",
)


@dataclass(frozen=True)
class Unit:
    """A unit. Law: `Unit.read(str(u))` has u's root, argv and release.

    Attributes:
        root: the store.
        argv: the server's argument vector.
        release: the name of the release for which it was written.
        memory_bytes: more memory than this ends the server.
        user: whether it is one of a user's manager.
        target: what starts it.
        needs: paths that the server's Python lies below.
        gpu: whether the release may use a GPU.
        dynamic: whether everyone may read the store and the Python, so that a user of its own can run the server.
    """

    root: str
    argv: tuple[str, ...]
    release: str
    memory_bytes: int = 0
    user: bool = False
    target: str = "multi-user.target"
    needs: tuple[str, ...] = ()
    gpu: bool = False
    dynamic: bool = False

    @classmethod
    def read(cls, text: str) -> Unit | None:
        """What a unit says of itself; None where it is none of ours."""
        line = next((line for line in text.splitlines() if line.startswith(_MARK)), "")
        tree = json_or_none(line[len(_MARK) :])
        try:
            return cls(tree["root"], tuple(tree["argv"]), tree["release"])
        except (KeyError, TypeError):
            return None

    def __str__(self) -> str:
        record = json.dumps({"root": self.root, "argv": self.argv, "release": self.release})
        return _TEXT.format(
            root=self.root.replace("%", "%%"),
            mark=_MARK,
            record=record,
            start=" ".join(map(_quoted, self.argv)),
            memory="infinity" if self.gpu else self.memory_bytes,  # an engine is built there, in gigabytes
            target=self.target,
            hardening="\n".join(self._hardening()),
        )

    def _hardening(self) -> list[str]:
        at_home, in_tmp = self._below(_HOMES) or self.user, self._below(_TEMPORARY)
        places = ["ProtectHome=read-only" if at_home else "ProtectHome=yes", *(() if in_tmp else ("PrivateTmp=yes",))]
        system = () if self.user else (*_SYSTEM, *(("DynamicUser=yes",) if self.dynamic and not in_tmp else ()))
        return sorted([*_ALWAYS, *(() if self.gpu else _NO_GPU), *system, *places])

    def _below(self, folders: tuple[str, ...]) -> bool:
        return any(f"{path}/".startswith(folders) for path in (self.root, *self.argv[:1], *self.needs))


def _quoted(word: str) -> str:
    """A word as systemd reads it: no specifier, no variable, no split."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"'
