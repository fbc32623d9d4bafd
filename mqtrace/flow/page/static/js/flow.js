/**
 * The view Flow: the map, what is pointed at on it, and the pairs of sender and receiver.
 * @typedef {import("./main.js").Context} Context
 * @typedef {import("./address.js").Place} Place
 */
import { asked, but, from } from "./address.js";
import { h, name, show } from "./dom.js";
import { count, duration, percent, rate } from "./format.js";
import { busiest, graph, MANY, prefixes } from "./graph.js";
import { FlowMap, waitClass } from "./map.js";
import { Panel } from "./panel.js";
import { nothing } from "./states.js";
import { Table } from "./table.js";

export class Flow {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.element = h("div", { class: "flow" });
    this.opened = new Set();
    /** @type {any} */
    this.rows = null;
    /** @type {import("./graph.js").Graph | null} */
    this.graph = null;
    /** @type {string | null} */
    this.hovered = null;
    this.waiting = 0;
    /** @type {FlowMap} */
    this.map = new FlowMap({
      hovered: (id) => this.hover(id),
      chosen: (id) => this.choose(id),
      address: (arrow) => this.leads(arrow),
    });
    this.group = h("a", { class: "toggle", "data-replace": true });
    this.map.element.querySelector(".tools")?.prepend(this.group);
    this.left = h("span");
    this.wait = h("p", { class: "foot" });
    this.map.element.querySelector(".legend")?.append(this.left);
    this.panel = new Panel(context);
    /** @type {any[]} */
    this.pairs = [];
    this.sought = "";
    /** @type {number | null} */
    this.seconds = null;
    this.table = new Table(this.columns(), {
      caption: "Pairs of sender and receiver",
      key: (row) => JSON.stringify([row.sender, row.sent_to, row.taken_from, row.receiver, row.subscription, row.system]),
      address: (sort) => but(context.place(), { sort }),
      open: (row) => from(context.place(), { view: "traces", service: [row.receiver ?? row.sender].filter((one) => one !== null), destination: [row.receiver === null ? row.sent_to : row.taken_from ?? row.sent_to].filter((one) => one !== null) }),
    });
  }

  /** @returns {import("./table.js").Column[]} */
  columns() {
    const number = (/** @type {string} */ key, /** @type {string} */ label, /** @type {string} */ says, /** @type {string} */ more = "") => ({ key, label, says, more, cell: (/** @type {any} */ row) => (row[key] ? count(row[key]) : null), by: (/** @type {any} */ row) => row[key] });
    const time = (/** @type {string} */ key, /** @type {string} */ label, /** @type {string} */ says, /** @type {boolean} */ swatch = false) => ({ key, label, says, cell: (/** @type {any} */ row) => (row[key] === null ? null : swatch ? h("span", {}, h("i", { class: `swatch ${waitClass(row[key])}` }), duration(row[key])) : duration(row[key])), by: (/** @type {any} */ row) => row[key] });
    return [
      { key: "sender", label: "From", says: "The service that sent", text: true, cell: (row) => name(row.sender), by: (row) => row.sender },
      { key: "sent_to", label: "Through", says: "The topic, queue or exchange", text: true, cell: (row) => h("span", {}, name(row.sent_to ?? row.taken_from), row.taken_from !== null && row.sent_to !== null && row.taken_from !== row.sent_to ? h("small", {}, "queue ", name(row.sent_to !== null && row.taken_from.startsWith(`${row.sent_to}:`) ? row.taken_from.slice(row.sent_to.length + 1) : row.taken_from, { title: `Taken from ${row.taken_from}` })) : null), by: (row) => row.sent_to },
      { key: "receiver", label: "To", says: "The service that took it, and its subscription", text: true, cell: (row) => h("span", {}, row.receiver === null && row.subscription === null ? h("span", { class: "nobody", title: "Sent, and taken by nobody whose spans are here; failed sends are among it" }, "nobody") : name(row.receiver), row.subscription !== null && row.subscription !== row.receiver ? h("small", {}, name(row.subscription)) : null), by: (row) => row.receiver },
      { key: "system", label: "On", says: "messaging.system", text: true, more: "quiet", cell: (row) => (row.system === null ? null : name(row.system)), by: (row) => row.system },
      number("messages", "Messages", "Different messages in the window"),
      { key: "rate", label: "Rate", says: "Messages over the window", cell: (row) => rate(row.messages, this.seconds), by: (row) => row.messages },
      { key: "errors", label: "Failed", says: "Deliveries whose handler failed, and sends that failed", more: "bad", cell: (row) => (row.errors + row.send_errors ? h("span", { title: `${count(row.errors)} of ${count(row.deliveries)} deliveries (${percent(row.errors, row.deliveries)}), ${count(row.send_errors)} sends` }, count(row.errors + row.send_errors)) : null), by: (row) => row.errors + row.send_errors },
      number("retries", "Retries", "Deliveries that were not the first attempt at their message"),
      number("dead_letters", "Dead", "Deliveries of messages that came back from a dead-letter queue"),
      time("wait_p50_ms", "Wait p50", "Half of the messages waited no longer than this in the queue"),
      time("wait_p99_ms", "p99", "99 of 100 messages waited no longer than this in the queue", true),
      time("work_p50_ms", "Work p50", "Half of the handlers took no longer than this"),
      time("work_p99_ms", "p99", "99 of 100 handlers took no longer than this"),
    ];
  }

  /** @param {Place} place @param {AbortSignal} signal */
  async load(place, signal) {
    // The map is cheaper to answer than the pairs, and is there first.
    const pairs = this.context.ask("flow", asked(place), signal);
    pairs.catch(() => {}); // awaited below, where the map has not failed before
    const rows = await this.context.ask("map", asked(place), signal);
    if (signal.aborted) return;
    this.rows = rows;
    this.seconds = rows.seconds;
    if (!rows.sent.length && !rows.received.length) {
      show(this.element, nothing(this.context, "message was sent or taken"));
      return;
    }
    if (!this.map.element.isConnected || !this.element.contains(this.map.element)) {
      show(this.element, this.map.element, h("div", { class: "under" }, h("div", {}, this.wait, this.table.element), this.panel.element));
    }
    this.drawMap(place);
    if (!this.pairs.length) this.wait.textContent = "The pairs of sender and receiver are being counted…";
    const drawn = await pairs.catch((error) => {
      if (!signal.aborted && !this.pairs.length) this.wait.textContent = "The pairs of sender and receiver were not counted: look at a shorter window.";
      throw error;
    });
    if (signal.aborted) return;
    this.wait.textContent = "";
    this.pairs = drawn;
    this.drawPairs();
  }

  /** @param {Place} place */
  drawMap(place) {
    const plain = graph(this.rows);
    const grouped = place.group ?? plain.nodes.size > MANY;
    const whole = grouped ? graph(this.rows, prefixes(this.rows, this.opened)) : plain;
    this.graph = busiest(whole);
    this.left.textContent = whole === this.graph ? "" : `the busiest ${count(this.graph.arrows.length)} of ${count(whole.arrows.length)} arrows: search or filter for the others`;
    const can = [...graph(this.rows, prefixes(this.rows, new Set())).nodes.values()].some((node) => node.grouped);
    this.group.toggleAttribute("hidden", !can);
    this.group.setAttribute("href", but(place, { group: !grouped, pin: null }));
    this.group.setAttribute("title", grouped ? "Show every name by itself" : "Show names that begin alike as one");
    show(this.group, grouped ? "ungroup" : "group");
    this.map.pinned = place.pin;
    this.map.draw(this.graph);
    this.drawPanel();
  }

  /** Those that a search finds. */
  drawPairs() {
    const found = this.sought ? this.pairs.filter((row) => [row.sender, row.sent_to, row.taken_from, row.receiver, row.subscription].some((text) => text?.toLowerCase().includes(this.sought))) : this.pairs;
    this.table.draw(found, this.context.place().sort);
  }

  drawPanel() {
    const place = this.context.place();
    if (!this.graph) return;
    const there = (/** @type {string | null} */ id) => (id !== null && (this.graph?.nodes.has(id) || this.graph?.arrows.some((arrow) => arrow.id === id)) ? id : null);
    const id = there(this.hovered) ?? there(place.pin);
    this.panel.draw(this.graph, id, place, id !== null && id === place.pin);
  }

  /** What is pointed at, once the pointer rests. @param {string | null} id */
  hover(id) {
    if (id === this.hovered) return;
    this.hovered = id;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.drawPanel(), id === null ? 300 : 140);
  }

  /** @param {string} id of a node: a group opens, another one stays in the panel */
  choose(id) {
    const node = this.graph?.nodes.get(id);
    if (node?.grouped) {
      this.opened.add(`${node.kind}:${node.name}`);
      this.drawMap(this.context.place());
      return;
    }
    const place = this.context.place();
    this.context.go(but(place, { pin: place.pin === id ? null : id }), true);
  }

  /** @param {import("./graph.js").Arrow} arrow @returns {string} */
  leads(arrow) {
    const nodes = this.map.graph?.nodes;
    const service = nodes?.get(arrow.kind === "sent" ? arrow.from : arrow.to)?.members ?? [];
    const destination = arrow.taken !== null && arrow.rows === 1 ? [arrow.taken] : nodes?.get(arrow.kind === "sent" ? arrow.to : arrow.from)?.members ?? [];
    return from(this.context.place(), { view: "traces", service, destination });
  }

  /** @param {string} text */
  seek(text) {
    this.sought = text.toLowerCase();
    this.map.seek(text);
    this.drawPairs();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "+" || event.key === "=") this.map.zoom(1.3);
    else if (event.key === "-") this.map.zoom(1 / 1.3);
    else if (event.key === "0") this.map.fit(true);
    else return false;
    return true;
  }
}
