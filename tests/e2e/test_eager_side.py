"""The eager model as a side of a measurement, as the quickstart and the table of peers have it."""

import pytest
from conftest import DEMO, ROOT

from edgewright.bundle.bundle import Bundle
from edgewright.measure.bench import measured, targets_of
from edgewright.measure.plan import Plan
from edgewright.system.progress import silent

torch = pytest.importorskip("torch")


@pytest.mark.heavy
def test_the_eager_model_is_a_side_of_the_run(demo_bundle, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import eager

    plan = Plan(tokens=(16,), texts=("good", "not so good"), processes=1, runs=3, least_ms=0, warmup_ms=0)
    bundle = Bundle.open(demo_bundle)
    targets = [eager.target(bundle, str(DEMO)), *targets_of(bundle, plan, None, "fp32")]
    (texts, fixed), (ours, _) = measured(targets, plan, silent).rows
    assert (texts.engine, texts.version) == ("torch", torch.__version__)
    assert texts.artifact.score.value == ours.artifact.score.reference
    assert fixed.tokens == 16
    assert texts.peak_rss_mib > ours.peak_rss_mib
    assert len(texts.samples_ms) == 1
