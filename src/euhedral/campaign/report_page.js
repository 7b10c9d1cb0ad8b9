"use strict";
// The table (sort, filter, choose) and the panel of the chosen candidate.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("candidates"), body = table.tBodies[0];
  const detail = document.getElementById("detail");
  const byRank = new Map(data.candidates.map(row => [row.rank, row]));
  let chosen = null, viewer = null;

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "class") node.className = value;
      else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else node.setAttribute(key, value);
    }
    node.append(...children.filter(child => child !== null && child !== ""));
    return node;
  }

  // LiMn2O4 with its numbers below the line; text nodes only, so that nothing is ever read as markup
  function formula(text) {
    const span = make("span");
    for (const part of text.split(/(\d+)/)) if (part) span.append(/\d/.test(part) ? make("sub", {}, part) : part);
    return span;
  }

  function group(text) {
    const span = make("span");
    for (const part of text.split(/(-\d|_\d)/)) {
      if (/^-\d$/.test(part)) span.append(make("span", {class: "bar"}, part[1]));
      else if (/^_\d$/.test(part)) span.append(make("sub", {}, part[1]));
      else if (part) span.append(part);
    }
    return span;
  }

  // Mn3.5+ with its charge above the line
  function charges(text) {
    const span = make("span");
    for (const part of text.split(/([\d.]*[+-](?=\s|$))/)) if (part) span.append(/[+-]$/.test(part) ? make("sup", {}, part.replace("-", "−")) : part);
    return span;
  }

  const words = {stable: "on or below the hull: stable against the known phases at 0 K, by this potential",
    near: "close enough to exist as a metastable phase, perhaps", far: "so high that it would probably decompose", unknown: ""};

  function sort(head) {
    const key = [...head.parentNode.children].indexOf(head), up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => {
      const text = row.cells[key].dataset.v, number = Number(text);
      return text !== "" && !Number.isNaN(number) ? number : text;
    };
    const rows = [...body.rows].sort((p, q) => {
      const [a, b] = [value(p), value(q)];
      if (a === "" || b === "") return (a === "") - (b === ""); // what is not known comes last, whichever way
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      return (up ? order : -order) || p.dataset.rank - q.dataset.rank;
    });
    body.append(...rows);
  }

  function filter() {
    const text = document.getElementById("search").value.trim().toLowerCase();
    const within = document.getElementById("within").value;
    const wanted = [...document.querySelectorAll("[data-filter]:checked")].map(box => box.dataset.filter);
    let shown = 0;
    for (const row of body.rows) {
      const traits = row.dataset.traits.split(" ");
      const near = within === "" || (row.dataset.hull !== "" && +row.dataset.hull <= +within + 1e-9);
      const fits = near && wanted.every(trait => traits.includes(trait)) && row.textContent.toLowerCase().includes(text);
      row.hidden = !fits;
      shown += fits;
    }
    document.getElementById("shown").textContent = shown === body.rows.length ? `${shown}` : `${shown} of ${body.rows.length}`;
  }

  function choose(rank) {
    chosen = rank;
    for (const row of body.rows) {
      row.classList.toggle("chosen", +row.dataset.rank === rank);
      row.setAttribute("aria-selected", +row.dataset.rank === rank);
    }
    for (const spot of document.querySelectorAll("#hull .hit")) spot.classList.toggle("chosen", +spot.dataset.rank === rank);
    show(byRank.get(rank));
  }

  function facts(row) {
    const rows = [
      ["above the hull", row.hull === null ? "not known" : `${signed(row.hull)} eV/atom; ${words[row.class]}`],
      ["formation energy", row.energy === null ? "not known" : `${signed(row.energy)} eV/atom, by the potential`],
      ["charges", row.charge === null ? "no notion here: metallic or elemental" : row.charge
        ? make("span", {}, "balance: ", charges(row.states), row.implausible ? "; a state that crystals hardly show" : "")
        : "no known oxidation states balance"],
      ["known?", row.known ? `yes: ${row.known}` : "nothing like it among the phases searched"],
      ["score", row.score === null ? "" : `${row.score.toFixed(2)}, the estimated chance by which candidates are ranked`],
      ["proposed by", row.proposer], ["relaxation", row.relaxation],
      ["cell", `${row.lengths.map(v => v.toFixed(3)).join(", ")} Å; ${row.angles.map(v => v.toFixed(1)).join(", ")}°; ${row.volume.toFixed(1)} Å³`],
      ["density", `${row.density.toFixed(2)} g/cm³; ${row.atoms} atoms in the cell`],
    ];
    const list = make("dl", {class: "facts"});
    for (const [name, value] of rows) if (value) list.append(make("dt", {}, name), make("dd", {}, value));
    return list;
  }

  function tools(row) {
    const press = (name, initial, act) => {
      const button = make("button", {type: "button", "aria-pressed": initial}, name);
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", on);
        act(on);
      });
      return button;
    };
    const look = k => make("button", {type: "button", onclick: () => viewer.along(k)}, "along " + "abc"[k]);
    const save = make("a", {href: "#", download: `${row.id || row.formula}.cif`}, "save CIF");
    save.addEventListener("click", () => { save.href = URL.createObjectURL(new Blob([row.cif], {type: "chemical/x-cif"})); });
    return make("div", {class: "tools"}, look(0), look(1), look(2),
      make("button", {type: "button", onclick: () => { viewer.rotation = CrystalViewer.start(); viewer.zoom = 1; viewer.draw(); }}, "reset"),
      press("bonds", "true", on => { viewer.bonds = on; viewer.build(); viewer.draw(); }),
      press("2×2×2", "false", on => { viewer.copies = on ? 2 : 1; viewer.build(); viewer.draw(); }), save);
  }

  function show(row) {
    const head = make("div", {class: "head"}, make("h2", {}, formula(row.formula)),
      make("span", {class: "sub"}, group(row.symbol), ` (${row.spaceGroup}) · rank ${row.rank}`));
    const canvas = make("canvas", {tabindex: "0", role: "img",
      "aria-label": `Structure of ${row.formula}, ${row.atoms} atoms in the cell; drag or use the arrow keys to turn, wheel or + and − to zoom`});
    const legend = make("p", {class: "atoms"});
    for (const symbol of [...new Set(row.symbols)]) {
      const style = data.style[symbol];
      legend.append(make("span", {}, make("i", {style: `background:${style.colour}`}), `${symbol} ${style.name}`));
    }
    detail.replaceChildren(head, make("div", {class: "viewer"}, canvas), tools(row), legend, facts(row));
    for (const quantity of data.quantities) {
      const p = row.predictions[quantity.name];
      if (!p) continue;
      detail.append(make("h3", {}, `${quantity.label}: ${plain(p.value)} ${quantity.unit} `,
        make("small", {}, `${plain(p.lower)} to ${plain(p.upper)}, meant to hold ${Math.round(100 * p.coverage)} % of the time`)));
      if (p.unlike) detail.append(make("p", {class: "flag warn"}, "unlike the training data: the interval may not hold"));
      detail.append(intervalPlot(quantity, row, data.candidates));
    }
    detail.append(make("h3", {}, "Powder pattern ", make("small", {}, "calculated, without thermal motion")), powderPlot(row, data.xrd));
    if (row.notes.length) detail.append(make("h3", {}, "Notes"), make("ul", {}, ...row.notes.map(note => make("li", {}, note))));
    detail.scrollTop = 0;
    viewer = new CrystalViewer(canvas);
    viewer.show(row, data.style);
  }

  hullPlot(document.getElementById("hull"), data, choose);
  for (const head of table.tHead.rows[0].cells) head.querySelector("button").addEventListener("click", () => sort(head));
  body.addEventListener("click", event => { const row = event.target.closest("tr"); if (row) choose(+row.dataset.rank); });
  for (const input of document.querySelectorAll(".filters input")) input.addEventListener("input", filter);
  filter();
  if (data.candidates.length) choose(data.candidates[0].rank);
  else detail.append(make("p", {}, "No candidate was found; the funnel says where they were lost."));
})();
