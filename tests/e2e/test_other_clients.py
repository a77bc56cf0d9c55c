"""Clients of others that open a decoder's bundle as it is."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from test_decoders import llama2c

import edgewright as ew

pytestmark = pytest.mark.slow

PROMPT = "the road"


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    root = tmp_path_factory.mktemp("clients")
    checkpoint = llama2c(root)
    ew.build(checkpoint, out=root / "writer", precisions=["fp32"])
    return root / "writer"


def wanted(bundle, count):
    with ew.load(bundle) as ours:
        list(ours.stream(PROMPT, max_new_tokens=count, ignore_end=True))
        return ours.ids(PROMPT), ours.last.tokens


def test_onnxruntime_genai_writes_the_same_tokens(writer):
    genai = pytest.importorskip("onnxruntime_genai", reason="it is a client of others, not an engine of ours")
    ids, tokens = wanted(writer, 20)
    model = genai.Model(str(writer))
    asked = genai.GeneratorParams(model)
    asked.set_search_options(max_length=len(ids) + 20, min_length=len(ids) + 20, do_sample=False)
    found = genai.Generator(model, asked)
    found.append_tokens(ids)
    while not found.is_done():
        found.generate_next_token()
    assert list(found.get_sequence(0)) == ids + tokens


def test_transformers_js_writes_the_same_text(writer, tmp_path):
    package = Path("build/node/node_modules/@huggingface/transformers")
    if shutil.which("node") is None or not package.is_dir():
        pytest.skip(
            "transformers.js is not there: npm install --ignore-scripts --prefix build/node @huggingface/transformers"
        )
    script = tmp_path / "ask.mjs"
    script.write_text(
        f"""import {{ pipeline, env }} from '{package.resolve()}/dist/transformers.node.mjs';
        env.allowRemoteModels = false; env.localModelPath = '{writer.parent}/';
        const write = await pipeline('text-generation', 'writer', {{ dtype: 'fp32' }});
        console.log(JSON.stringify(await write('{PROMPT}', {{ max_new_tokens: 12, do_sample: false }})));"""
    )
    done = subprocess.run(["node", script], capture_output=True, text=True, timeout=120, check=True)
    with ew.load(writer) as ours:
        assert json.loads(done.stdout.splitlines()[-1]) == ours(PROMPT, max_new_tokens=12)
