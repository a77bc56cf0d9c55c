"""Every operation of every flash fails once: the plug is pulled there, the disk is full, gives an error, takes half.

After each, `current` leads to the old release or the new one, whole; the board says so itself; and the same command,
given again, does its work and leaves no litter. A plug pulled at an operation that only looks finds the disk of the
next one that changes it, and is counted there.
"""

import random
from collections import Counter
from dataclasses import dataclass

import pytest
from onboard import active, environment, litter, outfitter, tiny

from edgewright.boards.flash import flash, rollback, status, uninstall
from edgewright.bundle.bundle import Bundle
from edgewright.devices._fake.board import Fake
from edgewright.devices._fake.disk import Fault
from edgewright.errors import DeviceError, EdgewrightError

ALLOCATES = {"open to write", "write", "sync", "sync_all", "sync_dir", "mkdir", "link", "symlink", "rename"}
CHANGES = ALLOCATES | {"unlink", "rmdir", "chmod"}
LUCKS = 2


@dataclass(frozen=True)
class Story:
    """What a board has seen, what is done to it, and the versions that are active and previous after that.

    Attributes:
        flashed: the versions that came to the board, in their order.
        do: `flash N`, `rollback`, `heal` or `uninstall`.
        verdicts: what checks on the board end with.
        rots: whether a bit of the active release has flipped before.
        had: whether a service serves the active release before.
        service: whether it is asked for, or with False away; None says nothing of it.
        broken: the versions that do not start as a service.
        kits: the environment that the board has, and the one that comes with the flash; 0 for none.
        probed: how the engines start on the board.
    """

    name: str
    flashed: tuple
    do: str
    ends: tuple
    verdicts: tuple = ()
    rots: bool = False
    had: bool = False
    service: bool | None = None
    broken: tuple = ()
    kits: tuple = (0, 0)
    probed: int = 0

    @property
    def has(self):
        """Whether a service serves the active release after that."""
        return self.do != "uninstall" and (self.had if self.service is None else self.service)

    @property
    def new(self):
        """The version that is flashed, whatever comes of it."""
        return int(self.do.split()[1]) if self.do.startswith("flash") else self.ends[0]

    def board(self, bundles):
        board = Fake()
        board.bare = self.kits[0] > 0
        for version in self.flashed:
            flash(bundles[version], board, service=self.had, install=bundles.kit(self.kits[0]))
        board.verdicts, board.broken = dict(self.verdicts), self.broken
        board.probed, board.bare = self.probed, self.kits[1] > 0
        if self.rots:
            board.disk.flip(f"{board.root}/current/onnx/model.onnx")
        return board

    def act(self, board, bundles):
        """Do it; the error that it ends with."""
        try:
            if self.do.startswith("flash"):
                flash(bundles[self.new], board, service=self.service, install=bundles.kit(self.kits[1]))
            elif self.do == "uninstall":
                uninstall(board)
            else:
                rollback(board, heal=self.do == "heal")
        except EdgewrightError as error:
            return error
        return None


STORIES = [
    Story("uninstall", (1, 2), "uninstall", (None, None)),
    Story("service for what is active", (1, 2), "flash 2", (2, 1), service=True),
    Story("service removed", (1, 2), "flash 2", (2, 1), had=True, service=False),
    Story("uninstall of a service", (1, 2), "uninstall", (None, None), had=True),
]
MORE = [
    Story("rollback", (1, 2), "rollback", (1, 2)),
    Story("rollback of a service", (1, 2), "rollback", (1, 2), had=True),
    Story("fall back of a damaged one", (1, 2), "heal", (1, 2), rots=True),
    Story("first install", (), "flash 1", (1, None)),
    Story("first install as a service", (), "flash 1", (1, None), service=True),
    Story("upgrade", (1, 2), "flash 3", (3, 2)),
    Story("upgrade, self-test fails", (1, 2), "flash 3", (2, 1), (((3, "self-test"), (4, "wrong answers")),)),
    Story("upgrade, health fails", (1, 2), "flash 3", (2, 1), (((3, "health"), DeviceError("it hung")),)),
    Story("upgrade of a damaged one", (1, 2), "flash 3", (3, 1), rots=True),
    Story("upgrade of a service", (1, 2), "flash 3", (3, 2), had=True),
    Story("upgrade, service does not start", (1, 2), "flash 3", (2, 1), had=True, broken=(3,)),
    Story("first environment", (1,), "flash 1", (1, None), kits=(0, 1)),
    Story("new environment", (1,), "flash 1", (1, None), kits=(1, 2)),
    Story("new environment, no engine starts", (1,), "flash 1", (1, None), kits=(1, 2), probed=6),
    Story("uninstall with an environment", (1,), "uninstall", (None, None), kits=(1, 1)),
]
THIRD = 3
"""Of the longer stories a change passes each third operation, from another one on in each: they have most in common."""


class Bundles(dict):
    """Bundles by their version, and what installs an environment of a version; None for 0."""

    def __init__(self, root, versions):
        super().__init__(versions)
        kits = {version: outfitter(root / f"kit{version}", version) for version in (1, 2)}
        self.kit = {0: None, **kits}.get


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    root = tmp_path_factory.mktemp("versions")
    return Bundles(root, {n: Bundle.open(tiny(root / str(n), n)) for n in (1, 2, 3)})


class Loop:
    """One story with every fault at every operation."""

    def __init__(self, story, bundles):
        self.story, self.bundles, self.cases = story, bundles, Counter()
        self.start = story.board(bundles)
        board = self.fresh()
        self.usual = type(story.act(board, bundles))
        self.log = board.disk.log

    def fresh(self):
        """The board before it happens."""
        board = Fake()
        board.disk, board.verdicts, board.broken = self.start.disk.copy(), self.start.verdicts, self.start.broken
        board.bare, board.probed = self.start.bare, self.start.probed
        board.systemd.boot(board.disk, board.broken)
        return board

    def of_interest(self):
        """The operations at which something fails: of a story with a service, what other stories have not."""
        if not (self.story.had or self.story.service):
            return range(len(self.log))
        of_units = {at for at, (_, path) in enumerate(self.log) if "/systemd/" in path}
        first = min(at for at in of_units if self.log[at][0] in CHANGES)
        return sorted(of_units | {at for at in range(first, len(self.log)) if self.log[at][0] in CHANGES})

    def run(self, operations):
        for at in operations:
            what, _ = self.log[at]
            self.check(at, "error", Fault(at, "error"))
            if what in CHANGES:
                self.check(at, "plug", Fault(at, "crash"), {})
                self.check(at, "plug", Fault(at, "crash"), {"kept": True})
                for luck in range(LUCKS):
                    self.check(at, "plug", Fault(at, "crash"), {"luck": random.Random(1000 * at + luck)})
            if what in ALLOCATES:
                self.check(at, "full", Fault(at, "nospace"))
                self.check(at, "full", Fault(at, "nospace", lasts=True))
            if what == "write":
                self.check(at, "half", Fault(at, "short"))

    def check(self, at, kind, fault, power=None):
        self.cases[kind] += 1
        board = self.fresh()
        board.disk.fault = fault
        error = self.story.act(board, self.bundles)
        where = f"{self.story.name}, {kind} {power or ''} at {at}: {self.log[at]}; {error}"
        if kind == "half":
            assert type(error) is self.usual, where  # a disk that takes half takes the rest
        if power is not None:
            assert error is not None, where
            board.reboot(**power)
        board.disk.fault = None
        try:
            self.judge(board)
        except AssertionError as problem:
            raise AssertionError(where) from problem

    def judge(self, board):
        """Old or new, whole, known to the board itself; and the second try ends where the first one should have."""
        self.assert_old_or_new(board)
        if self.story.do == "rollback" and not status(board).trial and self.seen(board) == self.story.ends[0]:
            rollback(board, heal=True)  # it is done, and a second one would lead back
        else:
            self.story.act(board, self.bundles)
        self.assert_ended(board)

    def seen(self, board):
        """The active version, `rotten` where it is not whole."""
        try:
            return active(board)
        except AssertionError:
            return "rotten"

    def assert_old_or_new(self, board):
        found = self.seen(board)
        assert found in (self.seen(self.start), self.story.ends[0], self.story.new), found
        known = status(board)
        row = next((row for row in known.releases if row.name == known.current), None)
        assert (row.version if row else None) == (found if found != "rotten" else self.story.flashed[-1])
        assert row is None or bool(row.problem) == (found == "rotten")
        assert board.systemd.serves in ("", *(row.name for row in known.releases))
        if self.story.do != "uninstall":
            assert self.kit(board) in self.story.kits
            assert self.kit(board) or not self.story.kits[0], "the release has nothing to run in"

    def kit(self, board):
        """The version of a board's environment, every file of it hashed."""
        recipe = environment(board)
        return int(recipe.key.split()[1]) if recipe else 0

    def assert_ended(self, board):
        known = status(board)
        versions = {row.name: row.version for row in known.releases}
        assert active(board) == self.story.ends[0]
        assert versions.get(known.previous) == self.story.ends[1]
        assert not known.trial
        kept = self.story.kits[0 if self.story.probed else 1]
        assert self.kit(board) == (0 if self.story.do == "uninstall" else kept)
        assert litter(board) == set()
        assert board.systemd.serves == (known.active if self.story.has else "")
        units = [path for path in board.disk.tree() if "edgewright" in path and "/systemd/" in path]
        assert len(units) == (2 if self.story.has else 0), units


def pulled(story, bundles, capsys, first=0, step=1):
    """Have every fault at each `step`th operation of a story, from the `first` on."""
    loop = Loop(story, bundles)
    others = story.verdicts or story.broken or story.service is not None or story.kits[1]
    assert loop.seen(loop.start) != loop.story.ends[0] or others
    operations = loop.of_interest()[first::step]
    loop.run(operations)
    with capsys.disabled():
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(loop.cases.items()))
        print(f"\n{story.name}: {len(operations)} operations, {loop.cases.total()} cases ({kinds})", end="")


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_old_or_new(story, bundles, capsys):
    pulled(story, bundles, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("story", MORE, ids=lambda story: story.name)
def test_old_or_new_at_each_third_operation(story, bundles, capsys):
    pulled(story, bundles, capsys, MORE.index(story) % THIRD, THIRD)


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("story", MORE, ids=lambda story: story.name)
def test_old_or_new_at_every_operation(story, bundles, capsys):
    pulled(story, bundles, capsys)
