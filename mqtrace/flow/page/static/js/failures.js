/**
 * The view Retries: attempts after the first, and messages that came back from a dead-letter queue.
 * @typedef {import("./main.js").Context} Context
 * @typedef {import("./address.js").Place} Place
 */
import { asked, but, from } from "./address.js";
import { h, name, show } from "./dom.js";
import { count, counted, percent } from "./format.js";
import { empty, nothing } from "./states.js";
import { Table } from "./table.js";

export class Failures {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.element = h("div", { class: "failures" });
    const place = context.place;
    const number = (/** @type {string} */ key, /** @type {string} */ label, /** @type {string} */ says) => ({ key, label, says, cell: (/** @type {any} */ row) => (row[key] ? count(row[key]) : null), by: (/** @type {any} */ row) => row[key] });
    const text = (/** @type {string} */ key, /** @type {string} */ label, /** @type {string} */ says, more = "") => ({ key, label, says, text: true, more, cell: (/** @type {any} */ row) => (row[key] === null ? null : name(row[key])), by: (/** @type {any} */ row) => row[key] });
    const who = [
      text("destination", "Destination", "The topic or queue that was read", "half"),
      { key: "service", label: "Taken by", says: "The service, and its subscription", text: true, cell: (/** @type {any} */ row) => h("span", {}, name(row.service), row.subscription !== null && row.subscription !== row.service ? h("small", {}, name(row.subscription)) : null), by: (/** @type {any} */ row) => row.service },
    ];
    const example = { key: "example", label: "Example", says: "The newest trace with it", text: true, more: "ids", cell: (/** @type {any} */ row) => h("a", { class: "id", href: from(place(), { view: "trace", id: row.example }), title: `${row.example}: open this trace` }, row.example.slice(0, 8), " →") };
    const how = (/** @type {string} */ caption) => ({
      caption,
      key: (/** @type {any} */ row) => JSON.stringify([row.destination, row.service, row.subscription, row.dead_letter_queue, row.dead_letter_reason]),
      address: (/** @type {string} */ sort) => but(place(), { sort }),
      open: (/** @type {any} */ row) => from(place(), { view: "trace", id: row.example }),
    });
    this.retries = new Table([...who,
      number("retries", "Retries", "Attempts that were not the first at their message"),
      number("messages", "Messages", "Messages that were tried more than once"),
      { key: "recovered", label: "Recovered", says: "Of these messages, those that succeeded in the end", cell: (row) => h("span", { class: "gauge", title: `${count(row.recovered)} of ${count(row.messages)} messages succeeded in the end` }, h("i", { css: { width: `${row.messages ? (60 * row.recovered) / row.messages : 0}px` } }), h("b", {}, percent(row.recovered, row.messages))), by: (row) => (row.messages ? row.recovered / row.messages : null) },
      number("attempts", "Attempts", "The most attempts at one message, its first included"),
      text("error_type", "Most often", "The most frequent error.type of the attempts before", "bad"), example], how("Retries"));
    this.dead = new Table([...who,
      text("dead_letter_queue", "Came from", "The queue that gave it up", "half"),
      text("dead_letter_reason", "Because", "What the broker says: rejected, expired, maxlen, delivery_limit"),
      number("dead_letters", "Dead letters", "Messages that came back through a dead-letter exchange"),
      text("error_type", "Most often", "The most frequent error.type of the attempts before", "bad"), example], how("Dead letters"));
  }

  /** @param {Place} place @param {AbortSignal} signal */
  async load(place, signal) {
    const rows = /** @type {any[]} */ (await this.context.ask("failures", asked(place), signal));
    if (signal.aborted) return;
    const retried = rows.filter((row) => row.retries > 0);
    const dead = rows.filter((row) => row.dead_letters > 0);
    if (!rows.length) {
      const state = this.context.state();
      show(this.element, state && !state.spans ? nothing(this.context, "message") : empty("No retries and no dead letters", h("p", {}, "In this window every message that is here was handled at its first attempt, or not at all."), h("p", {}, "Retries are counted where the client says them (Celery's retries, a redelivery count, x-death).")));
      return;
    }
    this.retries.draw(retried, place.sort);
    this.dead.draw(dead, place.sort);
    const sum = (/** @type {any[]} */ of, /** @type {string} */ key) => of.reduce((total, row) => total + row[key], 0);
    show(this.element,
      h("section", { class: "state" }, h("h2", {}, "Retries", h("span", { class: "number", title: "Attempts that were not the first" }, count(sum(retried, "retries")))),
        h("p", {}, retried.length ? `${counted(sum(retried, "messages"), "message")} were tried again, ${count(sum(retried, "recovered"))} of them with success in the end.` : "None in this window."), retried.length ? this.retries.element : null),
      h("section", { class: "state" }, h("h2", {}, "Dead letters", h("span", { class: "number", title: "Messages that came back" }, count(sum(dead, "dead_letters")))),
        h("p", {}, dead.length ? "Given up by one queue, and read from another one." : "None in this window."), dead.length ? this.dead.element : null));
  }
}
