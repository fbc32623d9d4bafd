/**
 * The view Traces: the newest or the slowest of the window, those with errors, those with an attribute.
 * @typedef {import("./main.js").Context} Context
 * @typedef {import("./address.js").Place} Place
 */
import { asked, but, from } from "./address.js";
import { copies, h, name, show } from "./dom.js";
import { clock, count, counted, duration, utc } from "./format.js";
import { nothing } from "./states.js";
import { Table } from "./table.js";

const FIRST = 100;
const MOST = 1000;

export class Traces {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.element = h("div", { class: "traces" });
    this.longest = 1;
    this.bar = h("div", { class: "bar" });
    this.foot = h("p", { class: "foot" });
    this.table = new Table([
      { key: "start", label: "Started", says: "When its first span began; local time", text: true, more: "when", cell: (row) => h("time", { datetime: row.start, title: utc(row.start) }, clock(row.start, true)), by: (row) => row.start },
      { key: "root", label: "Trace", says: "The name of its first span", text: true, more: "wide", cell: (row) => name(row.root), by: (row) => row.root },
      { key: "services", label: "Services", says: "The services that took part", text: true, more: "wide", cell: (row) => h("span", { class: "list" }, ...row.services.slice(0, 6).flatMap((/** @type {string} */ service, /** @type {number} */ place) => [place ? " · " : "", name(service)]), row.services.length > 6 ? ` and ${row.services.length - 6} more` : null), by: (row) => row.services.length },
      { key: "spans", label: "Spans", says: "Spans that have arrived", cell: (row) => count(row.spans), by: (row) => row.spans },
      { key: "errors", label: "Failed", says: "Spans that failed", more: "bad", cell: (row) => (row.errors ? count(row.errors) : null), by: (row) => row.errors },
      { key: "duration", label: "Took", says: "From the start of its first span to the end of its last, waits included", more: "took", cell: (row) => h("span", { class: "gauge" }, h("i", { css: { width: `${Math.max(1, 90 * Math.sqrt(row.duration_ms / this.longest)).toFixed(0)}px` } }), h("b", {}, duration(row.duration_ms))), by: (row) => row.duration_ms },
      { key: "trace_id", label: "Id", says: "The trace id: a click copies it", text: true, more: "ids", cell: (row) => copies(row.trace_id) },
    ], {
      caption: "Traces",
      most: MOST,
      key: (row) => row.trace_id,
      address: (sort) => but(context.place(), { sort }),
      open: (row) => from(context.place(), { view: "trace", id: row.trace_id }),
    });
    this.attribute = /** @type {HTMLInputElement} */ (h("input", { type: "text", placeholder: "attribute: key=value", "aria-label": "Attribute, as key=value", title: "Traces with a span that has this attribute, exactly: order.id=42", spellcheck: "false", autocomplete: "off" }));
    this.attribute.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.search();
      else if (event.key === "Escape") this.attribute.blur();
    });
    this.attribute.addEventListener("change", () => this.search());
    this.complaint = h("span", { class: "complaint", role: "alert" });
  }

  search() {
    const text = this.attribute.value.trim();
    const wrong = text !== "" && !/^[^=]+=/.test(text);
    this.attribute.setAttribute("aria-invalid", String(wrong));
    this.complaint.textContent = wrong ? "write key=value" : "";
    if (!wrong && (text || null) !== this.context.place().attribute) this.context.go(but(this.context.place(), { attribute: text || null }));
  }

  /** @param {Place} place @param {AbortSignal} signal */
  async load(place, signal) {
    const limit = place.limit ?? FIRST;
    if (document.activeElement !== this.attribute) this.attribute.value = place.attribute ?? "";
    const choice = (/** @type {string} */ label, /** @type {Partial<Place>} */ changes, /** @type {boolean} */ on, /** @type {string} */ says) => h("a", { href: but(place, changes), "aria-current": on ? "true" : null, title: says }, label);
    const bar = [
      h("div", { class: "choices", role: "group", "aria-label": "Order" },
        choice("Newest", { order: "newest", sort: null }, place.order === "newest", "The latest first"),
        choice("Slowest", { order: "slowest", sort: null }, place.order === "slowest", "The longest first")),
      h("div", { class: "choices", role: "group", "aria-label": "Errors" },
        choice("All", { errors: false }, !place.errors, "With errors and without"),
        choice("Errors", { errors: true }, place.errors, "One of its spans failed")),
      this.attribute, this.complaint,
    ];
    if (!this.bar.contains(this.attribute) || document.activeElement !== this.attribute) show(this.bar, ...bar);
    /** @type {Record<string, string | number>} */
    const more = { order: place.order, limit };
    if (place.errors) more.errors = "true";
    if (place.attribute !== null) more.attribute = place.attribute;
    const rows = await this.context.ask("traces", asked(place, more), signal);
    if (signal.aborted) return;
    this.longest = Math.max(1e-6, ...rows.map((/** @type {any} */ row) => row.duration_ms));
    this.table.draw(rows, place.sort);
    const full = rows.length >= limit;
    show(this.foot, full ? `The ${place.order === "newest" ? "newest" : "slowest"} ${count(rows.length)} of the window. ` : `${counted(rows.length, "trace")} in the window.`, full && limit < MOST ? h("a", { href: but(place, { limit: MOST }), "data-replace": true }, `Up to ${count(MOST)}`) : null);
    const content = rows.length ? [this.bar, this.table.element, this.foot] : [this.bar, nothing(this.context, "trace")];
    if (!rows.length || !this.element.contains(this.table.element)) show(this.element, ...content);
  }
}
