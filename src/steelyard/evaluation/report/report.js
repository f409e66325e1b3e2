"use strict";
// A reading line over every plot: pointer, touch and arrow keys. Without this script the page only lacks it.
for (const figure of document.querySelectorAll("figure.chart")) {
  const source = figure.querySelector('script[type="application/json"]');
  const area = figure.querySelector(".area");
  const shown = JSON.parse(source.textContent);
  const rule = Object.assign(document.createElement("div"), { className: "reading" });
  const tip = Object.assign(document.createElement("div"), { className: "tip" });
  tip.setAttribute("role", "status");
  area.append(rule, tip);
  let place = shown.at.length - 1;

  const written = (value) => {
    const number = value / shown.scale;
    const digits = shown.percent ? 2 : Math.round(Math.log10(shown.scale));
    const size = Math.abs(shown.percent ? 100 * number : number).toLocaleString("en", {
      minimumFractionDigits: digits, maximumFractionDigits: digits,
    });
    const sign = !/[1-9]/.test(size) ? "" : number < 0 ? "\u2212" : shown.sign ? "+" : "";
    return sign + size + (shown.percent ? "\u202f%" : "");
  };
  const isHidden = (index) => {
    const box = figure.querySelector(`.k${index} input`);
    return box !== null && !box.checked;
  };
  const show = (index) => {
    place = Math.max(0, Math.min(shown.at.length - 1, index));
    rule.style.left = `${100 * shown.at[place]}%`;
    const head = document.createElement("b");
    head.textContent = shown.when[place];
    const order = shown.names.map((_, k) => k).filter((k) => !isHidden(k));
    if (!figure.classList.contains("stack"))
      order.sort((a, b) => shown.values[b][place] - shown.values[a][place]);
    else order.reverse();
    const lines = order.map((k) => {
      const line = document.createElement("div");
      const swatch = document.createElement("i");
      swatch.className = `swatch ${shown.styles[k]}` + (figure.classList.contains("stack") ? " block" : "");
      const name = document.createElement("span");
      name.textContent = shown.names[k];
      const value = document.createElement("em");
      value.textContent = written(shown.values[k][place]);
      line.append(swatch, name, value);
      return line;
    });
    tip.replaceChildren(head, ...lines);
    const beyond = shown.at[place] > 0.5;
    tip.style.left = beyond ? "auto" : `calc(${100 * shown.at[place]}% + 12px)`;
    tip.style.right = beyond ? `calc(${100 - 100 * shown.at[place]}% + 12px)` : "auto";
    figure.classList.add("reads");
  };
  const nearest = (fraction) => {
    let low = 0, high = shown.at.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (shown.at[middle] < fraction) low = middle; else high = middle;
    }
    return fraction - shown.at[low] < shown.at[high] - fraction ? low : high;
  };
  const hide = () => figure.classList.remove("reads");
  area.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    show(nearest((event.clientX - box.left) / box.width));
  });
  area.addEventListener("pointerleave", hide);
  area.addEventListener("blur", hide);
  area.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    show(place + step);
  });
}
