"use strict";
// Sorts the tables marked so by the column that is clicked at.
for (const head of document.querySelectorAll(".sortable th")) {
  head.tabIndex = 0;
  const sort = () => {
    const body = head.closest("table").tBodies[0], at = head.cellIndex;
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[at].textContent;
    const order = (a, b) => {
      const [x, y] = [parseFloat(a), parseFloat(b)];
      if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) || a.localeCompare(b);
      return down ? y - x : x - y;
    };
    body.append(...[...body.rows].sort((a, b) => order(value(a), value(b))));
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
}
// A flame chart is as wide as the screen; a click makes a frame fill it, words in the box mark frames.
for (const chart of document.querySelectorAll("svg.flame")) {
  const frames = [...chart.querySelectorAll("g")].map((group) => {
    const [box, text] = [group.querySelector("rect"), group.querySelector("text")];
    const [x, width] = [parseFloat(box.getAttribute("x")), parseFloat(box.getAttribute("width"))];
    return { group, box, text, x, width, y: box.getAttribute("y"), name: group.dataset.name };
  });
  let focus = frames[0];
  const draw = () => {
    const wide = chart.clientWidth || 960, scale = wide / focus.width;
    chart.setAttribute("viewBox", `0 0 ${wide} ${chart.viewBox.baseVal.height}`);
    for (const one of frames) {
      const left = Math.max((one.x - focus.x) * scale, 0);
      const width = Math.min((one.x + one.width - focus.x) * scale, wide) - left;
      one.group.style.display = width > 0.3 ? "" : "none";
      one.box.setAttribute("x", left);
      one.box.setAttribute("width", Math.max(width - 0.5, 0.3));
      const letters = Math.floor((width - 6) / 7.2);
      one.text.setAttribute("x", left + 4);
      one.text.textContent = letters < 3 ? "" : one.name.length > letters ? one.name.slice(0, letters - 1) + "…" : one.name;
    }
  };
  const found = document.createElement("span"), box = document.createElement("input"), whole = document.createElement("button");
  [box.type, box.placeholder] = ["search", "find a module or an operator"];
  [found.className, whole.textContent] = ["faint", "the whole run"];
  const bar = document.createElement("p");
  bar.className = "finder";
  bar.append(box, whole, found);
  chart.before(bar);
  chart.classList.add("live");
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase(), spans = [];
    for (const one of frames) {
      const hit = words !== "" && one.name.toLowerCase().includes(words);
      one.group.classList.toggle("hit", hit);
      if (hit && !spans.some(([from, to]) => from <= one.x && one.x + one.width <= to + 1)) spans.push([one.x, one.x + one.width]);
    }
    const share = spans.reduce((sum, [from, to]) => sum + to - from, 0) / frames[0].width;
    found.textContent = words ? `${(100 * share).toFixed(1)} % of the run` : "";
  });
  for (const one of frames) one.group.addEventListener("click", () => draw((focus = one)));
  whole.addEventListener("click", () => draw((focus = frames[0])));
  addEventListener("resize", draw);
  draw();
}
