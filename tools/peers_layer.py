"""What the layer over ONNX Runtime costs: both ways to call one session, in turn, in one process.

Prints two lists of microseconds, ours and the bare engine's.
"""

from __future__ import annotations

import json
import sys
import time

from edgewright import load


def main() -> None:
    bundle, tokens = sys.argv[1], int(sys.argv[2])
    pipeline = load(bundle, precision="int8")
    pipeline.tokenizer.limit(tokens)
    feeds = pipeline.task.encode(pipeline.tokenizer, ["a river runs through the town " * tokens]).feeds
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = f"{bundle}/{pipeline.artifact.path}"
    bare = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    ready = {spec.name: feeds[spec.name] for spec in pipeline.session.inputs}
    ours, theirs = [], []
    for turn in range(700):
        for samples, run in ((ours, lambda: pipeline.session.run(feeds)), (theirs, lambda: bare.run(None, ready))):
            begin = time.perf_counter_ns()
            run()
            if turn >= 100:
                samples.append((time.perf_counter_ns() - begin) / 1e3)
    print(json.dumps([ours, theirs]))


if __name__ == "__main__":
    main()
