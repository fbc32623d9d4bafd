/**
 * One trace as a waterfall: a thin line while a message waited, a bar while somebody worked.
 * @typedef {import("./main.js").Context} Context
 * @typedef {import("./address.js").Place} Place
 * @typedef {import("./tree.js").Row} Row
 */
import { but, from } from "./address.js";
import { copies, h, name, printable, show } from "./dom.js";
import { clock, count, counted, duration, utc } from "./format.js";
import { spanDetails } from "./span.js";
import { empty } from "./states.js";
import { key, ticks, tree } from "./tree.js";

/** Of more rows only those on the screen are drawn. */
const ALL = 500;
const HEIGHT = 24;
/** A trace whose last span ended so long ago gets no more. ms */
const SETTLED = 120_000;

export class TraceView {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.element = h("div", { class: "trace" });
    /** @type {any} */
    this.trace = null;
    this.drawn = "";
    this.sought = false;
    /** @type {import("./tree.js").Tree} */
    this.tree = { rows: [], from: 0, to: 1 };
    this.head = h("header", { class: "sum" });
    this.ruler = h("div", { class: "ruler", "aria-hidden": "true" });
    this.grid = h("div", { class: "grid", "aria-hidden": "true" });
    this.list = h("div", { class: "rows", role: "tree", "aria-label": "Spans" });
    this.detail = h("aside", { class: "detail", "aria-label": "Span", tabindex: "-1" });
    this.fall = h("div", { class: "fall" }, this.ruler, this.grid, this.list);
    /** Pixels of the axis. */
    this.wide = 600;
    this.first = -1;
    this.last = -1;
    this.list.addEventListener("click", (event) => {
      const at = /** @type {Element} */ (event.target);
      const row = at.closest("[data-row]");
      if (row && !at.closest("a, button") && getSelection()?.isCollapsed) this.open(Number(row.getAttribute("data-row")));
    });
    const scrolled = () => this.element.isConnected && this.window();
    addEventListener("scroll", scrolled, { passive: true });
    addEventListener("resize", scrolled, { passive: true });
    new ResizeObserver(() => this.drawRuler()).observe(this.ruler);
  }

  settled() {
    return this.trace !== null && Date.now() - new Date(this.trace.start).getTime() - this.trace.duration_ms > SETTLED;
  }

  /** @param {Place} place @param {AbortSignal} signal */
  async load(place, signal) {
    const known = this.trace !== null && this.trace.trace_id === place.id && this.settled();
    const trace = known ? this.trace : await this.context.ask("trace", new URLSearchParams({ id: place.id ?? "" }), signal);
    if (signal.aborted) return;
    if (trace === null) {
      show(this.element, empty("No span of this trace is here", h("p", {}, h("code", {}, place.id ?? "")), h("p", {}, "It was not sampled, its spans have not arrived, or they are older than what is kept. This page asks again by itself."), h("p", {}, h("a", { href: from(place, { view: "traces" }) }, "The newest traces"))));
      return;
    }
    const drawn = JSON.stringify([trace.spans.length, trace.duration_ms, trace.errors, trace.omitted]);
    if (drawn !== this.drawn || this.trace?.trace_id !== trace.trace_id) {
      this.trace = trace;
      this.drawn = drawn;
      this.tree = tree(trace);
      this.drawHead();
      this.first = -1;
      this.drawRuler();
    }
    if (!this.element.contains(this.fall)) show(this.element, this.head, h("div", { class: "split" }, this.fall, this.detail));
    this.drawDetail(place);
    this.window(true);
    if (place.span !== null && !this.sought) {
      this.sought = true;
      this.reveal(this.tree.rows.findIndex((row) => key(row.span) === place.span));
    }
  }

  drawHead() {
    const trace = this.trace;
    const orphans = this.tree.rows.filter((row) => row.orphan).length;
    const guests = this.tree.rows.filter((row) => row.span.guest).length;
    const rooted = trace.spans.some((/** @type {any} */ span) => !span.guest && span.parent_id === null);
    const waited = this.tree.rows.reduce((sum, row) => sum + Math.max(0, row.span.wait_ms ?? 0), 0);
    const fact = (/** @type {string} */ text, /** @type {string} */ says, more = "") => h("span", { title: says, class: more }, text);
    show(this.head,
      h("h1", {}, name(trace.root)),
      h("p", { class: "line" },
        copies(trace.trace_id, true),
        h("time", { datetime: trace.start, title: utc(trace.start) }, clock(trace.start, true)),
        fact(duration(trace.duration_ms), "From the start of its first span to the end of its last"),
        waited ? fact(`${duration(waited)} of waiting`, "The sum of what its messages waited in queues, side by side too", "wait") : null,
        fact(counted(trace.spans.length - guests, "span"), "Spans of this trace that have arrived"),
        guests ? fact(counted(guests, "batch guest"), "Spans of other traces: batches that took a message of this one") : null,
        fact(counted(trace.services.length, "service"), trace.services.map((/** @type {string} */ service) => printable(service, 60)).join(", ")),
        trace.errors ? fact(`${count(trace.errors)} failed`, "Spans that failed", "bad") : null),
      !rooted ? h("p", { class: "hint" }, "Its root has not arrived.") : orphans ? h("p", { class: "hint" }, `The parents of ${counted(orphans, "span")} have not arrived.`) : null,
      trace.omitted ? h("p", { class: "hint" }, `${counted(trace.omitted, "further span")} are not shown: a trace is cut at 10 000.`) : null);
  }

  drawRuler() {
    const width = this.ruler.clientWidth;
    if (!width || !this.trace) return;
    const { from: begin, to } = this.tree;
    const track = /** @type {HTMLElement} */ (h("div", { class: "track" }));
    const drawn = this.wide;
    this.wide = this.grid.firstElementChild?.clientWidth ?? width * 0.55;
    const marks = ticks(begin, to, Math.max(2, Math.floor(this.wide / 90)));
    for (const at of marks) {
      const part = (at - begin) / (to - begin);
      track.append(h("span", { css: { left: `${(100 * part).toFixed(3)}%` }, class: part > 0.93 ? "left" : "" }, duration(at) || "0"));
    }
    show(this.ruler, h("span", {}, "Span"), track);
    show(this.grid, h("div", { class: "track" }, ...marks.map((at) => h("i", { class: at === 0 ? "zero" : "", css: { left: `${((100 * (at - begin)) / (to - begin)).toFixed(3)}%` } }))));
    if (drawn !== this.wide && this.first >= 0) this.window(true);
  }

  /** Draw the rows that can be seen. @param {boolean} [anew] */
  window(anew = false) {
    const { rows } = this.tree;
    let [first, last] = [0, rows.length];
    if (rows.length > ALL) {
      const top = this.list.getBoundingClientRect().top;
      first = Math.max(0, Math.floor(-top / HEIGHT) - 20);
      last = Math.min(rows.length, first + Math.ceil(innerHeight / HEIGHT) + 40);
    }
    if (!anew && first === this.first && last === this.last) return;
    // While one scrolls a few rows nothing has to be drawn anew.
    if (!anew && this.first >= 0 && Math.abs(first - this.first) < 10 && last <= this.last + 10) return;
    [this.first, this.last] = [first, last];
    const focus = document.activeElement?.getAttribute("data-row");
    this.list.style.setProperty("height", `${rows.length * HEIGHT}px`);
    const selected = this.context.place().span;
    const at = rows.findIndex((row) => key(row.span) === selected);
    show(this.list, ...rows.slice(first, last).map((row, place) => this.row(row, first + place, first + place === at, at < 0 && first + place === 0)));
    if (focus !== null && focus !== undefined) /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-row="${Number(focus)}"]`))?.focus({ preventScroll: true });
  }

  /** @param {Row} row @param {number} number @param {boolean} selected @param {boolean} first */
  row(row, number, selected, first) {
    const { span } = row;
    const failed = span.status === "error";
    const marks = [];
    if (row.attempt !== null) marks.push(h("i", { class: "mark", title: "Attempts at this message are numbered" }, `attempt ${row.attempt}`));
    if (span.batch !== null) marks.push(h("i", { class: "mark", title: "One span for all messages of a batch" }, `batch of ${count(span.batch)}`));
    if (span.dead_letter) marks.push(h("i", { class: "mark", title: "Its message came back from a dead-letter queue" }, "dead letter"));
    if (row.orphan) marks.push(h("i", { class: "mark", title: `Its parent ${span.parent_id} has not arrived` }, "no parent"));
    const says = [`${printable(span.name, 80)}, ${printable(span.service ?? "service not said", 60)}`, `took ${duration(span.duration_ms)}`];
    if (span.wait_ms !== null) says.push(`waited ${duration(span.wait_ms)}${span.wait_measured ? "" : ", reckoned from the send"}`);
    if (row.attempt !== null) says.push(`attempt ${row.attempt}`);
    if (span.guest) says.push("a batch of another trace");
    if (failed) says.push(`failed: ${printable(span.error ?? "", 200)}`);
    return h("div", {
      class: `row ${span.kind}${failed ? " failed" : ""}${span.guest ? " guest" : ""}`, role: "treeitem", "aria-level": row.depth + 1, "aria-selected": String(selected), "aria-label": says.join(", "),
      tabindex: selected || first ? 0 : -1, "data-row": number, title: says.join("\n"), css: { top: `${number * HEIGHT}px` },
    },
    h("div", { class: "what", css: { "--depth": String(row.depth) } }, span.guest ? h("span", { class: "from", "aria-hidden": "true" }, "⇠") : null, name(span.name, { title: null }), h("small", {}, span.service === null ? "" : printable(span.service, 60)), ...marks),
    this.track(row, failed));
  }

  /** @param {Row} row @param {boolean} failed */
  track(row, failed) {
    const { from: begin, to } = this.tree;
    const wide = to - begin;
    const part = (/** @type {number} */ ms) => Math.max(0, Math.min(100, (100 * (ms - begin)) / wide));
    const [start, end] = [part(row.begun), part(row.begun + row.span.duration_ms)];
    const waiting = row.waited > 0 ? part(row.begun - row.waited) : start;
    const text = failed ? `${duration(row.span.duration_ms)} ✕` : duration(row.span.duration_ms);
    const room = 7000 / Math.max(140, this.wide);
    const free = Math.min(start, waiting);
    // Behind the bar, else before it all, else within the bar, else over its wait.
    const [where, place] = end <= 100 - room ? ["", { left: end }] : free >= room ? ["", { right: 100 - free }] : end - start >= room ? [" within", { right: 100 - end }] : [" over", { right: 100 - start }];
    return h("div", { class: "track" },
      start > waiting ? h("i", { class: `waited${row.cut ? " cut" : ""}`, css: { left: `${waiting.toFixed(3)}%`, width: `${(start - waiting).toFixed(3)}%` } }) : null,
      h("i", { class: "work", css: { left: `${start.toFixed(3)}%`, width: `${Math.max(0, end - start).toFixed(3)}%` } }),
      h("span", { class: `time${where}`, css: Object.fromEntries(Object.entries(place).map(([side, at]) => [side, `${at.toFixed(3)}%`])) }, text));
  }

  /** @param {Place} place */
  drawDetail(place) {
    const row = place.span === null ? undefined : this.tree.rows.find((one) => key(one.span) === place.span);
    this.element.classList.toggle("open", row !== undefined);
    if (!row) show(this.detail);
    else if (this.detail.dataset.span !== `${place.span} ${this.drawn}` || !this.detail.hasChildNodes()) {
      this.detail.dataset.span = `${place.span} ${this.drawn}`;
      show(this.detail, ...spanDetails(row, place, this.trace));
      this.detail.scrollTop = 0;
    }
  }

  /** @param {number} number */
  open(number) {
    const row = this.tree.rows[number];
    if (!row) return;
    this.sought = true;
    const place = this.context.place();
    const id = key(row.span);
    this.context.go(but(place, { span: place.span === id ? null : id }), true);
    /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-row="${number}"]`))?.focus({ preventScroll: true });
  }

  /** @param {number} number */
  reveal(number) {
    if (number < 0) return;
    const top = this.list.getBoundingClientRect().top + number * HEIGHT;
    if (top < 90 || top > innerHeight - 60) scrollBy(0, top - innerHeight / 2);
    this.window();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const rows = this.tree.rows.length;
    const at = Number(document.activeElement?.getAttribute("data-row") ?? this.tree.rows.findIndex((row) => key(row.span) === this.context.place().span));
    const by = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 20, PageUp: -20, Home: -rows, End: rows }[event.key];
    const focused = document.activeElement?.hasAttribute("data-row");
    if (by !== undefined && rows && (focused || Math.abs(by) === 1)) {
      const next = Math.max(0, Math.min(rows - 1, at + by));
      this.reveal(next);
      this.focus(next);
      if (this.context.place().span !== null) this.context.go(but(this.context.place(), { span: key(this.tree.rows[next].span) }), true);
      return true;
    }
    if (focused && (event.key === "Enter" || event.key === " ")) {
      this.open(at);
      return true;
    }
    return false;
  }

  /** @param {number} number */
  focus(number) {
    this.window();
    /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-row="${number}"]`))?.focus({ preventScroll: true });
  }
}
