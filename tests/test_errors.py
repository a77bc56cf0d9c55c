import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright import errors
from edgewright.errors import EdgewrightError, from_record, one_line, quoted

EXIT_CODES = {
    "EdgewrightError": 70,
    "UsageError": 2,
    "InputError": 3,
    "SourceError": 3,
    "BundleError": 3,
    "TokenizerError": 3,
    "DataError": 3,
    "UnsupportedConversion": 3,
    "ConversionFailed": 3,
    "EngineError": 3,
    "ChildFailed": 3,
    "StorageError": 3,
    "HubError": 3,
    "GateFailed": 4,
    "DeviceError": 5,
    "ConnectionLost": 5,
    "MissingExtra": 6,
}
KINDS = [getattr(errors, name) for name in EXIT_CODES]


def test_every_error_of_the_module_has_its_exit_code():
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {name: kind.exit_code for name, kind in kinds.items()} == EXIT_CODES


def test_every_error_stands_in_the_drawn_tree():
    drawn = [line for line in errors.__doc__.splitlines() if "──" in line or line.strip().startswith("EdgewrightError")]
    assert [line.replace("│", "").split("── ")[-1].split()[0] for line in drawn] == list(EXIT_CODES)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_has_exit_code_3_is_an_input_error(kind):
    assert issubclass(kind, errors.InputError) == (kind.exit_code == 3)
    assert issubclass(kind, EdgewrightError)


def test_codes_are_kebab_case_and_differ():
    assert errors.GateFailed("x").code == "gate-failed"
    assert errors.EdgewrightError("x").code == "edgewright-error"
    assert len({kind("x").code for kind in KINDS}) == len(KINDS)


@given(st.sampled_from(KINDS), st.text(), st.text())
def test_an_error_survives_its_record(kind, message, hint):
    error = kind(message, hint=hint)
    again = from_record(error.record())
    assert type(again) is kind
    assert (str(again), again.message, again.hint) == (str(error), error.message, error.hint)


def test_an_unknown_record_is_an_edgewright_error():
    assert type(from_record({"code": "from-the-future", "message": "m"})) is EdgewrightError
    assert str(from_record({})) == "no message"


def test_the_text_is_message_then_hint():
    assert str(EdgewrightError("the file is empty", hint="copy it again")) == "the file is empty; copy it again"
    assert str(EdgewrightError("the file is empty")) == "the file is empty"


@given(st.text())
def test_one_line_is_one_line_and_settles(text):
    line = one_line(text)
    assert len(line) <= 600
    assert line == one_line(line)
    assert all(c.isprintable() for c in line)


def test_one_line_drops_colours_controls_and_surrogates():
    assert one_line("\x1b[31mred\x1b[0m\r\nand\tblue\x00\ud800\u2028end") == "red and blue end"


def test_one_line_cuts_with_an_ellipsis():
    assert one_line("x" * 700) == "x" * 599 + "…"
    assert one_line("x" * 600) == "x" * 600


# copy (and with them every process pool) fail with a TypeError.
@pytest.mark.parametrize("kind", [EdgewrightError, errors.GateFailed])
@pytest.mark.parametrize("passed_on", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_an_error_can_be_copied_and_pickled(kind, passed_on):
    again = passed_on(kind("message", hint="hint"))
    assert (type(again), str(again)) == (kind, "message; hint")


def test_a_text_that_is_quoted_shows_that_it_was_cut():
    assert quoted("x" * 40) == repr("x" * 40)
    assert quoted("x" * 41) == repr("x" * 39 + "…")


@pytest.mark.parametrize(
    "record", [{"code": "of a later version"}, {"code": "edgewright-error"}, {}, [], "no", {"code": 7}]
)
def test_an_error_of_elsewhere_that_is_not_known_is_no_bug_here(record):
    assert from_record(record, errors.DeviceError).exit_code == 5
    assert from_record({"code": "gate-failed", "message": "m"}, errors.DeviceError).exit_code == 4


def test_an_error_names_what_was_given_not_what_was_made_of_it(tmp_path):
    unpacked, plain = tmp_path / ".unfinished-a", tmp_path / ".unfinished-b"
    errors.stands_for(unpacked, "chat.gguf")
    errors.stands_for(plain, unpacked)
    told = errors.SourceError(f"{plain / 'config.json'} is no JSON", hint=f"see {unpacked}")
    assert str(told) == "chat.gguf/config.json is no JSON; see chat.gguf"
    assert str(from_record({"code": "source-error", "message": f"{plain} is empty"})) == "chat.gguf is empty"
