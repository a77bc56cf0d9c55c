"""What in a text is no language: markup, placeholders and addresses, which a translation keeps as they are."""

from __future__ import annotations

import re

__all__ = ["TAG", "around_tags"]

TAG = re.compile(
    r"</?[A-Za-z][^<>]{0,999}>"  # HTML and XML
    r"|\{\{[^{}]{1,99}\}\}|\{[^{}\s]{1,99}\}|\$\{[^{}]{1,99}\}"  # of templates
    r"|%(?:\([A-Za-z_]{1,99}\))?[sd]\b"  # of printf and gettext
    r"|https?://[^\s<>]{1,1999}|[\w.+-]{1,99}@[\w-]{1,99}(?:\.[\w-]{1,99}){1,9}"
)
"""With bounds, so that no text makes it slow."""


def around_tags(line: str) -> list[tuple[str, bool]]:
    """The parts of a line, each with whether it is a tag; joined they are the line."""
    found, begin = [], 0
    for match in TAG.finditer(line):
        found += [(line[begin : match.start()], False)] if match.start() > begin else []
        found.append((match.group(), True))
        begin = match.end()
    return [*found, (line[begin:], False)] if line[begin:] else found
