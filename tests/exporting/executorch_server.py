"""Runs a .pte's methods for the Kotlin library on a JVM: `executorch_server.py FILE THREADS`.

engines/ExecuTorch.kt asks it.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.runtimes import executorch

if TYPE_CHECKING:
    from collections.abc import Callable


def taken(form: str) -> Any:
    size = struct.calcsize(form)
    data = sys.stdin.buffer.read(size)
    if len(data) < size:
        sys.exit()
    return struct.unpack(form, data)


def told(found: list[Any], say: Callable[[bytes], object]) -> None:
    say(struct.pack(">i", len(found)))
    for one in found:
        if isinstance(one, int):
            say(struct.pack(">iq", -1, one))
            continue
        array = one.numpy()
        say(struct.pack(f">i{array.ndim}q", array.ndim, *array.shape) + array.astype(">f4").tobytes())


def main() -> None:
    import torch

    path, threads = Path(sys.argv[1]), int(sys.argv[2])
    runtime = executorch.ExecutorchRuntime()
    program = runtime._program(path, threads)
    executorch._register_attention()
    methods: dict[str, Any] = {}
    while True:
        (size,) = taken(">H")
        name = taken(f"{size}s")[0].decode()
        given = []
        for _ in range(taken(">i")[0]):
            shape = taken(f">{taken('>i')[0]}q")
            count = int(np.prod(shape))
            given.append(torch.tensor(taken(f">{count}q"), dtype=torch.int64).reshape(shape))
        methods[name] = methods.get(name) or program.load_method(name)
        told(methods[name](given), sys.stdout.buffer.write)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
