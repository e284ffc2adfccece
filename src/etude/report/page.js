// Draws the charts of the page in the colours of the reader's theme, and again when it changes.
// What a model wrote reaches this page as text alone: plotly's texts are entities, and what the
// map shows beside it is set as textContent.
(() => {
  "use strict";
  const root = document.documentElement;
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const fine = matchMedia("(pointer: fine)").matches;
  const config = { displayModeBar: false, responsive: true, showTips: false };
  root.classList.add("js");

  // "@c0" is the custom property --c0, "@c0/15" the same at 15%. Only colours and fonts are looked at.
  function resolved(name) {
    const [of, share] = name.slice(1).split("/");
    const value = getComputedStyle(root).getPropertyValue(`--${of}`).trim();
    if (!share) return value;
    const part = Math.round((255 * share) / 100).toString(16).padStart(2, "0");
    return value + part;
  }
  function painted(value, key) {
    if (Array.isArray(value)) return value.map((item) => painted(item, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v, k)]));
    }
    const named = typeof value === "string" && value.startsWith("@");
    return named && /color|family/.test(key) ? resolved(value) : value;
  }
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "@sans", size: 12, color: "@ink" },
    hoverlabel: { bgcolor: "@panel", bordercolor: "@soft", font: { color: "@ink" }, align: "left" },
    dragmode: false,
    hovermode: "closest",
    autosize: true,
  };
  function merged(below, above) {
    const both = { ...below };
    for (const [key, value] of Object.entries(above)) {
      const deep = value && typeof value === "object" && !Array.isArray(value) && below[key];
      both[key] = deep ? merged(below[key], value) : value;
    }
    return both;
  }
  function draw(place) {
    const { data, layout } = specs[place.dataset.chart];
    const { zoomable, ...rest } = layout;
    const whole = merged(base, rest);
    if (zoomable && fine) whole.dragmode = "zoom";
    Plotly.react(place, painted(data, ""), painted(whole, ""), config);
  }
  const places = [...document.querySelectorAll(".plot")];
  const drawAll = () => places.forEach(draw);

  function readable(place) {
    const reader = place.parentElement.querySelector(".reader");
    if (!reader) return;
    const show = (event) => {
      const text = event.points[0].customdata;
      if (typeof text !== "string") return;
      reader.hidden = false;
      reader.textContent = text;
    };
    place.on("plotly_hover", show);
    place.on("plotly_click", show);
  }

  drawAll();
  places.forEach(readable);
  root.dataset.drawn = String(places.length);
  dark.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { root.classList.add("printing"); drawAll(); });
  addEventListener("afterprint", () => { root.classList.remove("printing"); drawAll(); });
})();
