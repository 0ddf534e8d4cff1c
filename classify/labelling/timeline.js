"use strict";
(() => {
  const PAGE = 100;
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = name => document.getElementById(name);
  const media = byId("media"), plot = byId("plot"), list = byId("list"), scroll = byId("scroll");
  const total = data.label.length;
  const make = (tag, text) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Times: minutes and seconds, with hours where there are any; a text has lines.
  const clock = (value, digits = 1) => {
    if (!data.timed) return `line ${Math.floor(value) + 1}`;
    const tenths = Math.round(value * 10 ** digits), unit = 60 * 10 ** digits;
    const minutes = Math.floor(tenths / unit), rest = (tenths % unit) / 10 ** digits;
    const seconds = rest.toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
    const hours = Math.floor(minutes / 60);
    return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
  };
  // The window whose cell of the drawing holds a moment, or the one before it.
  const at = moment => {
    const share = (moment + 0.002) / data.length;  // players round times
    let low = 0, high = total - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (data.left[middle] <= share) low = middle; else high = middle - 1;
    }
    return low;
  };
  const cell = row => data.left[row] * data.length;
  const span = row => data.timed ? `${clock(data.start[row])} – ${clock(data.end[row])}` : clock(data.start[row]);
  const chance = row => {
    if (!data.p[row]) return "";
    const place = data.classes.indexOf(data.label[row]);
    return (place < 0 ? Math.max(...data.p[row]) : data.p[row][place]).toFixed(2);
  };

  let moment = 0, current = -1, first = 0;
  const card = row => {
    const item = make("li"), time = make("button", span(row)), about = make("span", data.text[row]);
    time.type = "button";
    time.addEventListener("click", () => seek(cell(row)));
    const rest = [data.by[row].replaceAll("+", ", "), data.note[row]].filter(Boolean).join("; ");
    if (rest) about.append(data.text[row] ? " " : "", make("small", rest));
    item.append(time, make("span", data.label[row] || "no answer"), make("span", chance(row)), about);
    if (row === current) item.setAttribute("aria-current", "true");
    return item;
  };
  const draw = () => {
    const last = Math.min(first + PAGE, total);
    list.replaceChildren(...Array.from({ length: last - first }, (_, place) => card(first + place)));
    byId("where").textContent = `${first + 1} to ${last} of ${total}`;
    byId("before").disabled = first === 0;
    byId("after").disabled = last >= total;
  };
  const mark = row => {
    if (byId("follow").checked && (row < first || row >= first + PAGE)) {
      first = Math.floor(row / PAGE) * PAGE;
      draw();
    }
    for (const item of list.querySelectorAll("[aria-current]")) item.removeAttribute("aria-current");
    const item = row >= first ? list.children[row - first] : null;
    if (item) item.setAttribute("aria-current", "true");
  };
  const show = () => {
    const row = at(moment), share = Math.min(1, moment / data.length);
    byId("head").style.left = `${100 * share}%`;
    plot.setAttribute("aria-valuenow", moment.toFixed(1));
    plot.setAttribute("aria-valuetext", `${clock(moment)}, ${data.label[row] || "no answer"}`);
    const x = share * plot.clientWidth;
    if (x < scroll.scrollLeft || x > scroll.scrollLeft + scroll.clientWidth) scroll.scrollLeft = x - scroll.clientWidth / 4;
    byId("now-time").textContent = clock(moment);
    if (row === current) return;
    current = row;
    byId("now-label").textContent = data.label[row] || "no answer";
    byId("now-by").textContent = data.by[row] ? `by ${data.by[row].replaceAll("+", ", ")}` : "";
    byId("now-text").textContent = data.text[row];
    byId("now-note").textContent = data.note[row];
    for (const each of document.querySelectorAll(".chance")) {
      each.textContent = data.p[row] ? data.p[row][Number(each.dataset.class)].toFixed(2) : "";
    }
    mark(row);
  };
  const seek = value => {
    moment = Math.max(0, Math.min(value, data.length));
    if (media) media.currentTime = moment;
    show();
  };

  plot.addEventListener("click", event => {
    const box = plot.getBoundingClientRect();
    const value = (event.clientX - box.left) / box.width * data.length;
    seek(data.timed ? value : Math.floor(value));
  });
  plot.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step === undefined && !["Home", "End"].includes(event.key)) return;
    event.preventDefault();
    const row = event.key === "Home" ? 0 : event.key === "End" ? total - 1 : Math.max(0, Math.min(total - 1, current + step));
    seek(cell(row));
  });
  if (media) {
    for (const kind of ["timeupdate", "seeked"]) media.addEventListener(kind, () => { moment = media.currentTime; show(); });
    media.addEventListener("error", () => { byId("broken").hidden = false; });
    if (media.error) byId("broken").hidden = false;
  }

  // Zoom: so many seconds to the width of the screen. Ticks keep apart.
  const zoom = byId("zoom"), ticks = byId("ticks");
  const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
  const drawTicks = () => {
    ticks.replaceChildren();
    if (!data.timed) return;
    const least = 70 / plot.clientWidth * data.length;
    const step = STEPS.find(each => each >= least) || 7200;
    for (let value = 0; value < data.length && ticks.children.length < 2000; value += step) {
      const tick = make("span", clock(value, step < 1 ? 1 : 0));
      tick.style.left = `${100 * value / data.length}%`;
      ticks.append(tick);
    }
  };
  if (zoom) {
    for (const seconds of [3600, 1200, 300, 60, 20]) {
      if (seconds >= data.length) continue;
      const option = make("option", seconds < 60 ? `${seconds} s` : `${seconds / 60} min`);
      option.value = String(seconds);
      zoom.append(option);
    }
    byId("zooming").hidden = zoom.options.length < 2;
    zoom.addEventListener("change", () => {
      const seconds = Number(zoom.value);
      plot.style.width = seconds ? `${100 * data.length / seconds}%` : "";
      drawTicks();
      show();
    });
  }
  addEventListener("resize", drawTicks);
  byId("before").addEventListener("click", () => { first = Math.max(0, first - PAGE); byId("follow").checked = false; draw(); });
  byId("after").addEventListener("click", () => { first += PAGE; byId("follow").checked = false; draw(); });
  draw();
  drawTicks();
  show();
})();
