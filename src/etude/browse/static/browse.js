// What makes the pages quick: parts are exchanged in place, keys move through rows, charts are drawn,
// and a run that goes on is followed. Every page works without this. Texts are never made into HTML
// here: what is exchanged are elements of pages that the server has escaped.
"use strict";

const POLL = 2500;
const TYPING = 250;
let generation = document.body.dataset.generation;
let asked = 0;
let asking = new AbortController();

// ---- exchange parts

async function exchange(address, { keep = false, push = true } = {}) {
  const number = ++asked;
  const old = document.getElementById("results");
  if (!old) { location.assign(address); return; }
  old.classList.add("waiting");
  asking.abort(); // an earlier question is not waited for, nor answered where it has not begun
  asking = new AbortController();
  let answer;
  try {
    answer = await fetch(address, { headers: { Accept: "text/html" }, signal: asking.signal });
  } catch {
    if (number === asked) old.classList.remove("waiting");
    return; // the server is gone: what is shown stays
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (number !== asked) return; // a later question was asked meanwhile
  const row = keep ? openers().indexOf(document.activeElement) : -1;
  const now = document.getElementById("results");
  const made = page.getElementById("results");
  if (made) {
    if (keep) keepCharts(now, made);
    now.replaceWith(document.adoptNode(made));
  } else {
    const sentence = page.querySelector(".sentence") || page.body;
    now.replaceChildren(document.adoptNode(sentence));
    now.classList.remove("waiting");
  }
  if (push) history.pushState(null, "", address);
  if (row >= 0) openers()[row]?.focus();
  charts();
}

// A chart stays where it is until its new one can be drawn, so that nothing jumps.
function keepCharts(now, made) {
  for (const chart of made.querySelectorAll(".chart")) {
    const drawn = [...now.querySelectorAll(".chart")].find((c) => c.dataset.chart === chart.dataset.chart);
    if (drawn) { drawn.dataset.old = "yes"; chart.replaceWith(drawn); }
  }
}

function addressOf(form) {
  const fields = [...new FormData(form)].filter(([, value]) => value !== "");
  const query = new URLSearchParams(fields);
  const sorting = new URLSearchParams(location.search).get("down");
  if (sorting && fields.some(([name]) => name === "order")) query.set("down", sorting);
  return `${location.pathname}?${query}`;
}

let timer = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-filters]");
  if (!form) return;
  clearTimeout(timer);
  timer = setTimeout(() => exchange(addressOf(form)), TYPING);
});
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-filters]");
  if (!form) return;
  event.preventDefault();
  clearTimeout(timer);
  exchange(addressOf(form));
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("#results a[data-swap]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  exchange(link.href);
  const order = new URL(link.href).searchParams.get("order");
  const field = document.querySelector('form[data-filters] [name="order"]');
  if (order && field) field.value = order;
});
addEventListener("popstate", () => location.reload());

// ---- keys

function openers() {
  return [...document.querySelectorAll("main .open")].filter((element) => element.checkVisibility());
}

function move(step) {
  const all = openers();
  if (!all.length) return;
  const now = all.indexOf(document.activeElement);
  const next = now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(now + step, 0), all.length - 1);
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
}

function press(selector) {
  const found = document.querySelector(selector);
  found?.click();
  return Boolean(found);
}

const KEYS = {
  j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
  n: () => press('a[rel="next"]'), p: () => press('a[rel="prev"]'),
  "?": () => document.getElementById("help").showModal(),
  "/": () => {
    const field = document.querySelector("[data-search]");
    if (field) { field.focus(); field.select(); } else location.assign(document.querySelectorAll("header nav a")[1].href);
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, textarea, select");
  if (typing) { if (event.key === "Escape") typing.blur(); return; }
  if (document.getElementById("help").open) return;
  const link = /^[1-6]$/.test(event.key) && document.querySelectorAll("header nav a")[event.key - 1];
  if (link) { link.click(); return; }
  if (/^[a-z]$/.test(event.key) && !event.repeat && press(`[data-key="${event.key}"]`)) { event.preventDefault(); return; }
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});
const keys = document.getElementById("keys");
keys.hidden = false;
keys.addEventListener("click", KEYS["?"]);

// ---- follow a run

async function look() {
  if (document.visibilityState === "visible") {
    try {
      const said = await (await fetch(document.body.dataset.live)).json();
      const strip = new DOMParser().parseFromString(said.strip, "text/html").body;
      document.getElementById("strip").replaceChildren(...strip.childNodes);
      if (said.generation !== generation) {
        generation = said.generation;
        if (document.querySelector("#results[data-refresh]") && !document.querySelector("#results details[open]")) {
          await exchange(location.href, { keep: true, push: false });
        }
      }
    } catch {
      document.querySelector("#strip .state")?.replaceChildren("not reached");
    }
  }
  setTimeout(look, POLL);
}
setTimeout(look, POLL);

// ---- charts

function script(address) {
  return new Promise((good, bad) => {
    const element = document.createElement("script");
    element.src = address;
    element.onload = good;
    element.onerror = bad;
    document.head.append(element);
  });
}

let plotly = null;
async function charts() {
  const all = [...document.querySelectorAll(".chart")].filter((c) => !c.dataset.drawn || c.dataset.old);
  if (!all.length) return;
  plotly ??= script("/static/plotly.js");
  await plotly;
  await Promise.all(all.map(draw));
}

async function draw(chart) {
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(name).trim();
  chart.dataset.drawn = "yes";
  delete chart.dataset.old;
  const answer = await fetch(chart.dataset.chart);
  if (!answer.ok) return;
  const figure = await answer.json();
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
  const layout = { ...figure.layout, font: { color: colour("--ink"), size: 12, family: style.fontFamily } };
  layout.xaxis = { ...layout.xaxis, ...axis };
  layout.yaxis = { ...layout.yaxis, ...axis };
  layout.hoverlabel = { bgcolor: colour("--panel"), font: { color: colour("--ink") }, bordercolor: colour("--line") };
  await Plotly.react(chart, figure.data, layout, { displayModeBar: false, responsive: true });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const chart of document.querySelectorAll(".chart")) chart.dataset.old = "yes";
  charts();
});
charts();
