"use strict";
(() => {
  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };

  // Sorting: by number where a cell has one, else by text; what has no number goes last.
  const keyOf = cell => cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  const compare = (one, other) => {
    const numbers = [typeof one === "number", typeof other === "number"];
    if (numbers[0] && numbers[1]) return one - other;
    if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
    return one.localeCompare(other, undefined, { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
      const numeric = [...table.tBodies[0].rows].some(row => row.cells[place].dataset.value !== undefined);
      const before = head.getAttribute("aria-sort");
      const order = before === "none" ? (numeric ? "descending" : "ascending") : before === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", order);
      const rows = [...table.tBodies[0].rows].map(row => [keyOf(row.cells[place]), row]);
      const sign = order === "ascending" ? 1 : -1;
      rows.sort((a, b) => typeof a[0] !== typeof b[0] ? compare(a[0], b[0]) : sign * compare(a[0], b[0]));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    }));
  }

  // Values under the pointer, or under a finger.
  const tip = document.getElementById("tip");
  const point = event => {
    const part = event.target.closest ? event.target.closest("[data-tip]") : null;
    tip.hidden = !part;
    if (!part) return;
    tip.textContent = part.dataset.tip;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 8))}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
  };
  for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, point, { passive: true });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // The browser of answers: all rows stay in memory, only one page of them is in the document.
  const source = document.getElementById("data");
  if (!source) return;
  const data = JSON.parse(source.textContent), rows = data.columns, classes = data.classes, PAGE = 25;
  const form = document.getElementById("filters"), list = document.getElementById("utterances");
  const [count, shown, before, after] = ["count", "page", "before", "after"].map(id => document.getElementById(id));
  const size = rows.id.length, isProbability = data.kind === "probability";
  let found = [], first = 0;

  const choices = (name, values) => {
    const select = form.elements[name];
    for (const [value, text] of values) { const option = make("option", text); option.value = value; select.append(option); }
  };
  choices("truth", classes.map((name, code) => [code, name]));
  choices("answer", classes.map((name, code) => [code, name]));
  for (const name of ["speaker", "session", "fold"]) {
    const values = rows[name] ? [...new Set(rows[name])].filter(value => value !== "") : [];
    values.sort((a, b) => String(a).localeCompare(String(b), undefined, { numeric: true }));
    if (values.length > 1) choices(name, values.map(value => [value, value]));
    else form.querySelector(`[data-for="${name}"]`).hidden = true;
  }
  const text = rows.id.map((id, row) => `${id} ${rows.text ? rows.text[row] : ""}`.toLowerCase());

  const filter = () => {
    const wanted = Object.fromEntries([...new FormData(form)].map(([key, value]) => [key, String(value)]));
    const scale = isProbability ? 100 : 1, words = wanted.words.trim().toLowerCase();
    const least = wanted.least === "" ? -Infinity : Number(wanted.least) / scale;
    const most = wanted.most === "" ? Infinity : Number(wanted.most) / scale;
    found = [];
    for (let row = 0; row < size; row += 1) {
      const right = rows.truth[row] === rows.answer[row];
      if (wanted.which !== "all" && right !== (wanted.which === "right")) continue;
      if (wanted.truth !== "" && rows.truth[row] !== Number(wanted.truth)) continue;
      if (wanted.answer !== "" && rows.answer[row] !== Number(wanted.answer)) continue;
      if (["speaker", "session", "fold"].some(name => wanted[name] && String(rows[name][row]) !== wanted[name])) continue;
      if (rows.sure[row] < least || rows.sure[row] > most) continue;
      if (words && !text[row].includes(words)) continue;
      found.push(row);
    }
    const sign = wanted.order === "unsurest" ? 1 : -1;
    found.sort(wanted.order === "id" ? (a, b) => rows.id[a] < rows.id[b] ? -1 : 1 : (a, b) => sign * (rows.sure[a] - rows.sure[b]));
    first = 0;
    draw();
  };

  const link = (row, name, title) => {
    const address = rows[`${name}_link`];
    if (address && address[row]) {
      const anchor = make("a", title);
      anchor.href = address[row];
      anchor.rel = "noreferrer";
      return anchor;
    }
    const path = rows[`${name}_path`];
    return path && path[row] ? make("bdi", path[row]) : null;
  };
  const bars = row => {
    const grid = make("div", undefined, "bars"), scores = rows.scores[row];
    const order = scores.map((_, code) => code).sort((a, b) => scores[b] - scores[a]);
    const top = order.slice(0, 5);
    if (!top.includes(rows.truth[row])) top.push(rows.truth[row]);
    const low = isProbability ? 0 : Math.min(...scores), span = (isProbability ? 1 : Math.max(...scores) - low) || 1;
    for (const code of top) {
      const name = make("bdi", classes[code], code === rows.truth[row] ? "name true" : "name");
      const bar = make("span", undefined, "bar"), part = make("i");
      part.style.width = `${100 * (scores[code] - low) / span}%`;
      bar.append(part);
      grid.append(name, bar, make("span", isProbability ? `${(100 * scores[code]).toFixed(0)} %` : scores[code].toFixed(2)));
    }
    return grid;
  };
  const card = row => {
    const item = make("li"), left = make("div"), side = make("div"), right = rows.truth[row] === rows.answer[row];
    const verdict = make("p", undefined, "verdict"), answer = make("b", undefined);
    answer.dataset.mark = right ? "✓" : "✗";
    answer.append(make("bdi", classes[rows.answer[row]]));
    verdict.append(answer, right ? " is right" : ", but it is ");
    if (!right) { const truth = make("b"); truth.append(make("bdi", classes[rows.truth[row]])); verdict.append(truth); }
    verdict.append(isProbability ? ` (${(100 * rows.sure[row]).toFixed(0)} % sure)` : ` (lead ${rows.sure[row].toFixed(2)})`);
    const said = make("p", undefined, "said");
    if (rows.text && rows.text[row]) { said.dir = "auto"; said.append(make("bdi", rows.text[row])); }
    const about = make("p", undefined, "about");
    about.append(make("bdi", rows.id[row]));
    for (const name of ["speaker", "session"]) if (rows[name] && rows[name][row]) about.append(make("bdi", rows[name][row]));
    about.append(make("span", `fold ${rows.fold[row]}`));
    for (const [name, title] of [["audio", "listen"], ["video", "watch"]]) { const part = link(row, name, title); if (part) about.append(part); }
    const heads = make("p", undefined, "about");
    for (const own of data.modalities) {
      if (own.answer[row] < 0) continue;
      const part = make("span", `${own.name}: `);
      part.append(make("bdi", classes[own.answer[row]]), ` ${(100 * own.chance[row]).toFixed(0)} %`);
      heads.append(part);
    }
    left.append(verdict, said, about);
    side.append(bars(row), heads);
    item.append(left, side);
    return item;
  };
  const draw = () => {
    const page = found.slice(first, first + PAGE);
    list.replaceChildren(...page.map(card));
    const part = size < data.total ? ` (of ${data.total} test utterances the page holds ${size}, wrong answers first)` : "";
    count.textContent = `${found.length.toLocaleString("en")} of ${size.toLocaleString("en")} test utterances${part}`;
    shown.textContent = found.length ? `${first + 1} to ${first + page.length}` : "none";
    before.disabled = first === 0;
    after.disabled = first + PAGE >= found.length;
  };
  const turn = step => { first += step * PAGE; draw(); form.scrollIntoView(); };
  before.addEventListener("click", () => turn(-1));
  after.addEventListener("click", () => turn(1));
  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(filter, 80); };
  for (const kind of ["input", "change"]) form.addEventListener(kind, soon);  // not every browser tells "input" of a choice
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", event => event.preventDefault());

  // A count of the confusion table shows its utterances.
  const table = document.querySelector("#table-confusion table");
  if (table) for (const row of table.tBodies[0].rows) {
    const truth = classes.indexOf(row.cells[0].textContent.trim());
    [...row.cells].slice(1).forEach((cell, answer) => {
      if (cell.textContent.trim() === "0") return;
      const button = make("button", cell.textContent.trim(), "pair");
      button.type = "button";
      button.setAttribute("aria-label", `${cell.textContent.trim()}: show ${classes[truth]} answered as ${classes[answer]}`);
      button.addEventListener("click", () => {
        form.reset();
        setTimeout(() => {
          form.elements.which.value = "all";
          form.elements.truth.value = String(truth);
          form.elements.answer.value = String(answer);
          filter();
          form.scrollIntoView();
        });
      });
      cell.replaceChildren(button);
    });
  }
  filter();
})();
