/**
 * The view Missing: what was sent and not processed, by what is known of it. Never "lost": spans cannot show that.
 * @typedef {import("./main.js").Context} Context
 * @typedef {import("./address.js").Place} Place
 */
import { asked, but, from } from "./address.js";
import { h, name, show } from "./dom.js";
import { ago, clock, count, counted, percent, utc } from "./format.js";
import { sentence } from "./head.js";
import { empty, nothing } from "./states.js";
import { Table } from "./table.js";

export class Missing {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.element = h("div", { class: "missing" });
    /** @type {Map<string | null, Table>} */
    this.tables = new Map();
  }

  /** @param {string | null} state */
  table(state) {
    const found = this.tables.get(state);
    if (found) return found;
    const place = this.context.place;
    const table = new Table([
      { key: "sent_to", label: "Sent to", says: "The topic, queue or exchange", text: true, more: "half", cell: (row) => name(row.sent_to), by: (row) => row.sent_to },
      { key: "subscription", label: "Subscription", says: "The consumer group or the queue that owes them", text: true, more: "half", cell: (row) => name(row.subscription), by: (row) => row.subscription },
      state === null
        ? { key: "share", label: "Handled", says: "The share of the destination's messages that it handled", cell: (row) => percent(row.share ?? 0, 1), by: (row) => row.share }
        : { key: "messages", label: "Messages", says: "Messages that this subscription owes", cell: (row) => count(row.messages), by: (row) => row.messages },
      { key: "oldest", label: "Oldest", says: "When the earliest of them was sent; local time", text: true, more: "when", cell: (row) => h("span", {}, h("time", { datetime: row.oldest, title: utc(row.oldest) }, clock(row.oldest)), h("small", { class: "beside" }, ago((Date.now() - new Date(row.oldest).getTime()) / 1000))), by: (row) => row.oldest },
      { key: "example", label: "Example", says: "The trace of the oldest of them", text: true, more: "ids", cell: (row) => h("a", { href: from(place(), { view: "trace", id: row.example }), class: "id", title: `${row.example}: open this trace` }, row.example.slice(0, 8), " →") },
    ], {
      caption: state ?? "partial readers",
      key: (row) => JSON.stringify([row.sent_to, row.subscription, row.state]),
      address: (sort) => but(place(), { sort }),
      open: (row) => from(place(), { view: "trace", id: row.example }),
    });
    this.tables.set(state, table);
    return table;
  }

  /** @param {Place} place @param {AbortSignal} signal */
  async load(place, signal) {
    const rows = /** @type {any[]} */ (await this.context.ask("missing", asked(place), signal));
    if (signal.aborted) return;
    const listed = rows.filter((row) => row.state !== null);
    const partial = rows.filter((row) => row.state === null);
    const order = [...Object.keys(this.context.states), ...listed.map((row) => row.state)];
    const states = [...new Set(order)].filter((state) => listed.some((row) => row.state === state));
    const total = listed.reduce((sum, row) => sum + row.messages, 0);
    const state = this.context.state();
    if (!rows.length && state && !state.spans) {
      show(this.element, nothing(this.context, "message"));
      return;
    }
    const sections = states.map((one) => {
      const of = listed.filter((row) => row.state === one);
      const table = this.table(one);
      table.draw(of, place.sort);
      return h("section", { class: `state ${one === "waiting" ? "waits" : ""}` },
        h("h2", {}, one, h("span", { class: "number", title: "Messages in this state" }, count(of.reduce((sum, row) => sum + row.messages, 0)))),
        h("p", {}, sentence(this.context.states[one] ?? "")), table.element);
    });
    if (partial.length) {
      const table = this.table(null);
      table.draw(partial, place.sort);
      sections.push(h("section", { class: "state" }, h("h2", {}, "Partial readers"), h("p", {}, "They handle under 90 % of a destination, as a filter does: that is a share, and no list of missing messages."), table.element));
    }
    const focus = document.activeElement?.closest?.("tr")?.getAttribute("data-key");
    show(this.element,
      total
        ? h("header", { class: "sum" }, h("h1", {}, counted(total, "message"), " not processed"), h("p", {}, `Sent in the window, and owed by ${counted(new Set(listed.map((row) => JSON.stringify([row.sent_to, row.subscription]))).size, "subscription")}. What failed to be sent, is too young or not due yet, or goes where nobody was seen to read is not judged.`))
        : empty("Nothing is missing", h("p", {}, "Every message of the window that could be judged was processed, failed attempts included. What is younger than a minute or ten times its queue's p99 wait is not judged yet.")),
      ...sections);
    if (focus) {
      for (const tr of this.element.querySelectorAll("tr")) {
        if (tr.getAttribute("data-key") === focus) /** @type {HTMLElement | null} */ (tr.querySelector("a.open"))?.focus({ preventScroll: true });
      }
    }
  }
}
