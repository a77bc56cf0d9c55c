"""What looks wrong with a translation, on translations that are right, and on the ways in which small models fail."""

import pytest

from edgewright.generation.flags import FLAGS, flags

RIGHT = {
    "Turn on the lights.": "Enciende las luces.",
    "Set temperature to 22 degrees.": "Pon la temperatura a 22 grados.",
    "Schedule vacuum cleaning for tomorrow at 10 AM.": "Programa la aspiradora para ma\u00f1ana a las 10.",
    "Paris is the capital of France.": "Par\u00eds es la capital de Francia.",
    "No, no, no!": "\u00a1No, no, no!",
    "It costs 3.50 <b>euros</b>.": "Cuesta 3,50 <b>euros</b>.",
    "Very, very good.": "Muy, muy bueno.",
    "I do.": "S\u00ed, quiero.",
    "Mama mia": "Mama m\u00eda",
}
WRONG = {
    ("Set temperature to 22 degrees", "La temperatura a las 80."): {"numbers"},
    ("It costs 20 or 20.", "Cuesta 20."): {"numbers"},
    ("Turn <b>on</b> {room}.", "Enciende <b>la</b> sala."): {"tags"},
    ("Play my favorite playlist now", "play my favorite playlist"): {"not translated"},
    ("The river had risen in the night, and the path was gone.", "El r\u00edo."): {"short"},
    ("Turn on the light.", "Enciende la luz que est\u00e1 en la casa que era de mi padre."): {"long"},
    ("Schedule vacuum cleaning for tomorrow", "Abrumamamama a limpiar ma\u00f1ana"): {"repeats"},
    ("It is late, and I want to go home.", "Es tarde y quiero ir, quiero ir, quiero ir."): {"repeats"},
    ("The river had risen.", ""): {"short"},
}


@pytest.mark.parametrize("source", RIGHT)
def test_right_translations_have_no_flag(source):
    assert flags(source, RIGHT[source]) == ()


@pytest.mark.parametrize("pair", WRONG)
def test_what_is_wrong_is_flagged(pair):
    assert set(flags(*pair)) == WRONG[pair]


def test_every_flag_is_shown_by_a_case():
    assert {flag for found in WRONG.values() for flag in found} == FLAGS.keys()
