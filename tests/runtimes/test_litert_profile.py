"""What LiteRT's profiler tells, matched with the file's own nodes."""

import pytest

from edgewright.errors import EngineError
from edgewright.runtimes._profilers import litert as profiler
from edgewright.runtimes._profilers.tflite_graph import Op

ROOT = "_Named/Eager_model/BertModel_model/BertEncoder_encoder/BertLayer_3"
OWN, DELEGATED = 2, 8


@pytest.mark.parametrize(
    ("made", "layer"),
    [
        (f"{ROOT}/BertOutput_output/Linear_dense;15", "encoder.3.output.dense"),
        (f"{ROOT};;{ROOT}/BertSelf_self/Linear_key;;{ROOT}/BertSelf_self/Linear_query;7", "encoder.3.self"),
        ("_Named/Eager_model/BertModel_model;3", ""),
        ("somebody else's tensor", ""),
        ("", ""),
    ],
)
def test_a_tensor_is_named_after_its_module(made, layer):
    assert profiler.layer(made) == layer


def test_events_find_their_nodes_by_number_or_by_kind():
    ops = [
        Op("CAST", "a", 0, 1),
        Op("FULLY_CONNECTED", "b", 8, 2),
        Op("ADD", "c", 0, 3),
        Op("FULLY_CONNECTED", "d", 9, 4),
    ]
    tags = [
        (OWN, b"CAST", 0),
        *((DELEGATED, tag, 0) for tag in (b"Fully Connected (NC, F32) GEMM", b"Add (ND)", b"Add (ND)")),
    ]
    tags.append((DELEGATED, b"Fully Connected (NC, F32) GEMV", 1))
    found = profiler._matched([(kind, tag, 5, node) for kind, tag, node in tags], ops)
    # two Adds ran and the file has one: nobody can say which it was
    assert [op and op.made for op in found] == ["a", "b", None, None, "d"]


def test_a_record_of_another_layout_is_refused_before_its_tag_is_followed():
    event = profiler._Event()
    event.type, event.source, event.tag = 3, 0, 1  # a pointer that would end the process
    with pytest.raises(EngineError, match="unknown layout"):
        profiler._checked([event])
