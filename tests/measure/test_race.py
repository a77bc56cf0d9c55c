"""The choice of a race."""

from types import SimpleNamespace

import pytest
from measured import row, samples

from edgewright.bundle.bundle import Bundle
from edgewright.errors import BundleError
from edgewright.measure import race
from edgewright.measure.plan import Target


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
