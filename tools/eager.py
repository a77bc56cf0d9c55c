"""The eager fp32 model as one more side of a measurement, timed by the same code as the artifacts, in turn with them.

As a program it is the process that measures: a request of `edgewright.measure.process` on standard input, with the
source's directory as the first argument, one answer on standard output.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

_BEGIN = time.perf_counter_ns()  # before the imports that a start waits for

from edgewright.bundle.manifest import Artifact  # noqa: E402
from edgewright.errors import DeviceError  # noqa: E402
from edgewright.measure.place import Here  # noqa: E402
from edgewright.measure.plan import Target  # noqa: E402
from edgewright.measure.process import answered  # noqa: E402

if TYPE_CHECKING:
    from edgewright.bundle.bundle import Bundle
    from edgewright.measure.process import Given, MemoryAnswer, Request, TimesAnswer


class Eager(Here):
    """This machine, where a process with torch answers instead of one with an engine."""

    def __init__(self, bundle: Bundle, model: str) -> None:
        super().__init__(bundle)
        self.model = model

    def ask(self, request: Request[Given], timeout_s: float) -> Given:
        """See `Place.ask`."""
        argv = [sys.executable, __file__, self.model]
        done = subprocess.run(argv, input=request.packed(), capture_output=True, timeout=timeout_s, check=False)
        if done.returncode:
            raise DeviceError("the eager model could not be timed", hint=done.stderr.decode(errors="replace")[-300:])
        return answered(request, done.stdout)


def target(bundle: Bundle, model: str) -> Target:
    """The eager model that a bundle was made of, as a side beside its artifacts."""
    first = bundle.manifest.artifacts[0]
    score = first.score
    whole = {"format": "eager", "precision": "fp32", "size_bytes": 4 * bundle.manifest.source.parameters}
    fields = {name: getattr(first, name) for name in ("sha256", "inputs", "outputs", "parity")}
    if score and score.reference is not None:
        fields["score"] = type(score)(score.metric, score.reference, score.n, score.data, score.reference)
    return Target(bundle, Eager(bundle, model), Artifact(path=model, **whole, **fields), 1)


def measure(asked: dict[str, Any], model: str) -> MemoryAnswer | TimesAnswer:
    """What `edgewright.runtimes._measuring.worker.measure` does for an artifact."""
    import torch
    import transformers.modeling_utils  # noqa: F401 - what loading a model needs
    from msgspec import convert

    from edgewright.converters._model.looks import opened
    from edgewright.measure.process import Apart, AskMemory, AskTimes, MemoryAnswer, TimesAnswer
    from edgewright.model.eager import Look
    from edgewright.model.source import open_source
    from edgewright.runtimes._measuring.worker import series, timed
    from edgewright.system.progress import silent
    from edgewright.system.vitals import peak_rss_mib

    request: AskMemory | AskTimes = convert(asked, AskMemory if asked["peak"] else AskTimes)
    job = open_source(model).job()
    import_ms, modules, begin = _since(_BEGIN), len(sys.modules), time.perf_counter_ns()
    _, pipeline = opened(Look(source=job, threads=request.threads), silent)
    load_ms = _since(begin)
    with torch.inference_mode():
        rows = list(series(pipeline, request.tokens, request.texts, request.batch))
        begin = time.perf_counter_ns()
        pipeline.session.run(rows[0][1][0])
        first_ms = _since(begin)
        if request.peak:
            for _, feeds, _ in rows:
                pipeline.session.run(feeds[-1])
            return MemoryAnswer(peak_rss_mib(), Apart(0.0, 0.0, load_ms), "torch", str(torch.__version__))
        found = tuple(timed(pipeline, request, *one) for one in rows)
    return TimesAnswer(import_ms, modules, load_ms, first_ms, found)


def _since(begin: int) -> float:
    return (time.perf_counter_ns() - begin) / 1e6


def main() -> None:
    import json

    from msgspec import to_builtins

    json.dump(to_builtins(measure(json.load(sys.stdin), str(Path(sys.argv[1])))), sys.stdout)


if __name__ == "__main__":
    main()
