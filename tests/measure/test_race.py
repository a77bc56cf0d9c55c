"""The choice of a race."""

from types import SimpleNamespace

import pytest
from measured import ARTIFACT, row, samples

from edgewright.bundle.bundle import Bundle
from edgewright.errors import BundleError, UsageError
from edgewright.measure import race
from edgewright.measure.plan import Plan, Target


def winner(bundle, machine, **fields):
    about = SimpleNamespace(machine=SimpleNamespace(model=machine))
    target = Target(bundle, SimpleNamespace(about=about), bundle.manifest.artifacts[0], 1)
    return race.Entrant(target, [row(samples(2.0), tokens=n, **fields) for n in range(16, 100)], 5)


def test_a_choice_is_written_as_it_can_be_read_again(bundle_dir):
    bundle = Bundle.open(bundle_dir)
    (choice,) = race.choose(bundle, winner(bundle, "a board")).manifest.choices
    assert choice.inputs.startswith("16 tokens; 17 tokens; ")
    assert (len(choice.inputs), choice.inputs[-1]) == (300, "…")
    before = (bundle_dir / "manifest.json").read_bytes()
    with pytest.raises(BundleError, match=r"length <= 200 - at `\$\.choices\[1\]\.machine`"):
        race.choose(Bundle.open(bundle_dir), winner(bundle, "m" * 201))
    assert (bundle_dir / "manifest.json").read_bytes() == before
    assert [path.name for path in bundle_dir.parent.iterdir()] == ["bundle"]


def entrant(threads, median_ms, cpu_ms, by, energies_mj=()):
    place = SimpleNamespace(name="a board", about=SimpleNamespace(machine=SimpleNamespace(model="m")))
    target = Target(None, place, ARTIFACT, threads)
    took = samples(median_ms, seed=threads)
    return race.Entrant(target, [row(took, cpu_ms=cpu_ms, energies_mj=energies_mj)], 5, by=by)


@pytest.mark.parametrize(("by", "threads"), [("latency", 2), ("cpu", 1)])
def test_what_decides_is_the_time_or_the_processors(by, threads):
    """Two threads answer in two thirds of the time, and take twice the processor."""
    finalists = [entrant(1, 3.0, (3.0, 3.1, 3.0, 3.2, 3.0), by), entrant(2, 2.0, (6.0, 6.2, 6.1, 6.0, 6.3), by)]
    race.decide(finalists, race.Rules(by=by))
    lost = {one.target.threads: one.lost for one in finalists}
    assert [count for count, words in lost.items() if not words] == [threads]
    (words,) = filter(None, lost.values())
    assert words.endswith("of the fastest's processor's time" if by == "cpu" else "of the fastest's time")
    assert float(words.split()[0]) == pytest.approx(2.0 if by == "cpu" else 1.5, rel=0.05)


def test_where_a_meter_is_its_joules_may_decide():
    """The slower one takes less of the battery."""
    energies = (4.0, 4.1, 4.0, 4.2, 4.0), (6.0, 6.1, 6.2, 6.0, 6.1)
    finalists = [entrant(1, 3.0, (), "energy", energies[0]), entrant(1, 2.0, (), "energy", energies[1])]
    race.decide(finalists, race.Rules(by="energy"))
    assert finalists[0].lost == ""
    assert finalists[1].lost.endswith("of the fastest's energy")
    assert finalists[0].cells()["energy, mJ"] == 4.0


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("cpu", "a board does not tell the processor's time; race by latency"),
        ("energy", "a board has no meter of energy that is read; race by latency, or race by cpu there"),
    ],
)
def test_a_board_that_does_not_tell_what_shall_decide_cannot_be_raced_by_it(monkeypatch, by, words):
    one = entrant(1, 3.0, (), by)
    found = SimpleNamespace(cut_short="", rows=[one.rows])
    monkeypatch.setattr(race, "measured", lambda *_: found)
    with pytest.raises(UsageError, match=words):
        race._run([one], Plan(), str)
