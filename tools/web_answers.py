"""An exported directory in headless Chromium, held against Python.

    tools/web_answers.py starts|tokens|answers DEMO_BUNDLE TOKENIZER.json...
    tools/web_answers.py writing BUNDLE_OF_A_DECODER...
    tools/web_answers.py translating [BUNDLE_OF_A_TRANSLATOR...]

Ids and offsets of the texts that tools/tokens.py has, for each tokenizer; answers of each task, 100 items, for three
tokenizers; and of the demo bundle how long a first answer takes, with and without cross-origin isolation, a secure
context, and a network. Of each decoder the tokens and pieces of each precision, what a cancelled answer leaves, and how
fast it writes. Of translators, those of tools/c_translations.py too, its sentences in its ways. docs/apps.md has the
last result. Needs chromium (or firefox-esr, with $BROWSER=firefox), and npm or build/onnxruntime-web.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[1]
BELOW = "/some/path/"
"""Where the site is on the server: not at its top."""
BATCH = 50_000
"""Texts that the page gets at a time."""
LONGEST_S = 600
"""For a page: half a million texts take a minute."""
STARTS = 5
"""First visits that are timed, each with a second one."""
TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".json": "application/json"}
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
STRICT = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'unsafe-inline'"
}
sys.path[:0] = [str(ROOT / "tests" / "exporting"), str(ROOT / "tools")]

import onnx  # noqa: E402
import python_side  # noqa: E402
import tiny_models  # noqa: E402
import token_texts  # noqa: E402
import web_pages  # noqa: E402
from load_tool import load_tool  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

import edgewright  # noqa: E402
from edgewright.bundle.bundle import Bundle  # noqa: E402
from edgewright.errors import SourceError  # noqa: E402
from edgewright.exporting import web  # noqa: E402
from edgewright.exporting.tokenizer_file import tokenizer_file  # noqa: E402

engine = next(
    (one.parent for one in ROOT.glob("build/onnxruntime-web/ort-wasm-simd-threaded.mjs")), None
)  # else by npm


class Site:
    """A server of an exported directory, and of the page that a job is done in."""

    def __init__(self, directory: Path, headers: dict[str, str] | None = None) -> None:
        self.directory, self.headers = directory, headers or {}
        self.job: dict[str, Any] = {}
        self.texts: list[list[str]] = []
        self.tokens: dict[int, tuple[bytes, float]] = {}
        self.asked: list[str] = []
        self.modules_alone = False
        self.said: Any = None
        self.done = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                site.asked.append(path)
                found = site.got(path)
                self.send_response(404 if found is None else 200)
                for name, value in {**site.headers, "Cache-Control": "no-store"}.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", TYPES.get(Path(path).suffix, "application/octet-stream"))
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # of a browser that is ended
                    self.wfile.write(found or b"")

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.startswith("/tokens/"):
                    at, _, took = self.path.removeprefix("/tokens/").partition("?")
                    site.tokens[int(at)] = data, float(took)
                else:
                    site.said = json.loads(data)
                    site.done.set()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def got(self, path: str) -> bytes | None:
        """What the server has at a path."""
        if path == "/page.html":
            return b'<!doctype html><meta charset="utf-8"><body><script type="module" src="/page.mjs"></script></body>'
        if path == "/page.mjs":
            return (ROOT / "tools" / "web_page.mjs").read_bytes()
        if path == "/job":
            return json.dumps(self.job).encode()
        if path.startswith("/texts/"):
            return json.dumps(self.texts[int(path.removeprefix("/texts/"))]).encode()
        file = self.directory / path.removeprefix(BELOW)
        if not path.startswith(BELOW) or not file.is_file():
            return None
        return None if self.modules_alone and file.suffix not in (".js", ".mjs", ".html") else file.read_bytes()

    def ask(self, profile: Path, host: str = "127.0.0.1", **job: Any) -> Any:
        """Do a job in a fresh browser; what its page said. Chromium reaches nothing but this server."""
        self.job = {"site": BELOW, "model": f"{BELOW}model/", "options": {}, **job}
        self.done.clear()
        argv = started(profile, host, f"http://{host}:{self.server.server_port}/page.html")
        browser = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if not self.done.wait(LONGEST_S):
                raise SystemExit(f"the page said nothing in {LONGEST_S} s")
            time.sleep(2)  # for what it still writes to its cache: Firefox is slower than the page
        finally:
            browser.terminate()
            browser.wait()
        return self.said


def started(profile: Path, host: str, url: str) -> list[str]:
    """The words that start a browser: Chromium, or Firefox where $BROWSER names it."""
    profile.mkdir(exist_ok=True)
    if os.environ.get("BROWSER") == "firefox":
        (profile / "user.js").write_text(f'user_pref("network.dns.localDomains", "{host}");\n')
        return ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile), url]
    rules = f"MAP {host} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    ways = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}")
    return ["chromium", *ways, f"--host-resolver-rules={rules}", url]


@contextlib.contextmanager
def serving(directory: Path, headers: dict[str, str] | None = None) -> Iterator[Site]:
    site = Site(directory, headers)
    try:
        yield site
    finally:
        site.server.shutdown()
        site.server.server_close()


def tokens(site: Path, scratch: Path, names: list[str]) -> int:
    """Ids and offsets of every text by each tokenizer; how many are other ones."""
    wrong = 0
    settings = (site / "model" / "model.txt").read_text(encoding="utf-8").split("\n")
    endless = [f"max_length {(1 << 24) - 1}" if line.startswith("max_length ") else line for line in settings]
    shared = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
    for name in names:
        place = scratch / "tokens" / Path(name).parent.name
        shutil.copytree(site, place)
        (place / "model" / "model.txt").write_text("\n".join(endless), encoding="utf-8")
        (place / "model" / "tokenizer.bin").write_bytes(tokenizer_file(Path(name).read_bytes()))
        (place / "model" / "files.json").unlink()
        web.list_files(place / "model", sorted(path.name for path in (place / "model").iterdir()))
        backend = Tokenizer.from_file(name)
        backend.no_truncation()
        backend.no_padding()
        added = [token.content for token in backend.get_added_tokens_decoder().values()]
        for kind, texts in load_tool("tokens").sets(shared, added).items():
            with serving(place) as server:
                server.texts = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
                said = server.ask(scratch / "profile", kind="tokens", batches=len(server.texts))
                if said:
                    raise SystemExit(str(said))
                bad, took = [], 0.0
                for at, some in enumerate(server.texts):
                    data, milliseconds = server.tokens[at]
                    took += milliseconds
                    found = token_texts.parsed(data, len(some))
                    bad += [
                        text
                        for text, (ids, offsets), right in zip(some, found, backend.encode_batch(some), strict=True)
                        if ids != right.ids or offsets != right.offsets
                    ]
            wrong += len(bad)
            rate = f"{len(texts) / took * 1000:,.0f} texts/s"
            print(f"{place.name}, {kind}: {len(bad)} of {len(texts)} differ, {rate}", *map(repr, bad[:3]), flush=True)
    return wrong


def answers(scratch: Path) -> int:
    """Every task's answers beside Python's; how many are other ones."""
    wrong, given = 0, load_tool("c_answers")
    for family in given.FAMILIES:
        for task, ways in given.TASKS.items():
            place = scratch / family / task
            source = tiny_models.make(
                family, task, place / "source", labels=given.LABELS.get(task, ()), length=96, std=0.3
            )
            edgewright.build(
                source, task=task, formats=["onnx"], precisions=["fp32"], out=place / "bundle", progress=lambda _: None
            )
            web.export_web(place / "bundle", out=place / "site", engine=engine)
            with edgewright.load(place / "bundle", careful=False) as pipeline, serving(place / "site") as server:
                asked = given.items(task, pipeline.tokenizer.mask_token if task == "fill-mask" else "")
                said = server.ask(scratch / "profile", kind="calls", calls=[[asked, way] for way in ways])
                for way, mine in zip(ways, said.get("answers", [said] * len(ways)), strict=True):
                    theirs = json.loads(json.dumps(pipeline(asked, **way), default=lambda one: one.tolist()))
                    bad = (
                        [web_pages.unlike(a, b) for a, b in zip(mine, theirs, strict=True)]
                        if isinstance(mine, list)
                        else [mine]
                    )
                    bad = [one for one in bad if one]
                    wrong += len(bad)
                    print(
                        family, task, way, f"{len(bad)} of {len(asked)} differ", *bad[:2], said.get("check"), flush=True
                    )
            shutil.rmtree(place)
    return wrong


def starts(site: Path, scratch: Path) -> int:
    """How long a page takes to its first answer, and whether it answers wherever it should."""
    text, wrong = "a charming and often affecting journey", 0
    for name, headers, host, options in (
        ("plain", {}, "127.0.0.1", {}),
        ("isolated, strict policy, two threads", {**ISOLATED, **STRICT}, "127.0.0.1", {"threads": 2}),
        ("no secure context", {}, "example.test", {}),
        ("in the page's own thread", {}, "127.0.0.1", {"worker": False}),
    ):
        with serving(site, headers) as server:
            first, second = [], []
            for at in range(STARTS):
                profile = scratch / f"{name}-{at}"
                for times in (first, second):
                    said = server.ask(profile, host, kind="calls", calls=[[text], [[text, "dull"]]], options=options)
                    wrong += "first" not in said
                    times.append(said.get("first", 0))
            outside = {path for path in server.asked if not path.startswith(BELOW)} - {
                "/page.html",
                "/page.mjs",
                "/job",
            }
            server.modules_alone = True
            offline = server.ask(profile, host, kind="calls", calls=[[text]], options=options)
            print(
                f"{name}: first answer {statistics.median(first):.0f} ms, second visit {statistics.median(second):.0f}"
            )
            print(" ", json.dumps(said))
            print("  asked for beside the site's files:", sorted(outside))
            print("  without a network, but for the modules:", offline.get("answers", offline), flush=True)
            server.modules_alone = False
            if name == "plain":
                print("demo page:", server.ask(scratch / "demo", kind="demo", text=text), flush=True)
    return wrong


def writing(scratch: Path, bundles: list[str]) -> int:
    """What decoders write beside Python's; how many answers are other ones."""
    wrong, given = 0, load_tool("c_writing")
    for bundle in map(Path, bundles):
        for artifact in Bundle.open(bundle).manifest.artifacts:
            if artifact.format == "onnx":
                site = scratch / "sites" / bundle.name / artifact.precision
                site.parent.mkdir(parents=True, exist_ok=True)
                web.export_web(bundle, out=site, precision=artifact.precision, engine=engine)
                wrong += written(given, bundle, artifact.precision, site, scratch / "profile")
                shutil.rmtree(site)
    return wrong


def translating(scratch: Path, bundles: list[str]) -> int:
    """What translators write beside Python's; how many translations are other ones."""
    wrong, given = 0, load_tool("c_translations")
    logging.disable()  # what is cut is told of every text
    texts = given.sentences()
    for bundle in [*given.bundles(scratch), *map(Path, bundles)]:
        for artifact in Bundle.open(bundle).artifacts("onnx", None):
            site = scratch / "sites" / bundle.name / artifact.precision
            site.parent.mkdir(parents=True, exist_ok=True)
            web.export_web(bundle, out=site, precision=artifact.precision, engine=engine)
            with (
                edgewright.load(
                    unrounded(bundle, artifact.precision, site.parent),
                    format="onnx",
                    precision=artifact.precision,
                    careful=False,
                    threads=1,
                ) as translator,
                serving(site) as server,
            ):
                asked = given.asked_of(translator, texts)
                bad: list[Any] = []
                spent = []
                for way in given.WAYS:  # a page each: at int8 a text takes ten times as long
                    said = server.ask(scratch / "profile", kind="writing", items=[(text, way) for text in asked])
                    bad += [] if "answers" in said else [said]
                    for text, mine in zip(asked, said.get("answers", ()), strict=False):
                        theirs = python_side.translation(translator, text, way)
                        if (mine.get("tokens"), mine.get("pieces")) != theirs:
                            bad.append((text, way, mine, theirs))
                    spent.append(
                        [one["prefill_s"] + one["decode_s"] for one in said.get("answers", ()) if "why" not in one]
                    )
                wrong += len(bad)
                print(
                    f"{bundle.name} {artifact.key}: {len(bad)} of {len(asked) * len(given.WAYS)} differ",
                    *bad[:3],
                    flush=True,
                )
                ways = dict(zip(("greedy", "4 beams"), spent, strict=False))
                times = [f"{name} {1e3 * statistics.median(some):.1f} ms" for name, some in ways.items() if some]
                print("  medians of a text:", *times, said.get("check"))
            print("  demo page:", demonstrated(site, scratch / "profile"), flush=True)
            shutil.rmtree(site)
    return wrong


def demonstrated(site: Path, profile: Path) -> Any:
    with serving(site) as server:
        return server.ask(profile, kind="demo", text="Turn on the lights.", writes=True)


def unrounded(bundle: Path, precision: str, to: Path) -> Path:
    """A copy of a bundle whose quantized matrices are multiplied with float32; the bundle where none is."""
    opened = Bundle.open(bundle)
    changed = {}
    for path in opened.parts(opened.choose(format="onnx", precision=precision)):
        model = onnx.load(bundle / path, load_external_data=False) if path.endswith(".onnx") else None
        levels = (
            [one for node in model.graph.node for one in node.attribute if one.name == "accuracy_level"]
            if model
            else ()
        )
        for level in levels:
            level.i = 1  # of MatMulNBits: float32
        if model and levels:
            changed[path] = model.SerializeToString()
    if not changed:
        return bundle
    copy = to / f"{bundle.name}-unrounded"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(bundle, copy)
    said = (copy / "manifest.json").read_text(encoding="utf-8")
    for path, data in changed.items():
        said = said.replace(hashlib.sha256((bundle / path).read_bytes()).hexdigest(), hashlib.sha256(data).hexdigest())
        (copy / path).write_bytes(data)
    (copy / "manifest.json").write_text(said, encoding="utf-8")
    return copy


def written(given: ModuleType, bundle: Path, precision: str, site: Path, profile: Path) -> int:
    """Of one artifact: every prompt, conversations where it takes them, greedy and three ways of drawing.

    The engine has no kernel in WebAssembly that rounds what goes into a quantized matrix: Python's does here as little.
    """
    with (
        edgewright.load(
            unrounded(bundle, precision, site.parent), precision=precision, careful=False, threads=1
        ) as writer,
        serving(site) as server,
    ):
        try:
            chats = bool(writer.template)
        except SourceError:
            chats = False
        asked: list[Any] = [one for one in given.PROMPTS if writer.ids(one)]
        asked += [[{"role": "user", "content": one}] for one in (*asked[:3], "a <|im_end|> b")] * chats
        most = {"max_new_tokens": int(os.environ.get("NEW_TOKENS", given.GREEDY)), "ignore_end": not chats}
        items = [(one, {**most, **settings}) for settings in ({}, *given.SEEDED) for one in asked]
        said = server.ask(profile, kind="writing", items=[*items, (asked[0], {"max_new_tokens": 500}, 3)])
        bad: list[Any] = [] if "answers" in said else [said]
        for (one, settings), mine in zip(items, said.get("answers", ()), strict=False):
            pieces, theirs = list(writer.stream(one, **settings)), writer.last
            same = mine.get("tokens") == theirs.tokens and mine["pieces"] == pieces
            same &= [mine.get(name) for name in ("reason", "reused")] == [theirs.reason, theirs.reused]
            if not same:
                found = mine.get("tokens", [])
                at = next((i for i, (a, b) in enumerate(zip(found, theirs.tokens, strict=False)) if a != b), len(found))
                bad.append((one, settings, f"token {at}", mine.get("why", "")))
        if "answers" in said:
            speeds = [(len(one["tokens"]) - 1) / one["decode_s"] for one in said["answers"][:-1] if one["decode_s"]]
            print(f"  {statistics.median(speeds):.1f} tokens/s; opened after {said['opened']:.0f} ms;", said["check"])
            print("  left after 3 pieces:", len(said["answers"][-1]["tokens"]), said["answers"][-1]["reason"])
            print("  demo page:", server.ask(profile, kind="demo", text="Once upon a time", writes=True, stops=True))
        print(f"{bundle.name} {precision}: {len(bad)} of {len(items)} answers differ", *bad[:3], flush=True)
    return len(bad)


def main() -> int:
    part, *names = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        if part in ("writing", "translating"):
            return int({"writing": writing, "translating": translating}[part](scratch, names) > 0)
        web.export_web(names.pop(0), out=scratch / "site", precision="int8", engine=engine)
        parts = {
            "starts": lambda: starts(scratch / "site", scratch),
            "tokens": lambda: tokens(scratch / "site", scratch, names),
            "answers": lambda: answers(scratch),
        }
        wrong = parts[part]()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
