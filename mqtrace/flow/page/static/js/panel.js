/**
 * What is known of a node or an arrow, or of all of them: its rate and its wait over time, its errors, its slowest traces.
 * @typedef {import("./main.js").Context} Context
 * @typedef {import("./graph.js").Graph} Graph
 * @typedef {import("./address.js").Place} Place
 */
import { asked, from, literal } from "./address.js";
import { h, name, show } from "./dom.js";
import { clock, count, duration, percent, rate, utc } from "./format.js";
import { rates, waits } from "./spark.js";

export class Panel {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.element = h("aside", { class: "panel", "aria-label": "Details" });
    /** @type {AbortController | null} */
    this.running = null;
    this.key = "";
  }

  /** @param {Graph} graph @param {string | null} id @param {Place} place @param {boolean} pinned */
  async draw(graph, id, place, pinned) {
    const about = subject(graph, id);
    const key = JSON.stringify([id, place.last, place.from, place.to, place.service, place.destination]);
    this.running?.abort();
    const running = (this.running = new AbortController());
    const scope = asked({ ...place, service: [], destination: [] });
    for (const value of about.service ?? place.service) scope.append("service", literal(value));
    for (const value of about.destination ?? place.destination) scope.append("destination", literal(value));
    const more = (/** @type {Record<string, string>} */ extra) => new URLSearchParams([...scope, ...Object.entries(extra)]);
    const top = [
      h("header", {}, about.kind ? h("i", {}, about.kind) : null, h("h2", {}, ...about.title), pinned ? h("a", { class: "close", href: from(place, { view: "flow", service: place.service, destination: place.destination, group: place.group }), "data-replace": true, title: "Let go of it (Esc)", "aria-label": "Let go of it" }, "×") : null),
      facts(graph, id),
    ];
    if (key !== this.key) {
      this.key = key;
      show(this.element, ...top, h("p", { class: "hint" }, "…"));
    }
    try {
      const [steps, errors, slowest] = await Promise.all([
        this.context.ask("series", more({ steps: "60" }), running.signal),
        this.context.ask("errors", more({}), running.signal),
        this.context.ask("traces", more({ order: "slowest", limit: "5" }), running.signal),
      ]);
      if (running.signal.aborted) return;
      show(this.element, ...top, this.lines(about, steps), failures(errors, place), this.slowest(slowest, place, about));
    } catch (error) {
      if (!running.signal.aborted) show(this.element, ...top, h("p", { class: "hint" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {ReturnType<typeof subject>} about @param {any[]} steps */
  lines(about, steps) {
    return steps.length ? h("div", { class: "sparks" }, rates(steps, about.which), about.which === "sent" ? null : waits(steps)) : null;
  }

  /** @param {any[]} rows @param {Place} place @param {ReturnType<typeof subject>} about */
  slowest(rows, place, about) {
    if (!rows.length) return null;
    const all = from(place, { view: "traces", order: "slowest", service: about.service ?? place.service, destination: about.destination ?? place.destination });
    return h("section", {}, h("h3", {}, "Slowest traces", h("a", { href: all }, "all")),
      h("ul", { class: "short" }, ...rows.map((row) => h("li", {},
        h("a", { href: from(place, { view: "trace", id: row.trace_id }) }, h("time", { title: utc(row.start) }, clock(row.start)), name(row.root), row.errors ? h("b", { class: "bad", title: `${row.errors} of its spans failed` }, "✕") : null, h("span", { class: "number", title: "From the start of its first span to the end of its last" }, duration(row.duration_ms)))))));
  }
}

/** @param {any[]} rows @param {Place} place */
function failures(rows, place) {
  if (!rows.length) return null;
  /** @type {Map<string, {type: string | null, messages: number, example: string}>} */
  const types = new Map();
  for (const row of rows) {
    const found = types.get(row.error_type ?? "");
    if (found) found.messages += row.messages;
    else types.set(row.error_type ?? "", { type: row.error_type, messages: row.messages, example: row.example });
  }
  const sorted = [...types.values()].sort((a, b) => b.messages - a.messages).slice(0, 5);
  const most = Math.max(...sorted.map((row) => row.messages));
  return h("section", {}, h("h3", {}, "Errors"),
    h("ul", { class: "short" }, ...sorted.map((row) => h("li", {},
      h("a", { href: from(place, { view: "trace", id: row.example }), title: "The newest trace with it" }, h("span", { class: "share" }, h("i", { css: { width: `${(100 * row.messages) / most}%` } })), row.type ? name(row.type) : h("span", { class: "nobody", title: "The spans say no error.type" }, "no type"), h("span", { class: "number bad", title: "Messages that failed with it" }, count(row.messages)))))));
}

/** Which names to ask about. @param {Graph} graph @param {string | null} id */
function subject(graph, id) {
  const node = id === null ? undefined : graph.nodes.get(id);
  const arrow = id === null ? undefined : graph.arrows.find((one) => one.id === id);
  if (node) {
    const names = node.kind === "destination" ? [...new Set([...node.members, ...graph.arrows.filter((one) => one.from === node.id).map((one) => one.taken).filter((one) => one !== null)])] : node.members;
    return { kind: node.grouped ? `${node.members.length} ${node.kind}s` : node.kind, title: [name(node.grouped ? `${node.name}…` : node.name)], which: /** @type {const} */ ("both"), service: node.kind === "service" ? names : null, destination: node.kind === "destination" ? names : null };
  }
  if (arrow) {
    const [begin, end] = [graph.nodes.get(arrow.from), graph.nodes.get(arrow.to)];
    const service = arrow.kind === "sent" ? begin : end;
    const destination = arrow.kind === "sent" ? end : begin;
    return { kind: arrow.kind, title: [name(begin?.name ?? null), " → ", name(end?.name ?? null)], which: arrow.kind, service: service?.members ?? [], destination: arrow.taken !== null ? [arrow.taken] : destination?.members ?? [] };
  }
  return { kind: "", title: ["Everything"], which: /** @type {const} */ ("both"), service: null, destination: null };
}

/** @param {Graph} graph @param {string | null} id */
function facts(graph, id) {
  const arrows = graph.arrows.filter((arrow) => id === null || arrow.id === id || arrow.from === id || arrow.to === id);
  const sum = (/** @type {(arrow: any) => number} */ of, kind = "") => arrows.reduce((total, arrow) => total + (kind && arrow.kind !== kind ? 0 : of(arrow)), 0);
  const sent = sum((arrow) => arrow.messages, "sent");
  const received = sum((arrow) => arrow.messages, "received");
  const failed = sum((arrow) => arrow.errors);
  const waited = arrows.filter((arrow) => arrow.p99 !== null);
  /** @type {[string, string, string, string][]} */
  const said = [];
  if (sent) said.push(["sent", rate(sent, graph.seconds), `${count(sent)} messages were sent in the window`, ""]);
  if (received) said.push(["received", rate(received, graph.seconds), `${count(received)} deliveries in the window: attempts at a message, each of a batch counted`, ""]);
  if (failed) said.push(["failed", percent(failed, sent + received), `${count(failed)} sends and deliveries failed, of ${count(sent + received)}`, "bad"]);
  const [retries, dead] = [sum((arrow) => arrow.retries), sum((arrow) => arrow.dead_letters)];
  if (retries) said.push(["retries", count(retries), "Deliveries that were not the first attempt", ""]);
  if (dead) said.push(["dead letters", count(dead), "Deliveries of messages that came back from a dead-letter queue", ""]);
  if (waited.length) said.push(["wait p99", duration(Math.max(...waited.map((arrow) => arrow.p99 ?? 0))), waited.length > 1 ? "The longest p99 of the waits in the queue, of its arrows" : "The p99 of the wait in the queue", "wait"]);
  return h("dl", { class: "facts" }, ...said.flatMap(([label, value, says, more]) => [h("div", { title: says, class: more }, h("dt", {}, label), h("dd", {}, value))]));
}
