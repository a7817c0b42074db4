"use strict";
(() => {
  const root = document.documentElement;
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);
  const narrow = matchMedia("(max-width: 600px)");
  const coarse = matchMedia("(pointer: coarse)");
  const still = matchMedia("(hover: none)");
  // Plotly's own default offers to upload the chart; nothing leaves this page.
  const config = {
    displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "",
    displayModeBar: still.matches ? false : "hover",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };

  // Plots: tokens such as "@ink" become the page's CSS variables, under keys for colours alone.
  function themed(node, style, colour = false) {
    if (typeof node === "string") {
      return colour && node[0] === "@" ? style.getPropertyValue("--" + node.slice(1)).trim() : node;
    }
    if (!node || typeof node !== "object") return node;
    if (Array.isArray(node)) {
      const deep = colour || (node[0] && typeof node[0] === "object");
      return deep ? node.map(inner => themed(inner, style, colour)) : node;
    }
    const copy = {};
    for (const [key, value] of Object.entries(node)) copy[key] = themed(value, style, /color(scale)?$/.test(key));
    return copy;
  }
  // Plotly is three quarters of the page: it travels packed and is read once the page stands.
  let library;
  async function unpacked() {
    const packed = document.getElementById("plotly").textContent;
    const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const code = document.createElement("script");
    code.textContent = await new Response(stream).text();
    document.head.append(code);
  }
  async function draw(plot) {
    plot.dataset.drawn = "yes";
    if (!window.Plotly) await (library ??= unpacked());
    const figure = JSON.parse(document.querySelector(`script[data-for="${plot.id}"]`).textContent);
    const style = getComputedStyle(root);
    const layout = themed(figure.layout, style);
    layout.font.family = getComputedStyle(document.body).fontFamily;
    if (narrow.matches) for (const [path, value] of Object.entries(figure.narrow || {})) {
      const keys = path.split("."), last = keys.pop();
      keys.reduce((inner, key) => inner[key], layout)[last] = value;
    }
    if (coarse.matches) {  // a finger scrolls the page, it does not zoom
      layout.dragmode = false;
      layout.xaxis.fixedrange = layout.yaxis.fixedrange = true;
    }
    if (root.classList.contains("printing")) layout.width = plot.closest(".plots").children.length > 1 && !plot.closest(".wide") ? 290 : 640;
    return Plotly.react(plot, figure.data.map(trace => themed(trace, style)), layout, config);
  }
  const redraw = () => each(".plot[data-drawn]", plot => plot.hidden || draw(plot));
  const watch = new IntersectionObserver(entries => entries.forEach(entry => {
    if (!entry.isIntersecting) return;
    watch.unobserve(entry.target);
    if (!entry.target.dataset.drawn) draw(entry.target);
  }), { rootMargin: "600px" });
  each(".plot", plot => watch.observe(plot));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);
  addEventListener("beforeprint", () => { root.classList.add("printing"); each(".plot:not([hidden])", draw); });
  addEventListener("afterprint", () => { root.classList.remove("printing"); redraw(); });

  each(".switch button", button => button.addEventListener("click", () => {
    for (const other of button.parentElement.children) {
      const on = other === button, plot = document.getElementById(other.dataset.shows);
      other.setAttribute("aria-pressed", on);
      plot.hidden = !on;
      if (on) draw(plot);
    }
  }));

  // Tables: missing values stay last, whichever way is sorted.
  const isData = row => !row.classList.contains("group");
  const value = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  function compare(a, b) {
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  }
  each("table.sortable th button", button => button.addEventListener("click", () => {
    const head = button.parentElement, column = head.cellIndex;
    const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
    const missing = text => text === "" || text === "nan";
    // Each group is sorted by itself, below its title.
    for (const body of head.closest("table").tBodies) {
      const rows = [...body.rows].filter(isData).map(row => [value(row, column), row]);
      rows.sort(([a], [b]) => missing(a) - missing(b) || way * compare(a, b));
      body.append(...rows.map(([, row]) => row));
    }
  }));
  // A filter is words that a row must hold, and conditions such as r>=16 or pearson>0.8.
  const plain = text => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  function condition(word, heads) {
    const parts = /^(\D[^<>=]*)(<=|>=|<|>|=)(.+)$/.exec(word);
    if (!parts) return row => [...row.cells].some(cell => cell.textContent.toLowerCase().includes(word));
    const [, name, sign, bound] = parts;
    // In full before its last words: `r` is not `lr`. `loraparams` is `LoRA params`.
    const column = [
      head => head === plain(name),
      head => head.replaceAll(" ", "") === plain(name).replaceAll(" ", ""),
      head => head.endsWith(" " + plain(name)),
    ].map(fits => heads.findIndex(fits)).find(place => place >= 0);
    if (column === undefined) return () => false;
    const test = { "<": x => x < 0, ">": x => x > 0, "<=": x => x <= 0, ">=": x => x >= 0, "=": x => x === 0 }[sign];
    return row => value(row, column) !== "" && test(compare(value(row, column).toLowerCase(), bound));
  }
  each(".filter", input => input.addEventListener("input", () => {
    const table = document.getElementById(input.dataset.table);
    const heads = [...table.tHead.rows[0].cells].map(cell => plain(cell.textContent));
    const tests = input.value.toLowerCase().split(/\s+/).filter(Boolean).map(word => condition(word, heads));
    const found = input.closest(".bar").querySelector(".found"), all = Number(found.dataset.all);
    let shown = 0;
    for (const row of [...table.tBodies].flatMap(body => [...body.rows]).filter(isData)) {
      row.hidden = !tests.every(test => test(row));
      shown += !row.hidden;
    }
    found.textContent = (shown === all ? "" : `${shown} of `) + `${all} config${all === 1 ? "" : "s"}`;
  }));

  each(".copy", button => button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } catch {  // without permission: select it, so that Ctrl-C does the rest
      getSelection().selectAllChildren(code);
    }
  }));
})();
