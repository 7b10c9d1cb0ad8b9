"use strict";
// Plots as SVG: the hull, the intervals of a prediction, a powder pattern.
const SVG = "http://www.w3.org/2000/svg";
const COLOUR = {stable: "#0a7d55", near: "#c27c00", far: "#8a95a3", unknown: "#8a95a3"};

function svg(tag, attributes = {}, parent = null, text = null) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
}

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(k => k * power).find(k => k >= raw - 1e-12);
  const list = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9; k++) list.push(+(k * step).toPrecision(10));
  return list;
}

function showTip(event, text) {
  let tip = document.getElementById("tip");
  if (!tip) { tip = document.createElement("div"); tip.id = "tip"; document.body.appendChild(tip); }
  tip.textContent = text;
  tip.hidden = false;
  tip.style.left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8) + "px";
}

function hideTip() { const tip = document.getElementById("tip"); if (tip) tip.hidden = true; }

function withTip(node, text) {
  node.addEventListener("pointermove", e => showTip(e, text));
  node.addEventListener("pointerleave", hideTip);
  return node;
}

function signed(x, digits = 3) {
  if (x === null) return "not known";
  const size = Math.abs(x).toFixed(digits);
  return +size === 0 ? size : (x < 0 ? "−" : "+") + size;
}

const plain = x => x.toFixed(2).replace("-", "−");

// Stable: disc; near: diamond; higher: open square; so that colour is not needed to tell them apart.
function mark(parent, x, y, row, pick, more = "") {
  const colour = COLOUR[row.class], r = 6;
  const shape = row.class === "stable" ? svg("circle", {cx: x, cy: y, r, fill: colour, stroke: "#fff"}, parent)
    : row.class === "near" ? svg("path", {d: `M${x} ${y - r - 1}L${x + r + 1} ${y}L${x} ${y + r + 1}L${x - r - 1} ${y}Z`, fill: colour, stroke: "#fff"}, parent)
      : svg("rect", {x: x - 5, y: y - 5, width: 10, height: 10, fill: "#fff", stroke: colour, "stroke-width": 2}, parent);
  shape.setAttribute("class", "hit");
  shape.dataset.rank = row.rank;
  shape.addEventListener("click", () => pick(row.rank));
  const known = row.known ? `known: ${row.known}` : "not known";
  return withTip(shape, `#${row.rank} ${row.formula}, ${row.symbol}\n${signed(row.hull)} eV/atom above the hull\n${known}${more}`);
}

function axes(plot, box, x, y, xLabel, yLabel, xTicks, yTicks) {
  for (const t of yTicks) {
    svg("line", {x1: box.left, x2: box.right, y1: y(t), y2: y(t), stroke: "#e6ebf1"}, plot);
    svg("text", {x: box.left - 8, y: y(t) + 4, "text-anchor": "end"}, plot, String(t).replace("-", "−"));
  }
  for (const t of xTicks) svg("text", {x: x(t), y: box.bottom + 18, "text-anchor": "middle"}, plot, String(t).replace("-", "−"));
  svg("line", {x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, stroke: "#8a95a3"}, plot);
  svg("text", {x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle"}, plot, xLabel);
  const middle = (box.top + box.bottom) / 2;
  svg("text", {x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})`}, plot, yLabel);
}

function hullPlot(host, data, pick) {
  const placed = data.candidates.filter(row => row.energy !== null && row.hull !== null);
  const plot = svg("svg", {role: "img"});
  if (data.elements.length === 2 && data.references.length && placed.length) binaryHull(plot, data, placed, pick);
  else if (data.elements.length === 3 && data.references.length) ternaryHull(plot, data, pick);
  else {
    barHull(plot, data, pick);
    document.querySelector(".legend .reference").parentNode.hidden = true;
  }
  host.replaceChildren(plot);
}

function binaryHull(plot, data, placed, pick) {
  plot.setAttribute("viewBox", "0 0 640 450");
  plot.setAttribute("aria-label", "Formation energy against composition, with the hull of the known phases");
  const box = {left: 66, right: 622, top: 14, bottom: 396};
  const stable = data.references.filter(r => r.hull <= data.onHull).sort((p, q) => p.x[1] - q.x[1]);
  const energies = [...stable.map(r => r.energy), ...placed.map(r => r.energy), 0];
  const low = Math.min(...energies), high = Math.max(...energies), pad = 0.08 * (high - low || 1);
  const x = v => box.left + v * (box.right - box.left);
  const y = v => box.bottom - (v - low + pad) / (high - low + 2 * pad) * (box.bottom - box.top);
  axes(plot, box, x, y, `share of ${data.elements[1]} atoms`, "formation energy (eV/atom)", [0, 0.2, 0.4, 0.6, 0.8, 1], ticks(low - pad, high + pad, 6));
  svg("polyline", {points: stable.map(r => `${x(r.x[1])},${y(r.energy)}`).join(" "), fill: "none", stroke: "#1b2430", "stroke-width": 1.5}, plot);
  for (const r of data.references.filter(r => r.hull > data.onHull && r.energy <= high + pad))
    withTip(svg("circle", {cx: x(r.x[1]), cy: y(r.energy), r: 2.5, fill: "#c3cbd5"}, plot), `${r.formula} (${r.id})\n${signed(r.hull)} eV/atom above the hull`);
  for (const r of stable)
    withTip(svg("circle", {cx: x(r.x[1]), cy: y(r.energy), r: 4, fill: "#1b2430"}, plot), `${r.formula} (${r.id}), on the hull\n${signed(r.energy)} eV/atom`);
  for (const row of [...placed].reverse()) mark(plot, x(row.x[1]), y(row.energy), row, pick);
  const blocked = [];
  for (const [px, py] of [...stable, ...placed.map(r => ({x: r.x, energy: r.energy}))].map(r => [x(r.x[1]), y(r.energy)])) blocked.push([px - 7, py - 7, px + 7, py + 7]);
  stable.forEach((r, k) => {
    const again = stable.slice(0, k).some(other => other.formula === r.formula); // polymorphs within a hair of the hull
    if (r.energy < 0 && !again) placeLabel(plot, x(r.x[1]), y(r.energy) + 4, r.formula, blocked);
  });
  data.elements.forEach((symbol, k) => svg("text", {x: x(k), y: y(0) - 12, "text-anchor": k ? "end" : "start", class: "strong halo"}, plot, symbol));
}

function ternaryHull(plot, data, pick) {
  plot.setAttribute("viewBox", "0 -14 640 500");
  plot.setAttribute("aria-label", "Triangle of compositions with the known stable phases and the candidates");
  // corners: first element left below, second right below, third on top
  const corner = [[70, 452], [570, 452], [320, 452 - 250 * Math.sqrt(3)]];
  const at = f => [0, 1].map(k => f[0] * corner[0][k] + f[1] * corner[1][k] + f[2] * corner[2][k]);
  const line = (p, q, attributes) => { const [a, b] = [at(p), at(q)]; svg("line", {x1: a[0], y1: a[1], x2: b[0], y2: b[1], ...attributes}, plot); };
  for (let k = 1; k < 5; k++) for (const [i, j, m] of [[0, 1, 2], [1, 2, 0], [2, 0, 1]]) {
    const p = [0, 0, 0], q = [0, 0, 0];
    p[i] = q[i] = k / 5; p[j] = 1 - k / 5; q[m] = 1 - k / 5;
    line(p, q, {stroke: "#eef1f5"});
  }
  svg("polygon", {points: corner.map(p => p.join(",")).join(" "), fill: "none", stroke: "#8a95a3"}, plot);
  for (const [i, j] of data.ties) line(data.references[i].x, data.references[j].x, {stroke: "#7c8896", "stroke-width": 1});
  const places = new Map(); // polymorphs share a place in the triangle: the best stands for all
  for (const row of data.candidates) {
    const key = row.x.map(v => v.toFixed(4)).join();
    places.set(key, [...(places.get(key) || []), row]);
  }
  const labels = [];
  for (const r of data.references.filter(r => r.hull <= data.onHull)) {
    const [px, py] = at(r.x);
    withTip(svg("circle", {cx: px, cy: py, r: 4, fill: "#1b2430"}, plot), `${r.formula} (${r.id}), on the hull\nformation energy ${signed(r.energy)} eV/atom`);
    if (r.x.every(v => v < 0.999) && !labels.some(other => other[2] === r.formula)) labels.push([px, py, r.formula]);
  }
  for (const rows of [...places.values()].reverse()) {
    const best = rows.reduce((p, q) => (q.hull ?? Infinity) < (p.hull ?? Infinity) ? q : p), [px, py] = at(best.x);
    const others = rows.length > 1 ? `\n${rows.length} candidates have this composition` : "";
    mark(plot, px, py, best, pick, others);
  }
  const blocked = labels.map(([px, py]) => [px - 5, py - 5, px + 5, py + 5]);
  for (const rows of places.values()) { const [px, py] = at(rows[0].x); blocked.push([px - 7, py - 7, px + 7, py + 7]); }
  for (const [px, py, text] of labels) placeLabel(plot, px, py, text, blocked);
  data.elements.forEach((symbol, k) => svg("text", {x: corner[k][0] + [-14, 14, 0][k], y: corner[k][1] + [18, 18, -10][k], "text-anchor": "middle", class: "strong", style: "font-size:16px"}, plot, symbol));
}

// Beside its point where there is room; nowhere when there is none, for the pointer tells it too.
function placeLabel(plot, x, y, text, blocked) {
  const width = 7.4 * text.length, height = 14;
  const spots = [[x + 8, y - 7, "start"], [x - 8, y - 7, "end"], [x + 8, y + 17, "start"], [x - 8, y + 17, "end"], [x + 10, y + 4, "start"], [x - 10, y + 4, "end"], [x, y + 22, "middle"]];
  for (const [tx, ty, anchor] of spots) {
    const left = tx - width * {start: 0, middle: 0.5, end: 1}[anchor], box = [left, ty - height + 3, left + width, ty + 3];
    if (blocked.some(b => box[0] < b[2] && b[0] < box[2] && box[1] < b[3] && b[1] < box[3])) continue;
    blocked.push(box);
    svg("text", {x: tx, y: ty, "text-anchor": anchor, class: "strong halo"}, plot, text);
    return;
  }
}

function barHull(plot, data, pick) {
  const rows = data.candidates.filter(row => row.hull !== null).slice(0, 60);
  plot.setAttribute("viewBox", "0 0 640 340");
  plot.setAttribute("aria-label", "Distance to the hull of each candidate, by rank");
  const box = {left: 66, right: 622, top: 14, bottom: 286};
  if (!rows.length) { svg("text", {x: 320, y: 160, "text-anchor": "middle"}, plot, "No candidate could be placed on a hull."); return; }
  const low = Math.min(0, ...rows.map(r => r.hull)), high = Math.max(0.12, ...rows.map(r => r.hull));
  const y = v => box.bottom - (v - low) / (high - low) * (box.bottom - box.top), step = (box.right - box.left) / rows.length;
  const x = k => box.left + (k - 0.5) * step;
  const every = Math.max(1, Math.ceil(rows.length / 12));
  axes(plot, box, x, y, "rank", "above the hull (eV/atom)", rows.map(r => r.rank).filter((_, k) => k % every === 0), ticks(low, high, 5));
  svg("line", {x1: box.left, x2: box.right, y1: y(data.metastable), y2: y(data.metastable), stroke: "#c27c00", "stroke-dasharray": "5 4"}, plot);
  rows.forEach((row, k) => {
    const px = box.left + (k + 0.5) * step;
    svg("line", {x1: px, x2: px, y1: y(0), y2: y(row.hull), stroke: COLOUR[row.class], "stroke-width": Math.max(1, Math.min(6, 0.4 * step))}, plot);
    mark(plot, px, y(row.hull), row, pick);
  });
}

// One line a quantity: the interval of this candidate, the spread of all as a shade, the target as a bracket.
function intervalPlot(quantity, row, all) {
  const own = row.predictions[quantity.name], plot = svg("svg", {viewBox: "0 0 560 58", role: "img"});
  const others = all.map(r => r.predictions[quantity.name]).filter(Boolean);
  const low = Math.min(...others.map(p => p.lower)), high = Math.max(...others.map(p => p.upper)), pad = 0.05 * (high - low || 1);
  const x = v => 10 + (v - low + pad) / (high - low + 2 * pad) * 540;
  plot.setAttribute("aria-label", `${quantity.label}: ${own.value.toFixed(2)} ${quantity.unit}, between ${own.lower.toFixed(2)} and ${own.upper.toFixed(2)}`);
  svg("line", {x1: 10, x2: 550, y1: 34, y2: 34, stroke: "#dde3ea"}, plot);
  for (const t of ticks(low - pad, high + pad, 7)) svg("text", {x: x(t), y: 54, "text-anchor": "middle"}, plot, String(t).replace("-", "−"));
  const target = /^\s*([<>]=?)\s*(-?[\d.]+(?:e-?\d+)?)\s*$/i.exec(quantity.target);
  if (target) {
    const edge = Math.max(10, Math.min(550, x(+target[2]))), from = target[1][0] === ">" ? edge : 10, to = target[1][0] === ">" ? 550 : edge;
    svg("rect", {x: from, y: 20, width: Math.max(0, to - from), height: 20, fill: "#0a7d5518"}, plot);
    svg("line", {x1: edge, x2: edge, y1: 16, y2: 40, stroke: "#0a7d55", "stroke-dasharray": "3 3"}, plot);
  }
  for (const p of others) svg("line", {x1: x(p.value), x2: x(p.value), y1: 31, y2: 37, stroke: "#aab4c0"}, plot);
  svg("line", {x1: x(own.lower), x2: x(own.upper), y1: 30, y2: 30, stroke: "#2457c5", "stroke-width": 5, "stroke-linecap": "round", opacity: 0.45}, plot);
  svg("circle", {cx: x(own.value), cy: 30, r: 6, fill: "#2457c5", stroke: "#fff"}, plot);
  return plot;
}

function powderPlot(row, xrd) {
  const plot = svg("svg", {viewBox: "0 0 560 220", role: "img", "aria-label": `Calculated powder pattern of ${row.formula}`});
  const box = {left: 12, right: 548, top: 22, bottom: 176}, [from, to] = xrd.range;
  const x = v => box.left + (v - from) / (to - from) * (box.right - box.left), y = v => box.bottom - v / 105 * (box.bottom - box.top);
  for (const t of ticks(from, to, 9)) {
    svg("line", {x1: x(t), x2: x(t), y1: box.bottom, y2: box.bottom + 4, stroke: "#8a95a3"}, plot);
    svg("text", {x: x(t), y: box.bottom + 18, "text-anchor": "middle"}, plot, t);
  }
  svg("line", {x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, stroke: "#8a95a3"}, plot);
  svg("text", {x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle"}, plot, `2θ (degrees), Cu Kα, ${xrd.wavelength} Å`);
  if (!row.peaks.length) { svg("text", {x: 280, y: 100, "text-anchor": "middle"}, plot, "no peaks in this range"); return plot; }
  const width = 0.25, points = [], count = 1072;
  const curve = [...Array(count + 1)].map((_, k) => {
    const angle = from + (to - from) * k / count;
    return row.peaks.reduce((sum, [at, strength]) => {
      const u = 2 * (angle - at) / width;
      return Math.abs(u) > 60 ? sum : sum + strength * (0.5 / (1 + u * u) + 0.5 * Math.exp(-Math.LN2 * u * u));
    }, 0);
  });
  const top = Math.max(...curve);
  curve.forEach((v, k) => points.push(`${x(from + (to - from) * k / count).toFixed(2)},${y(100 * v / top).toFixed(2)}`));
  svg("polyline", {points: points.join(" "), fill: "none", stroke: "#2457c5", "stroke-width": 1.2}, plot);
  const labelled = [];
  for (const [at, strength, hkl] of [...row.peaks].sort((p, q) => q[1] - p[1])) {
    const stick = svg("line", {x1: x(at), x2: x(at), y1: box.bottom, y2: Math.min(y(strength), box.bottom - 4), stroke: "#2457c5", "stroke-width": 5, opacity: 0}, plot);
    withTip(stick, `${hkl.replaceAll("-", "−")}\n2θ = ${at.toFixed(2)}°, ${strength.toFixed(1)} %`);
    if (labelled.length < 6 && strength > 8 && labelled.every(other => Math.abs(x(other) - x(at)) > 40)) {
      labelled.push(at);
      const height = curve[Math.round((at - from) / (to - from) * count)] / top * 100;
      svg("text", {x: Math.max(24, Math.min(536, x(at))), y: y(height) - 5, "text-anchor": "middle"}, plot, hkl.replaceAll("-", "−"));
    }
  }
  return plot;
}
