import re
from pathlib import Path
from typing import get_args

import pytest

from edgewright import registry
from edgewright.boards.catalogue import named, wanted
from edgewright.builder.support import GAPS, gap
from edgewright.contracts.precision import (
    PRECISIONS,
    Precision,
    activations,
    by_integers,
    known,
    suffix,
    weight_bits,
)
from edgewright.errors import UsageError
from edgewright.proof.limits import LIMITS

ROOT = Path(__file__).parents[2]


def test_the_set_is_that_of_the_type_and_goes_from_exact_to_small():
    assert get_args(Precision) == PRECISIONS
    assert [weight_bits(name) for name in PRECISIONS] == sorted(map(weight_bits, PRECISIONS), reverse=True)


def test_what_follows_from_each():
    facts = {name: (weight_bits(name), activations(name), by_integers(name), suffix(name)) for name in PRECISIONS}
    assert facts == {
        "fp32": (32, "float", False, ""),
        "fp16": (16, "float", False, "_fp16"),
        "int8": (8, "dynamic", True, "_int8"),
        "int8-static": (8, "static", True, "_int8_static"),
        "int4": (4, "dynamic", True, "_int4"),
    }


@pytest.mark.parametrize(
    ("name", "near"), [("int-8", "int8"), ("int8_static", "int8-static"), ("FP32", None), ("fp23", "fp32"), ("", None)]
)
def test_an_unknown_one_is_told_with_the_list_and_the_nearest(name, near):
    with pytest.raises(UsageError) as caught:
        known(name)
    meant = f", did you mean {near}?" if near else ""
    assert str(caught.value) == f"unknown precision {name!r}{meant}; choose from {', '.join(PRECISIONS)}"


def test_a_name_of_a_newer_edgewright_counts_as_float():
    assert (weight_bits("fp8"), activations("fp8"), by_integers("fp8")) == (32, "float", False)


def test_every_precision_has_its_limits_looser_from_one_to_the_next():
    assert tuple(LIMITS) == PRECISIONS
    assert [limit.sqnr_db for limit in LIMITS.values()] == sorted((x.sqnr_db for x in LIMITS.values()), reverse=True)


@pytest.mark.parametrize("name", registry.names("converters"))
def test_a_format_makes_a_precision_or_the_table_says_why_not(name):
    converter = registry.load("converters", name)
    assert set(converter.precisions) <= set(PRECISIONS)
    assert all(gap(name, one) for one in PRECISIONS if one not in converter.precisions)
    paths = {converter.path(one) for one in converter.precisions}
    assert len(paths) == len(converter.precisions)


def test_gaps_and_profiles_name_precisions():
    assert {one.precision for one in GAPS} <= {"", *PRECISIONS}
    assert {one for chosen in wanted(named("jetson-nano")).values() for one in chosen} <= set(PRECISIONS)


FILES = [path for top in ("sdk", "converters", "runtimes", "devices", "tools") for path in (ROOT / top).rglob("*.py")]
WRITTEN = re.compile(r"fp32\W{1,6}fp16\W{1,6}int8\W{1,6}int8-static\W{1,6}int4")
"""All of them in a row, in code or in words."""


def test_the_set_is_written_once():
    found = [path.relative_to(ROOT).as_posix() for path in FILES if WRITTEN.search(path.read_text())]
    assert found == ["sdk/contracts/precision.py"]
