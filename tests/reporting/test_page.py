"""The report of a run: a page that needs nothing else, and what hostile names do to it."""

import base64
import csv
import html
import io
import itertools
import json
import re
import shutil
import struct
import subprocess
import time
import zlib
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lighter import first
from measured import ARTIFACT, FOUND, row, run, samples

from edgewright.bundle import manifest
from edgewright.bundle.manifest import Score
from edgewright.contracts.operators import Operator, Trace
from edgewright.errors import DataError
from edgewright.measure.profile import Profile
from edgewright.measure.roofline import Roofline
from edgewright.measure.rows import MachineState
from edgewright.reporting import charts, flame
from edgewright.reporting import page as report

EVIL = "<script>alert(1)</script>\"'&|"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def full(count=6, source="a" * 64):
    rows = []
    for at in range(count):
        score = Score("accuracy", 85.0 + at % 3, 268, "dev.tsv", 86.0)
        artifact = ARTIFACT.__class__(
            f"onnx/m{at % 5}.onnx", "onnx", f"p{at % 5}", 10**6 * (1 + at % 5), "0" * 64, (), (), ARTIFACT.parity, score
        )
        rows.append(row(samples(0.5 + at, 5, at), artifact=artifact, tokens=16 * (1 + at // 5)))
    return run(*rows, source=source)


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.addresses = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "action")]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def profiled(artifact=ARTIFACT, **names):
    """A profile of an artifact, each of whose operators has the fields `names`."""
    each = ({"name": f"{at}", "kind": f"Kind {at}", "layer": f"a.layer.{at}", **names} for at in range(30))
    operators = tuple(Operator(**one, start_ms=at, time_ms=1.0, macs=10**7) for at, one in enumerate(each))
    return Profile(
        artifact, "onnxruntime", 16, Trace(operators, 32.0, 31.0, 10, "XNNPACK"), Roofline(1, 50.0, 200.0, 30.0)
    )


def test_a_page_is_whole_and_needs_nothing_else():
    begin = time.process_time()
    page = report.html(full(50))
    assert time.process_time() - begin < 2
    tags = Tags(page)
    assert tags.open == []
    assert [address.partition(",")[0] for address in tags.addresses] == [
        "data:text/csv;base64",
        "data:application/json;base64",
    ]
    assert tags.seen.count("script") == 1
    assert "url(" not in page
    assert "http:" not in page
    assert "https:" not in page
    assert len(page) < 3_000_000
    assert tags.seen.count("svg") == 5 * 2


def test_what_a_file_says_is_text_and_nothing_else():
    made = full(2)
    hostile = run(
        *(row(samples(1.0), bundle=EVIL, task=EVIL, engine=EVIL, data=EVIL, reasons=(EVIL,)) for _ in range(2))
    )
    for page in (
        report.html(hostile),
        report.html(hostile, made.__class__(**{**fields(hostile), "problems": (EVIL,)})),
    ):
        assert page.count("<script") == 1  # its own
        assert "&lt;script&gt;" in page
        assert Tags(page).open == []
    assert "<script" not in report.markdown(hostile)
    assert {line.count("|") for line in report.markdown(hostile).splitlines()[2:]} == {15}


def test_operators_have_bars_and_what_fell_back_is_said():
    run_ = full(3)
    page = report.html(run_, None, [profiled(row.artifact) for row in run_.rows])
    tags = Tags(page)
    assert (tags.open, tags.seen.count("svg")) == ([], 2 * (4 + 2 * 3))
    assert page.count("3.1 %, 10 GMAC/s, compute-bound") == 2 * 3 * 2 * 10
    assert page.count(">20 others<") == 2 * 3 * 2
    assert "outside XNNPACK: 30 of 30 operators, 30 ms, 93.8 %" in page
    assert "| between operators | 0 | 2 | 6.2% | - |" in report.markdown(run_, None, [profiled(run_.rows[0].artifact)])
    stranger = profiled(ARTIFACT.__class__(**{**fields(ARTIFACT), "sha256": "f" * 64}))
    for render in (report.html, report.markdown):
        with pytest.raises(DataError, match="is of the file ffffffffffff…, which the run did not measure"):
            render(run_, None, [stranger])


def test_hostile_names_of_operators_stay_text():
    run_ = full(2)
    evil = profiled(run_.rows[0].artifact, name=EVIL, kind=EVIL, layer=EVIL, ran_by=EVIL)
    page = report.html(run_, None, [evil])
    assert page.count("<script") == 1
    assert Tags(page).open == []
    assert "<script" not in report.markdown(run_, None, [evil])


def made_void(one):
    return one.__class__(**{**fields(one), "grade": "void", "reasons": ("other processes took 40% of the machine",)})


def test_no_void_row_is_the_fastest_nor_on_the_line_of_the_best():
    first, second, *_ = full(3).rows  # the first is the faster one
    page = report.html(run(made_void(first), second))
    assert f">fastest</span><b>{second.artifact.key}<" in page
    assert f"{first.artifact.key} void" in page
    assert "1 of 2 rows void" in page
    assert 'class="front"' not in page


def test_where_every_row_is_void_no_artifact_is_the_fastest():
    page = report.html(run(*map(made_void, full(3).rows)))
    assert "fastest</span>" not in page
    assert "No artifact is the fastest of this run: measure again on a quieter machine." in page


def test_a_void_row_is_neither_slower_nor_faster_than_the_baseline():
    first, *others = full(3).rows
    slower = first.__class__(**{**fields(first), "samples_ms": samples(5.0)})
    for found, words in (((slower, *others), " slower<"), ((made_void(slower), *others), " void<")):
        assert words in report.html(run(*found), full(3))
    assert "| void | void |" in report.markdown(run(made_void(slower), *others), full(3))


def test_a_run_that_was_cut_short_says_so():
    cut = full(2).__class__(**{**fields(full(2)), "cut_short": "the connection was lost at onnx/int8"})
    assert "the connection was lost at onnx/int8" in report.html(cut)


def fields(record):
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_a_baseline_is_compared_and_one_of_another_model_refused():
    assert "Against the baseline" in report.html(full(3), full(3))
    assert "of the baseline" in report.markdown(full(3), full(3))
    with pytest.raises(DataError, match="the baseline is of the model"):
        report.html(full(3), full(3, source="b" * 64))


@pytest.mark.parametrize("count", [1, 2])
def test_a_single_row_has_a_page_too(count):
    assert Tags(report.html(run(*[row(samples(1.0))] * count))).seen.count("svg") == 4 * 2


def test_it_names_bundle_and_model_and_shows_no_nothing_and_no_twelve_digits():
    state = MachineState(temperature_c=51.23456789, clock_mhz=2799.998123456)
    after = MachineState(temperature_c=55.5, clock_mhz=2799.998123456)
    page = report.html(run(row(samples(1.0), bundle="sentiment", before=state, after=after)))
    assert "<h1>sentiment: text-classification on a board</h1>" in page
    assert f'<code class="hash">{"a" * 64}</code>' in page
    text = re.sub(r"<style>.*?</style>|<script>.*?</script>|base64,[^\"]*|<[^>]*>", " ", page, flags=re.DOTALL)
    assert "None" not in text
    assert re.findall(r"\d\.\d{6,}", text) == []
    assert "<td>51.23 → 55.5</td><td>2800</td>" in page
    assert "governor" not in page


def test_what_is_downloaded_is_the_run():
    run_ = full(3)
    found = re.findall(r'download="([^"]+)" href="data:[^,]+,([^"]+)"', report.html(run_))
    files = {name: base64.b64decode(data) for name, data in found}
    assert manifest.decode(files["run.json"], run_.__class__, "run.json") == run_
    lines = list(csv.DictReader(io.StringIO(files["rows.csv"].decode())))
    assert [line["artifact"] for line in lines] == [row.artifact.key for row in run_.rows]


TEXT = re.compile(r'<text x="([^"]+)" y="([^"]+)" class="small(?: strong)?">([^<]+)</text>')
DOT = re.compile(r'<circle cx="([^"]+)" cy="([^"]+)" r="([^"]+)"')
PLACES = st.lists(
    st.tuples(st.sampled_from([0.5, 0.51, 0.52, 0.9, 4.0]), st.sampled_from([85.0, 85.1, 86.0]), st.integers(1, 9)),
    min_size=8,
    max_size=8,
)


@given(PLACES)
def test_labels_of_eight_artifacts_cover_neither_each_other_nor_a_point(places):
    points = [charts.Point(x, y, size, f"executorch/int8-{at}", "") for at, (x, y, size) in enumerate(places)]
    for drawn in str(charts.scatter(points, "ms", "%")).split("<svg")[1:]:
        width = 720 if 'viewBox="0 0 720' in drawn else 360
        texts = [(float(x), float(y), len(name)) for x, y, name in TEXT.findall(drawn)]
        boxes = [(x, y - 10, x + 6.8 * letters, y + 3) for x, y, letters in texts]
        dots = [(x - r, y - r, x + r, y + r) for x, y, r in (map(float, found) for found in DOT.findall(drawn))]
        assert len(boxes) == 8 or (width == 360 and len(boxes) >= 6)
        assert all(left >= 0 and right <= width and top >= 0 and bottom <= 340 for left, top, right, bottom in boxes)
        for one, other in [*itertools.combinations(boxes, 2), *itertools.product(boxes, dots)]:
            apart = one[2] <= other[0] + 0.02 or other[2] <= one[0] + 0.02
            assert apart or one[3] <= other[1] + 0.02 or other[3] <= one[1] + 0.02


def test_a_score_is_drawn_from_below_its_least_and_a_latency_from_zero():
    line = [charts.Series("accuracy", ((0.0, 84.0), (10.0, 86.0)))]
    assert ">0</text>" not in str(charts.curves(line, "", "", from_zero=False)).replace('middle">0</text>', "")
    assert 'end">0</text>' in str(charts.curves(line, "", ""))


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no chromium is installed to open the page in")
@pytest.mark.parametrize(("scheme", "ground"), first(1, [("0", (0x14, 0x18, 0x1C)), ("1", (0xFF, 0xFF, 0xFF))]))
def test_a_browser_draws_it_light_and_dark_without_a_complaint(scheme, ground, tmp_path):
    found = full()
    (tmp_path / "report.html").write_text(report.html(found, full(), [profiled(row.artifact) for row in found.rows]))
    shot = tmp_path / "shot.png"
    argv = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--screenshot={shot}", "--window-size=900,2400"]
    argv += [
        f"--blink-settings=preferredColorScheme={scheme}",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path}/u",
    ]
    done = subprocess.run(
        [*argv, (tmp_path / "report.html").as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    assert "CONSOLE" not in done.stderr  # such as of a script that the page does not allow
    pixels = picture(shot.read_bytes())
    assert pixels[0][0] == ground
    assert len({pixel for line in pixels[::10] for pixel in line[::5]}) > 20


def picture(data):
    """The pixels of a PNG of 8 bits without an alpha channel, or with one that is left out."""
    width, height, _, kind = struct.unpack(">IIBB", data[16:26])
    size, at, packed = {2: 3, 6: 4}[kind], 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        packed += data[at + 8 : at + 8 + length] if data[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    raw, above, lines = zlib.decompress(packed), bytearray(width * size), []
    for y in range(height):
        start = y * (width * size + 1)
        line = unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + width * size]), above, size)
        lines.append([tuple(line[x : x + 3]) for x in range(0, len(line), size)])
        above = line
    return lines


def unfiltered(how, line, above, size):
    for x in range(len(line)):
        left, corner = (line[x - size], above[x - size]) if x >= size else (0, 0)
        guess = left + above[x] - corner
        paeth = min((left, above[x], corner), key=lambda value: abs(guess - value))
        line[x] = (line[x] + (0, left, above[x], (left + above[x]) // 2, paeth)[how]) % 256
    return line


ASK = """<script>
const heads = [...document.querySelectorAll(".sortable th")], column = heads.find((one) => one.textContent === "ms");
const body = column.closest("table").tBodies[0];
const cells = () => [...body.rows].map((row) => row.cells[0].textContent).join();
const [box, flame] = [document.querySelector(".finder input"), document.querySelector("svg.flame")];
const named = (name) => [...flame.querySelectorAll("g")].filter((one) => one.dataset.name === name)[0];
column.click(); const down = cells();
column.click(); const up = cells();
box.value = "DENSE"; box.dispatchEvent(new Event("input"));
const share = document.querySelector(".finder .faint").textContent;
named("encoder").dispatchEvent(new Event("click"));
const wide = named("encoder").querySelector("rect").getAttribute("width") / flame.clientWidth;
const [hit, fits] = [named("dense").classList.contains("hit"), document.body.scrollWidth <= innerWidth];
document.title = JSON.stringify([down, up, share, wide > 0.98, hit, fits]);
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no chromium is installed to open the page in")
def test_on_a_phone_the_tables_sort_and_the_flame_chart_finds_and_zooms(tmp_path):
    page = re.sub(r"<meta http-equiv[^>]*>", "", flame.page(FOUND)).replace("</body>", f"{ASK}</body>")
    (tmp_path / "profile.html").write_text(page)
    argv = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,900", "--dump-dom"]
    argv += [f"--user-data-dir={tmp_path}/u", (tmp_path / "profile.html").as_uri()]
    dom = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout
    kinds = "MatMul,Add,between operators,Shape"
    told = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom)[1]))
    assert told == [kinds, ",".join(kinds.split(",")[::-1]), "50.0 % of the run", True, True, True]
