"""Class files without debug tables; what the JVM makes of them is asked by test_android.py."""

import struct

import pytest

from edgewright.exporting.class_file import lean_class

PUBLIC, STATIC = 1, 8


class Made:
    """A class file, put together by hand: texts, then attributes by their names."""

    def __init__(self):
        self.texts = []

    def text(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return 1 + self.texts.index(text)

    def attribute(self, name, data):
        return struct.pack(">HI", self.text(name), len(data)) + data

    def several(self, *attributes):
        return struct.pack(">H", len(attributes)) + b"".join(attributes)

    def variables(self, *rows):
        packed = [struct.pack(">5H", begin, 1, self.text(name), self.text("I"), 0) for begin, name in rows]
        return self.attribute("LocalVariableTable", struct.pack(">H", len(rows)) + b"".join(packed))

    def code(self, *attributes):
        return self.attribute("Code", struct.pack(">HHIBH", 1, 2, 1, 0xB1, 0) + self.several(*attributes))

    def member(self, flags, name, *attributes):
        return struct.pack(">HHH", flags, self.text(name), self.text("(I)V")) + self.several(*attributes)

    def metadata(self, kind, said):
        value = struct.pack(">HcHcH", self.text("d2"), b"[", 1, b"s", self.text(said))
        return self.attribute(kind, struct.pack(">HHH", 1, self.text("Lkotlin/Metadata;"), 1) + value)

    def whole(self, flags, fields, methods, attributes):
        rest = struct.pack(">HHHH", flags, 0, 0, 0) + self.several(*fields) + self.several(*methods)
        rest += self.several(*attributes)
        pool = b"".join(b"\1" + struct.pack(">H", len(text)) + text.encode() for text in self.texts)
        return struct.pack(">IHHH", 0xCAFEBABE, 0, 52, 1 + len(self.texts)) + pool + rest


def an_engine(*more):
    """A public class with a method, both with all that a compiler says of them."""
    made = Made()
    lines = made.attribute("LineNumberTable", struct.pack(">HHH", 1, 0, 77))
    code = made.code(lines, made.variables((0, "given"), (1, "inside")))
    attributes = [
        made.metadata("RuntimeVisibleAnnotations", "told to callers"),
        made.attribute("SourceFile", struct.pack(">H", made.text("Engine.kt"))),
        made.attribute("SourceDebugExtension", b"SMAP of lines"),
        *(made.attribute(name, data) for name, data in more),
    ]
    return made.whole(PUBLIC, [], [made.member(PUBLIC, "run", code)], attributes)


def test_a_public_class_keeps_what_callers_and_stack_traces_read():
    lean = lean_class(an_engine(), public=True)
    for text in (b"told to callers", b"Lkotlin/Metadata;", b"given", b"Engine.kt", struct.pack(">HHH", 1, 0, 77)):
        assert text in lean, text
    for text in (b"inside", b"SMAP of lines"):
        assert text not in lean, text
    assert lean_class(lean, public=True) == lean


def test_one_that_callers_cannot_name_is_its_package_s_own():
    lean = lean_class(an_engine(), public=False)
    for text in (b"Engine.kt", b"run", struct.pack(">HHH", 1, 0, 77)):
        assert text in lean, text
    for text in (b"told to callers", b"Lkotlin/Metadata;", b"given", b"inside", b"SMAP of lines"):
        assert text not in lean, text
    assert lean_class(lean, public=False) == lean
    assert an_engine().count(struct.pack(">HHHH", PUBLIC, 0, 0, 0)) == 1
    assert struct.pack(">HHHH", PUBLIC, 0, 0, 0) not in lean, "its flags"


def test_texts_keep_their_numbers():
    """Whatever refers to a constant has its number in it."""
    whole, lean = an_engine(), lean_class(an_engine(), public=False)
    count = struct.unpack_from(">H", whole, 8)
    assert struct.unpack_from(">H", lean, 8) == count
    assert len(lean) < len(whole) - 100


@pytest.mark.parametrize("public", [True, False])
def test_what_has_an_attribute_of_another_age_stays_as_it_is(public):
    strange = an_engine(("Tomorrow", b"\0\1"))
    assert lean_class(strange, public=public) == strange


def test_constants_alone_are_no_class():
    made = Made()
    value = made.attribute("ConstantValue", struct.pack(">H", 1))
    constants = made.whole(PUBLIC, [made.member(STATIC, "MOST", value)], [], [])
    assert lean_class(constants, public=False) is None
    assert lean_class(constants, public=True) == constants
    changing = Made()
    held = changing.whole(PUBLIC, [changing.member(STATIC, "held")], [], [])
    assert lean_class(held, public=False) is not None
