"""A chat template as what stands around each message: all of it that a program without Jinja can put together.

The texts are found by rendering a few conversations, and hold only if putting them together gives what the template
renders, or refuses, for each of a set of conversations: of every order of roles, with white space, special tokens,
and every word that stands in the template itself. What says the date or does more with a message is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from edgewright.errors import DataError, UnsupportedConversion
from edgewright.generation.chat_template import ROLES, ChatTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["ChatForm", "chat_form"]

_FIRST, _SECOND, _THIRD = "qZfirst", "qZsecond", "qZthird"
"""Words that no template has, to cut a rendering at."""
_LONGEST_ORDER = 4
"""Messages of the orders that are all tried: a template that looks further back than two turns is known to none."""
_WORDS = (
    "",
    " ",
    "a",
    " \n b c\t\u3000",
    "\ufeff\u200b\x1c x \x85",
    "<think>\nwhy\n</think>\n\nso",
    "{{ x }} {% y %}",
    "é中👍\n\n",
)
"""What people and models write that a template may look into."""
_MOST_WORDS = 200
"""A choice: the longest templates known have half as many texts, and each is asked of each role."""


@dataclass(frozen=True)
class ChatForm:
    """What stands around each message.

    Attributes:
        begin: what stands before a first message of the system's.
        unsaid: what stands before any other first message, a default of the system's words in it.
        around: for each role the text before and after its message; a role that it lacks is refused.
        answer: what begins an answer.
        trims: white space around a message is left out.
        in_turns: only user and assistant in turn are taken, with the system's words first or none.
    """

    begin: str
    unsaid: str
    around: dict[str, tuple[str, str]]
    answer: str
    trims: bool = False
    in_turns: bool = False

    def render(self, messages: Sequence[dict[str, str]]) -> str | None:
        """The text of a conversation as the C core puts it together, None for one that it refuses."""
        parts, turns = [], 0
        for at, message in enumerate(messages):
            role, words = message["role"], message["content"]
            if role not in self.around:
                return None
            if self.in_turns and (at or role != "system"):
                if role != ("user", "assistant")[turns % 2]:
                    return None
                turns += 1
            if not at:
                parts.append(self.begin if role == "system" else self.unsaid)
            before, after = self.around[role]
            parts += [before, words.strip() if self.trims else words, after]
        return "".join([*parts, self.answer]) if messages else None


def chat_form(directory: Path, special: Sequence[str] = ()) -> ChatForm:
    """The form of the template of a tokenizer's directory, whose special tokens are `special`.

    Raises:
        SourceError: there is no template, or it is none.
        UnsupportedConversion: it is no such form.
    """
    template = ChatTemplate(directory)
    if "strftime_now" in template.source:
        raise UnsupportedConversion("the chat template says the date", hint="a program would say that of its export")
    forms = list(_found(template))
    words = (*_WORDS, *special, *_literals(template.source))
    found = next((form for form in forms if _holds(form, template, words)), None)
    if found is None or len(words) - len(special) > _MOST_WORDS:
        what = "the chat template does more than put texts around messages"
        raise UnsupportedConversion(what, hint="give the program plain prompts, rendered by your own code")
    return found


class _OtherForm(Exception):
    """Around a message stands what does not depend on its role alone."""


def _rendered(template: ChatTemplate, messages: Sequence[dict[str, str]], *, answer: bool = True) -> str | None:
    try:
        return template.render(messages, answer=answer)
    except DataError:
        return None


def _said(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": words} for role, words in turns]


def _cut(text: str | None, *words: str) -> list[str]:
    """What stands around the words, in order."""
    parts = []
    for word in words:
        before, found, text = (text or "").partition(word)
        if not found or word in text:
            raise _OtherForm
        parts.append(before)
    return [*parts, text or ""]


def _found(template: ChatTemplate) -> Iterator[ChatForm]:
    """Forms to try, from the one that carries most."""
    for between in (_by_flag, _by_likeness):
        try:
            plain = _between(template, between)
        except _OtherForm:
            continue
        for without in ((), ("tool",), ("system",), ("system", "tool")):
            around = {role: plain.around[role] for role in ROLES if role in plain.around and role not in without}
            for trims in (False, True):
                yield replace(plain, around=around, trims=trims)


def _between(template: ChatTemplate, told: Callable[..., tuple[str, str, str, str]]) -> ChatForm:
    """The texts between messages of each role, `told` apart where they follow each other."""
    user, answer = ("user", _FIRST), ("assistant", _SECOND)
    _, end = _cut(_rendered(template, _said(user)), _FIRST)
    _, middle, last = _cut(_rendered(template, _said(user, answer)), _FIRST, _SECOND)
    head, _, then, _ = _cut(_rendered(template, _said(user, answer, ("user", _THIRD))), _FIRST, _SECOND, _THIRD)
    after_user, before_user, after_answer, begins = told(template, head, end, last, then)
    around = {"user": (before_user, after_user), "assistant": (_rest(middle, after_user), after_answer)}
    in_turns = _rendered(template, _said(user, ("user", _SECOND))) is None
    begin = ""
    if first := _rendered(template, _said(("system", _SECOND), user)):
        opening, between, _ = _cut(first, _SECOND, _FIRST)
        later = None if in_turns else _rendered(template, _said(user, ("system", _SECOND), ("user", _THIRD)))
        before = _rest(_cut(later, _FIRST, _SECOND, _THIRD)[1], after_user) if later else opening
        if opening.endswith(before) and between.endswith(before_user):
            begin, around["system"] = opening.removesuffix(before), (before, between.removesuffix(before_user))
    tool = None if in_turns else _rendered(template, _said(user, answer, ("tool", _THIRD)))
    if tool:
        _, _, before, after = _cut(tool, _FIRST, _SECOND, _THIRD)
        around["tool"] = (_rest(before, after_answer), _lead(after, begins))
    return ChatForm(begin, _lead(head, before_user), around, begins, in_turns=in_turns)


def _by_flag(template: ChatTemplate, head: str, end: str, last: str, then: str) -> tuple[str, str, str, str]:
    """What follows and precedes a person's words, follows an answer, and begins one: the template's flag tells."""
    del head
    _, after_user = _cut(_rendered(template, _said(("user", _FIRST)), answer=False), _FIRST)
    begins = _rest(end, after_user)
    after_answer = _lead(last, begins)
    return after_user, _rest(then, after_answer), after_answer, begins


def _by_likeness(_: ChatTemplate, head: str, end: str, last: str, then: str) -> tuple[str, str, str, str]:
    """The same of a template that always begins an answer: a person's words have the same text before them anywhere."""
    size = next((at for at, (a, b) in enumerate(zip(head[::-1], then[::-1], strict=False)) if a != b), len(head))
    before_user = head[len(head) - size :]
    after_answer = _lead(then, before_user)
    begins = _rest(last, after_answer)
    return _lead(end, begins), before_user, after_answer, begins


def _rest(text: str, start: str) -> str:
    if not text.startswith(start):
        raise _OtherForm
    return text[len(start) :]


def _lead(text: str, end: str) -> str:
    if not text.endswith(end):
        raise _OtherForm
    return text[: len(text) - len(end)]


def _holds(form: ChatForm, template: ChatTemplate, words: Sequence[str]) -> bool:
    """Whether the form gives what the template does, for every conversation of roles that it has."""
    return all(form.render(one) == _rendered(template, one) for one in _conversations(tuple(form.around), words))


def _conversations(roles: Sequence[str], words: Sequence[str]) -> Iterator[list[dict[str, str]]]:
    for size in range(1, _LONGEST_ORDER + 1):
        for order in product(roles, repeat=size):
            yield _said(*((role, f"words {at}") for at, role in enumerate(order)))
    for word in words:
        for role in roles:
            first = () if role == "system" else (("user", "a"),) if role != "user" else ()
            yield _said(*first, (role, word), *((("user", word),) if role == "system" else ()))
            yield _said(*first, (role, f"{word} b"), *((("user", f"b {word}"),) if role == "system" else ()))
    for turns in (3, 8):
        yield _said(*(("user", "ask") if at % 2 == 0 else ("assistant", "say") for at in range(turns)))
        if "system" in roles:
            yield _said(
                ("system", "be"), *(("user", f"{at}") if at % 2 == 0 else ("assistant", "so") for at in range(turns))
            )


def _literals(source: str) -> list[str]:
    """The texts that stand in a template's own expressions, which it may look for in a message."""
    from jinja2 import Environment, nodes
    from jinja2.ext import loopcontrols

    tree = Environment(extensions=[loopcontrols], autoescape=False).parse(source)  # noqa: S701 - only parsed
    texts = {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
    return sorted(texts)
