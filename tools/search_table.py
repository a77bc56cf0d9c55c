"""Train, build and time every point of a small space, once, so that searches of it can be replayed in no time.

    tools/search_table.py ../shared/data/sst2 tests/searching/search_table.json

Students of the demo model, distilled on the first 2,000 rows of SST-2, one thread. What is in the file already is not
made again.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgewright import build
from edgewright.bundle.bundle import Bundle
from edgewright.compression.steps import Setting
from edgewright.errors import GateFailed
from edgewright.measure.bench import bench
from edgewright.measure.plan import Plan
from edgewright.model.source import Source, open_source
from edgewright.searching.space import Space
from edgewright.searching.trial import make
from edgewright.training.answers import cache_dir
from edgewright.training.hush import hush

ROOT = Path(__file__).parents[1]
SPACE, ROWS = ROOT / "tests/searching/search_space.toml", 2000
PLAN = Plan(tokens=(32,), processes=2, runs=50, least_ms=100, warmup_ms=100)


def measured(model: Source, work: Path, dev: Path, precisions: list[str]) -> dict[str, dict[str, Any]]:
    """Each precision's score, latency and size, or why there is none."""
    try:
        bundle = build(model.directory, out=work / "bundle", formats=["onnx"], precisions=precisions, data=dev)
        failed = ""
    except GateFailed as error:
        bundle, failed = Bundle.open(work / "bundle"), str(error)
    rows = {row.artifact.precision: row for row in bench(bundle, PLAN).rows}
    found = {
        name: {
            "score": row.artifact.score.value,
            "latency_ms": row.latency_ms.median,
            "size_bytes": row.artifact.size_bytes,
            "grade": row.grade,
        }
        for name, row in rows.items()
    }
    return {name: found.get(name, {"reason": failed}) for name in precisions}


def main(data: Path, out: Path) -> None:
    hush()
    model, table = open_source(ROOT / "tools/demo/model"), {}
    if out.is_file():
        table = json.loads(out.read_text())
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder) / "train.tsv"
        train.write_text("".join((data / "train.tsv").read_text().splitlines(keepends=True)[: ROWS + 1]))
        setting = Setting(model.directory, train, data / "dev.tsv", cache_dir(), 0, 1, lambda _: None)
        space = Space.read(SPACE, model, setting)
        precisions = list(space.choices[-1].values)
        for point in (point for point in space.points if point[-1] == 0):
            keys = [" ".join(map(str, (*point[:-1], at))) for at in range(len(precisions))]
            if all(key in table for key in keys):
                continue
            work = Path(folder) / keys[0].replace(" ", "-")
            made = make(model, space.recipe(point), work, setting)
            for key, found in zip(keys, measured(made, work, data / "dev.tsv", precisions).values(), strict=True):
                table[key] = found
                print(key, found, flush=True)
            part = out.with_suffix(".part")
            part.write_text("{\n" + ",\n".join(f'"{k}": {json.dumps(v)}' for k, v in sorted(table.items())) + "\n}\n")
            part.replace(out)


if __name__ == "__main__":
    os.nice(15)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
