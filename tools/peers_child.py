"""One process of a side: opens it, answers, and times itself, in the side's own environment.

Reads a request as JSON on standard input: `side`, `files`, `task`, `groups` (lists of texts), and `answers` or
`timing`; or `side`, `files`, `many` (texts that are given all at once), `threads` and `passes`. The last line of
standard output is the record. Times of the monotonic clock may be compared with the parent's, which started it on the
same machine.
"""

from __future__ import annotations

import gc
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[str], Any]
    Count = Callable[[str], int]
    Many = Callable[[list[str]], Any]

LEAST_PASSES = 3


def main() -> None:
    request = json.load(sys.stdin)
    if "many" in request:
        print("\n" + json.dumps(all_at_once(request)))
        return
    answer, count = SIDES[request["side"]](request["files"], request["task"])
    texts = [text for group in request["groups"] for text in group]
    answer(texts[0])
    record: dict[str, Any] = {"answered_s": time.monotonic(), "peak_mib": peak_mib()}
    if request["answers"]:
        record |= {"answers": [plain(answer(text)) for text in texts], "tokens": [count(text) for text in texts]}
        record["versions"] = versions()
    else:
        record["series_ms"] = [timed(answer, group, **request["timing"]) for group in request["groups"]]
    print("\n" + json.dumps(record))


def all_at_once(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each pass over all texts, after one that is not counted and has the answers."""
    many, texts = MANY[request["side"]](request["files"], request["threads"]), request["many"]
    answers, passes, answered_s = [plain(answer) for answer in many(texts)], [], time.monotonic()
    for _ in range(request["passes"]):
        begin = time.perf_counter()
        many(texts)
        passes.append(time.perf_counter() - begin)
    found = {"answers": answers, "answered_s": answered_s, "passes_s": passes}
    return {**found, "peak_mib": peak_mib(), "versions": versions()}


def timed(answer: Answer, texts: list[str], warmup_ms: float, least_ms: float) -> list[float]:
    """Milliseconds for each text, from text to answer: one figure for each pass over the texts, after a warm-up."""
    begin, done = time.perf_counter_ns(), 0
    while done < len(texts) or time.perf_counter_ns() - begin < warmup_ms * 1e6:
        answer(texts[done % len(texts)])
        done += 1
    passes: list[float] = []
    gc.disable()
    while len(passes) < LEAST_PASSES or sum(passes) * len(texts) < least_ms:
        begin = time.perf_counter_ns()
        for text in texts:
            answer(text)
        passes.append((time.perf_counter_ns() - begin) / 1e6 / len(texts))
    gc.enable()
    return passes


def peak_mib() -> float:
    """The high-water mark of this process's resident memory, which starts anew with it (proc(5), VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def versions() -> dict[str, str]:
    """The versions of what may have taken part and was imported."""
    from importlib import metadata

    names = {"edgewright": "edgewright", "onnxruntime": "onnxruntime", "ai_edge_litert": "ai-edge-litert"}
    names |= {"torch": "torch", "transformers": "transformers", "optimum": "optimum-onnx", "tokenizers": "tokenizers"}
    names |= {"llama_cpp": "llama-cpp-python", "sentence_transformers": "sentence-transformers"}
    names |= {"fastembed": "fastembed", "openvino": "openvino"}
    return {package: metadata.version(package) for module, package in names.items() if module in sys.modules}


def plain(answer: Any) -> Any:
    """A vector as a list of numbers; a classification as its first label and the score of that."""
    if hasattr(answer, "tolist"):
        return answer.tolist()
    return [answer[0]["label"], answer[0]["score"]] if isinstance(answer[0], dict) else list(answer)


# the sides, each as its users write it, with one thread


def edgewright(files: dict[str, str], _: str) -> tuple[Answer, Count]:
    from edgewright import load

    pipeline = load(files["bundle"], format=files["format"], precision="int8", threads=1)
    return pipeline, lambda text: int(pipeline.task.encode(pipeline.tokenizer, [text]).lengths[0])


def onnxruntime(files: dict[str, str], task: str) -> tuple[Answer, Count]:
    import numpy as np
    import onnxruntime

    encode, finish = _tokenizer(files), _finish(task, files)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(files["model"], options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def answer(text: str) -> Any:
        got = encode(text)
        feeds = {"input_ids": got.ids, "attention_mask": got.attention_mask, "token_type_ids": got.type_ids}
        return finish(session.run(None, {name: np.array([feeds[name]], np.int64) for name in names})[0][0])

    return answer, lambda text: len(encode(text).ids)


def litert(files: dict[str, str], task: str) -> tuple[Answer, Count]:
    """The file has a signature for each of several lengths: the text is padded to the next one."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    encode, finish = _tokenizer(files), _finish(task, files)
    engine = Interpreter(files["model"], num_threads=1)
    runners = [engine.get_signature_runner(name) for name in engine.get_signature_list()]
    inputs = [next(iter(runner.get_input_details().values()))["shape"] for runner in runners]
    by_length = sorted(((int(shape[1]), runner) for shape, runner in zip(inputs, runners)), key=lambda pair: pair[0])  # noqa: B905
    names = list(runners[0].get_input_details())

    def answer(text: str) -> Any:
        got = encode(text)
        given = {"input_ids": got.ids, "attention_mask": got.attention_mask, "token_type_ids": got.type_ids}
        length, runner = next(pair for pair in by_length if pair[0] >= len(got.ids))
        feeds = {name: np.zeros((1, length), np.int32) for name in names}
        for name in names:
            feeds[name][0, : len(got.ids)] = given[name]
        found = next(iter(runner(**feeds).values()))[0]
        return finish(found[: len(got.ids)] if found.ndim > 1 else found)

    return answer, lambda text: len(encode(text).ids)


def _tokenizer(files: dict[str, str]) -> Callable[[str], Any]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(files["tokenizer"])
    tokenizer.no_padding()  # some models' files pad every text to 128 tokens
    return tokenizer.encode


def _finish(task: str, files: dict[str, str]) -> Callable[[Any], Any]:
    """From the model's output for one text to its answer."""
    import numpy as np

    if task == "feature-extraction":
        return _pooled
    labels = json.loads(Path(files["config"]).read_text())["id2label"]

    def finish(logits: Any) -> Any:
        scores = np.exp(logits - logits.max())
        best = int(scores.argmax())
        return [{"label": labels[str(best)], "score": float(scores[best] / scores.sum())}]

    return finish


def _pooled(hidden: Any) -> Any:
    """The mean over the tokens, at length 1, as sentence-transformers does with this model."""
    mean = hidden.mean(0)
    return mean / math.sqrt(mean @ mean)


def transformers(files: dict[str, str], task: str) -> tuple[Answer, Count]:
    import torch
    from transformers import pipeline

    torch.set_num_threads(1)
    run = pipeline(task, model=files["model"], dtype=torch.float32, device="cpu")

    def answer(text: str) -> Any:
        return _pooled(run(text, return_tensors=True)[0].numpy()) if task == "feature-extraction" else run(text)

    return answer, lambda text: len(run.tokenizer(text)["input_ids"])


def optimum(files: dict[str, str], task: str) -> tuple[Answer, Count]:
    import torch
    from onnxruntime import SessionOptions
    from optimum import onnxruntime as engine
    from transformers import AutoTokenizer

    torch.set_num_threads(1)
    options = SessionOptions()
    options.intra_op_num_threads = 1
    kind, output = HEADS[task]
    model = getattr(engine, kind).from_pretrained(files["model"], file_name=files["name"], session_options=options)
    tokenizer, finish = AutoTokenizer.from_pretrained(files["model"]), _finish(task, files)

    def answer(text: str) -> Any:
        return finish(model(**tokenizer(text, return_tensors="np"))[output][0])

    return answer, lambda text: len(tokenizer(text)["input_ids"])


HEADS = {
    "feature-extraction": ("ORTModelForFeatureExtraction", "last_hidden_state"),
    "text-classification": ("ORTModelForSequenceClassification", "logits"),
}


def llama(files: dict[str, str], _: str) -> tuple[Answer, Count]:
    import llama_cpp

    sizes = {"n_ctx": 512, "n_batch": 512, "n_ubatch": 512, "n_threads": 1, "n_threads_batch": 1}
    model = llama_cpp.Llama(model_path=files["model"], embedding=True, verbose=False, **sizes)
    return lambda text: model.embed(text, normalize=True), lambda text: len(model.tokenize(text.encode()))


# the sides that are given many texts at once, each as its documentation says for that


def edgewright_workers(files: dict[str, str], threads: int) -> Many:
    from edgewright import load

    return load(files["bundle"], format=files["format"], precision="int8", threads=1, workers=threads)


def onnxruntime_batches(files: dict[str, str], threads: int) -> Many:
    """The bare engine on batches of texts of about the same length, the best that a short script does."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(files["tokenizer"])
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(files["model"], options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def many(texts: list[str]) -> Any:
        found = tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda at: len(found[at].ids))
        answers: list[Any] = [None] * len(texts)
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            feeds = {name: np.zeros((len(rows), len(found[rows[-1]].ids)), np.int64) for name in names}
            for at, row in enumerate(rows):
                got = found[row]
                given = {"input_ids": got.ids, "attention_mask": got.attention_mask, "token_type_ids": got.type_ids}
                for name in names:
                    feeds[name][at, : len(got.ids)] = given[name]
            for row, hidden in zip(rows, session.run(None, feeds)[0]):  # noqa: B905
                answers[row] = _pooled(hidden[: len(found[row].ids)])
        return answers

    return many


def sentence_transformers(files: dict[str, str], threads: int) -> Many:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    return SentenceTransformer(files["model"], device="cpu").encode


def fastembed(files: dict[str, str], threads: int) -> Many:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    source, pooled = ModelSource(hf="none/here"), {"pooling": PoolingType.MEAN, "normalization": True}
    TextEmbedding.add_custom_model("here", sources=source, dim=384, model_file=files["name"], **pooled)
    model = TextEmbedding("here", specific_model_path=files["model"], threads=threads)
    return lambda texts: list(model.embed(texts))


def openvino(files: dict[str, str], threads: int) -> Many:
    """A text a request, as many requests at once as the engine finds best for its throughput."""
    import numpy as np
    import openvino as engine

    encode = _tokenizer(files)
    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_NUM_THREADS": threads}
    model = engine.Core().compile_model(files["model"], "CPU", settings)
    names = [one.any_name for one in model.inputs]
    queue = engine.AsyncInferQueue(model)

    def many(texts: list[str]) -> Any:
        answers: list[Any] = [None] * len(texts)

        def take(request: Any, at: int) -> None:
            answers[at] = _pooled(request.get_output_tensor(0).data[0])

        queue.set_callback(take)
        for at, text in enumerate(texts):
            got = encode(text)
            given = {"input_ids": got.ids, "attention_mask": got.attention_mask, "token_type_ids": got.type_ids}
            queue.start_async({name: np.array([given[name]], np.int64) for name in names}, at)
        queue.wait_all()
        return answers

    return many


BATCH = 16
"""Texts of a batch on the bare engine: of 8, 16 and 32 the fastest here."""

MANY = {
    "edgewright": edgewright_workers,
    "onnxruntime": onnxruntime_batches,
    "sentence-transformers": sentence_transformers,
    "fastembed": fastembed,
    "openvino": openvino,
}

SIDES = {
    "edgewright": edgewright,
    "onnxruntime": onnxruntime,
    "litert": litert,
    "transformers": transformers,
    "optimum": optimum,
    "llama": llama,
}

if __name__ == "__main__":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    main()
