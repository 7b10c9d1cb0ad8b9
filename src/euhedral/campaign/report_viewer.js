"use strict";
// A crystal on a plain canvas: spheres, sticks and the edges of the cell, painted from back to front.
class CrystalViewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.zoom = 1;
    this.copies = 1;
    this.bonds = true;
    this.rotation = CrystalViewer.start();
    this.listen();
  }

  // Rows are the screen's axes (right, up, towards the eye): c upwards, a little from the side and above.
  static start() {
    const tilt = CrystalViewer.turn([1, 0, 0], -1.25);
    return CrystalViewer.product(tilt, CrystalViewer.turn([0, 0, 1], -0.45));
  }

  static turn([x, y, z], angle) {
    const c = Math.cos(angle), s = Math.sin(angle), t = 1 - c;
    return [[t * x * x + c, t * x * y - s * z, t * x * z + s * y],
      [t * x * y + s * z, t * y * y + c, t * y * z - s * x],
      [t * x * z - s * y, t * y * z + s * x, t * z * z + c]];
  }

  static product(a, b) {
    return a.map(row => [0, 1, 2].map(j => row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]));
  }

  static apply(m, v) { return m.map(row => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]); }

  show(crystal, style) {
    this.crystal = crystal;
    this.style = style;
    this.build();
    this.draw();
  }

  cart(f) {
    const cell = this.crystal.cell;
    return [0, 1, 2].map(j => f[0] * cell[0][j] + f[1] * cell[1][j] + f[2] * cell[2][j]);
  }

  build() {
    const n = this.copies, near = 0.02, atoms = [];
    this.crystal.frac.forEach((frac, i) => {
      // an atom on a face is drawn on the opposite face too, as in every textbook
      const shifts = frac.map(f => {
        const wrapped = f > 1 - near ? f - 1 : f, list = [];
        for (let k = 0; k < n; k++) list.push(wrapped + k);
        if (wrapped < near) list.push(wrapped + n);
        return list;
      });
      for (const x of shifts[0]) for (const y of shifts[1]) for (const z of shifts[2]) {
        const symbol = this.crystal.symbols[i];
        atoms.push({symbol, at: this.cart([x, y, z]), radius: 0.42 * Math.max(0.45, this.style[symbol].radius)});
      }
    });
    this.middle = this.cart([n / 2, n / 2, n / 2]);
    this.atoms = atoms.slice(0, 1500);
    if (this.bonds) this.completeShells();
    this.sticks = this.bonds ? this.findSticks() : [];
    const corners = [];
    for (let k = 0; k < 8; k++) corners.push(this.cart([(k & 1) * n, ((k >> 1) & 1) * n, ((k >> 2) & 1) * n]));
    this.edges = []; // in short pieces, so that each is before or behind an atom, and none inside one
    const inside = p => this.atoms.some(a => Math.hypot(p[0] - a.at[0], p[1] - a.at[1], p[2] - a.at[2]) < 0.96 * a.radius);
    for (let k = 0; k < 8; k++) for (const bit of [1, 2, 4]) if (!(k & bit)) {
      const along = t => corners[k].map((x, m) => x + (corners[k | bit][m] - x) * t), pieces = 24 * n;
      for (let j = 0; j < pieces; j++) if (!inside(along((j + 0.5) / pieces))) this.edges.push([along(j / pieces), along((j + 1) / pieces)]);
    }
    const far = p => Math.hypot(p[0] - this.middle[0], p[1] - this.middle[1], p[2] - this.middle[2]);
    this.reach = Math.max(...corners.map(far), ...this.atoms.map(a => far(a.at) + a.radius));
  }

  bonded(p, q) {
    const s = this.style[p.symbol], t = this.style[q.symbol];
    if (!this.allMetal && s.metal && t.metal) return false; // in a salt, metals hold to anions, not to each other
    const d = Math.hypot(p.at[0] - q.at[0], p.at[1] - q.at[1], p.at[2] - q.at[2]);
    return d > 0.4 && d < 1.2 * (s.radius + t.radius);
  }

  // Anions outside the cell that belong to a cation inside are drawn faintly: a cut shell says nothing.
  completeShells() {
    this.allMetal = this.atoms.every(a => this.style[a.symbol].metal);
    if (this.allMetal || this.atoms.length > 250) return;
    const n = this.copies, drawn = new Set(this.atoms.map(a => a.at.map(x => x.toFixed(2)).join())), inside = [...this.atoms];
    this.crystal.frac.forEach((frac, i) => {
      const symbol = this.crystal.symbols[i], weight = this.style[symbol].electronegativity ?? 0;
      for (let x = -1; x <= n; x++) for (let y = -1; y <= n; y++) for (let z = -1; z <= n; z++) {
        const at = this.cart([frac[0] + x, frac[1] + y, frac[2] + z]), key = at.map(v => v.toFixed(2)).join();
        if (drawn.has(key) || this.atoms.length > 900) continue;
        const atom = {symbol, at, radius: 0.34 * Math.max(0.45, this.style[symbol].radius), ghost: true};
        if (inside.some(a => (this.style[a.symbol].electronegativity ?? 0) < weight && this.bonded(a, atom))) {
          drawn.add(key);
          this.atoms.push(atom);
        }
      }
    });
  }

  findSticks() {
    const sticks = [], atoms = this.atoms;
    this.allMetal = atoms.every(a => this.style[a.symbol].metal);
    for (let i = 0; i < atoms.length; i++) for (let j = i + 1; j < atoms.length; j++) {
      if (!(atoms[i].ghost && atoms[j].ghost) && this.bonded(atoms[i], atoms[j])) sticks.push([i, j]);
    }
    return sticks.length <= 6000 ? sticks : [];
  }

  draw() {
    const ratio = window.devicePixelRatio || 1, canvas = this.canvas;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !this.crystal) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const c = this.context;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, height);
    const scale = this.zoom * 0.54 * Math.min(width, height) / this.reach, eye = 5 * this.reach;
    const project = p => {
      const v = CrystalViewer.apply(this.rotation, p.map((x, k) => x - this.middle[k]));
      const size = scale * eye / (eye - v[2]);
      return {x: width / 2 + v[0] * size, y: height / 2 - v[1] * size, z: v[2], size};
    };
    const spots = this.atoms.map(a => project(a.at));
    const things = spots.map((s, i) => ({z: s.z, paint: () => this.paintAtom(s, this.atoms[i])}));
    for (const [i, j] of this.sticks) for (const [one, other] of [[i, j], [j, i]]) {
      // half a stick, from the surface of its atom to the middle
      const from = this.atoms[one], to = this.atoms[other], middle = from.at.map((x, k) => (x + to.at[k]) / 2);
      const length = Math.hypot(...from.at.map((x, k) => to.at[k] - x)), share = Math.min(0.5, 0.9 * from.radius / length);
      const p = project(from.at.map((x, k) => x + (to.at[k] - x) * share)), q = project(middle);
      things.push({z: (p.z + q.z) / 2, paint: () => this.paintStick(p, q, from.symbol)});
    }
    for (const [from, to] of this.edges) {
      const p = project(from), q = project(to);
      things.push({z: (p.z + q.z) / 2, paint: () => this.line(p, q, "#5b6777", 1.1)});
    }
    things.sort((a, b) => a.z - b.z).forEach(thing => thing.paint());
    this.paintAxes(width, height);
  }

  fade(z) { return Math.max(0, Math.min(1, 0.5 + 0.5 * z / this.reach)); }

  line(p, q, colour, width, cap = "round") {
    const c = this.context;
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.lineCap = cap;
    c.beginPath();
    c.moveTo(p.x, p.y);
    c.lineTo(q.x, q.y);
    c.stroke();
  }

  static mix(hex, other, share) {
    const read = h => [1, 3, 5].map(k => parseInt(h.slice(k, k + 2), 16));
    const a = read(hex), b = read(other);
    return `rgb(${a.map((x, k) => Math.round(x + (b[k] - x) * share)).join(",")})`;
  }

  paintAtom(s, atom) {
    const c = this.context, r = atom.radius * s.size, colour = this.style[atom.symbol].colour;
    const far = Math.max(atom.ghost ? 0.4 : 0, 0.45 * (1 - this.fade(s.z))); // distant atoms sink into the ground
    const g = c.createRadialGradient(s.x - 0.35 * r, s.y - 0.4 * r, 0.08 * r, s.x, s.y, r);
    const tint = (other, share) => CrystalViewer.mix(colour, other, share);
    g.addColorStop(0, tint("#ffffff", 0.75));
    g.addColorStop(0.35, tint("#ffffff", 0.1 + far * 0.5));
    g.addColorStop(1, tint(far > 0.3 ? "#aab4c0" : "#1b2430", 0.38));
    c.fillStyle = g;
    c.beginPath();
    c.arc(s.x, s.y, r, 0, 2 * Math.PI);
    c.fill();
    c.strokeStyle = "#1b243055";
    c.lineWidth = 0.8;
    c.stroke();
  }

  paintStick(p, q, symbol) {
    const width = 0.2 * (p.size + q.size) / 2, far = 1 - this.fade((p.z + q.z) / 2);
    const tone = share => CrystalViewer.mix(this.style[symbol].colour, share < 0.5 ? "#4a5563" : "#ffffff", share < 0.5 ? share : share - 0.5);
    const butt = (colour, size) => this.line(p, q, colour, size, "butt");
    butt(tone(0.35), width + 1.2);
    butt(tone(0.6 + 0.25 * far), width);
    butt(tone(0.82), width * 0.35);
  }

  paintAxes(width, height) {
    const c = this.context, at = {x: 42, y: height - 40};
    ["a", "b", "c"].forEach((name, k) => {
      const row = this.crystal.cell[k], length = Math.hypot(...row);
      const v = CrystalViewer.apply(this.rotation, row.map(x => x / length));
      const tip = {x: at.x + 26 * v[0], y: at.y - 26 * v[1]}, colour = ["#c0392b", "#1e8449", "#2457c5"][k];
      this.line(at, tip, colour, 2);
      c.fillStyle = colour;
      c.font = "600 13px system-ui, sans-serif";
      c.textAlign = "center";
      c.textBaseline = "middle";
      c.fillText(name, at.x + 36 * v[0], at.y - 36 * v[1]);
    });
  }

  // Look along a lattice vector: it points to the eye, and c (or b) upwards.
  along(k) {
    const unit = v => { const l = Math.hypot(...v); return v.map(x => x / l); };
    const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    const eye = unit(this.crystal.cell[k]), up = this.crystal.cell[k === 2 ? 1 : 2];
    const right = unit(cross(up, eye));
    this.rotation = [right, cross(eye, right), eye];
    this.draw();
  }

  spin(dx, dy) {
    const turned = CrystalViewer.product(CrystalViewer.turn([0, 1, 0], dx), CrystalViewer.turn([1, 0, 0], dy));
    this.rotation = CrystalViewer.product(turned, this.rotation);
    this.draw();
  }

  listen() {
    const canvas = this.canvas;
    let last = null;
    canvas.addEventListener("pointerdown", e => { last = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointerup", () => { last = null; });
    canvas.addEventListener("pointermove", e => {
      if (!last) return;
      this.spin((e.clientX - last[0]) * 0.01, (e.clientY - last[1]) * 0.01);
      last = [e.clientX, e.clientY];
    });
    canvas.addEventListener("wheel", e => {
      e.preventDefault();
      this.zoom = Math.max(0.3, Math.min(8, this.zoom * Math.exp(-e.deltaY * 0.0012)));
      this.draw();
    }, {passive: false});
    canvas.addEventListener("keydown", e => {
      const step = {ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15]}[e.key];
      if (step) this.spin(...step);
      else if (e.key === "+" || e.key === "-") { this.zoom *= e.key === "+" ? 1.15 : 1 / 1.15; this.draw(); } else return;
      e.preventDefault();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }
}
