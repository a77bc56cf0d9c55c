"""Operators of a TFLite file, and the files that name one each: LiteRT's own schema reads them, LiteRT opens them."""

import pytest

from edgewright.bundle.flat_bytes import kernels
from edgewright.bundle.onnx_bytes import Malformed

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
flatbuffers = pytest.importorskip("flatbuffers")
CODES = ((9, 9, 12), (0, 0, 2), (127, 150, 1), (32, 32, 1), (9, 9, 12), (4, 0, 3))
"""The byte of older readers, the number, the version: one stands twice, one is custom, one has the byte alone."""


def file_of(codes):
    model = schema.ModelT()
    model.version, model.operatorCodes = 3, []
    for old, builtin, version in codes:
        code = schema.OperatorCodeT()
        code.deprecatedBuiltinCode, code.builtinCode, code.version = old, builtin, version
        code.customCode = b"Own" if builtin == 32 else None
        model.operatorCodes.append(code)
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def asked(data):
    return kernels(len(data), lambda at, count: data[at : at + count])


def test_each_kind_is_named_once_by_a_file_of_its_own():
    found = []
    for data in asked(file_of(CODES)):
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        assert schema.Model.ModelBufferHasIdentifier(data, 0)
        assert (model.version, len(model.subgraphs), len(model.buffers)) == (3, 1, 1)
        (code,) = model.operatorCodes
        found.append((max(code.deprecatedBuiltinCode, code.builtinCode), code.version))
    assert found == [(0, 2), (4, 3), (9, 12), (150, 1)]


@pytest.mark.slow
def test_the_engine_opens_those_that_it_has_and_names_the_others():
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    for data in asked(file_of(((9, 9, 1), (127, 150, 1)))):
        interpreter.Interpreter(model_content=data)
    for codes, words in (((9, 9, 99), "'FULLY_CONNECTED' version '99'"), ((127, 5000, 1), "out of range: 5000")):
        with pytest.raises(ValueError, match=words):
            interpreter.Interpreter(model_content=asked(file_of((codes,)))[0])


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\xff" * 64, file_of(CODES)[:40]])
def test_other_bytes_are_malformed(data):
    with pytest.raises(Malformed):
        asked(data)
