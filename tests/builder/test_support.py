"""The table of what cannot be made."""

import pytest

from edgewright import registry
from edgewright.builder.support import GAPS, gap
from edgewright.contracts.precision import PRECISIONS


def test_an_empty_field_means_any():
    assert gap("tflite", "fp32") is None
    assert gap("tflite", "fp32", model_type="bert") is None
    assert gap("tflite", "int4", model_type="mobilebert") is gap("tflite", "fp32", model_type="mobilebert") is not None


@pytest.mark.parametrize("hole", GAPS, ids=lambda hole: f"{hole.format}/{hole.precision}/{hole.model_type}")
def test_a_gap_is_of_a_format_that_there_is_and_says_what_works(hole):
    assert hole.format in registry.names("converters")
    assert hole.precision in ("", *PRECISIONS)
    assert hole.reason
    assert hole.instead
