"""What a translation keeps as it is: found where it is, and the rest of a line left whole."""

import pytest

from edgewright.text.tags import around_tags

LINES = {
    "Turn <b>on</b> the lights": ["<b>", "</b>"],
    '<a href="https://x.org/?a=1">here</a>': ['<a href="https://x.org/?a=1">', "</a>"],
    "{name}, set it to ${value} or {{ other }} by %(who)s or %s": [
        "{name}",
        "${value}",
        "{{ other }}",
        "%(who)s",
        "%s",
    ],
    "Write to a.b+c@mail.example.org or https://example.org/x.": [
        "a.b+c@mail.example.org",
        "https://example.org/x.",
    ],
    "3 < 4 and 5 > 2, 50% sure, { a b }, @home": [],
    "": [],
}


@pytest.mark.parametrize("line", LINES)
def test_tags_are_told_from_language(line):
    parts = around_tags(line)
    assert "".join(part for part, _ in parts) == line
    assert [part for part, tag in parts if tag] == LINES[line]


@pytest.mark.parametrize("piece", ["<a ", "{", "a@", "http://", "%(", "<b>x</b>", "a.b@c."])
def test_a_long_line_of_beginnings_is_read_through(piece):
    """Every pattern has bounds: without them a line of this length would take minutes."""
    assert "".join(part for part, _ in around_tags(piece * 20_000)) == piece * 20_000
