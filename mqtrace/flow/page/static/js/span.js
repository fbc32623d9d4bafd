/** What one span says: when, how long, its attributes, events and links. */
import { but, from } from "./address.js";
import { h, name, printable } from "./dom.js";
import { clock, count, duration, utc } from "./format.js";

/** What is shown of a long value before somebody asks for all of it. */
const SHORT = 300;

/** @param {import("./tree.js").Row} row @param {import("./address.js").Place} place @param {any} trace */
export function spanDetails(row, place, trace) {
  const { span } = row;
  /** @type {[string, import("./dom.js").Child][]} */
  const facts = [
    ["service", name(span.service)],
    ["kind", span.kind],
    ["began", h("time", { datetime: span.start, title: utc(span.start) }, clock(span.start, true))],
    ["worked", duration(span.duration_ms)],
  ];
  if (span.wait_ms !== null) facts.push(["waited", h("span", { class: "wait", title: span.wait_measured ? "Measured by the receiver" : "Not measured: from the start of the span that sent it" }, duration(span.wait_ms), span.wait_measured ? "" : " (reckoned from the send)")]);
  if (span.destination !== null) facts.push(["destination", name(span.destination)]);
  if (span.partition !== null) facts.push(["partition", printable(span.partition, 40)]);
  if (row.attempt !== null) facts.push(["attempt", String(row.attempt)]);
  if (span.batch !== null) facts.push(["batch", `${count(span.batch)} messages`]);
  if (span.dead_letter) facts.push(["dead letter", "its message came back from a dead-letter queue"]);
  facts.push(["span id", h("code", {}, span.span_id)]);
  if (span.parent_id !== null) facts.push(["parent", row.orphan ? h("code", { title: "It has not arrived" }, span.parent_id) : h("a", { href: but(place, { span: span.parent_id }), "data-replace": true, class: "id" }, span.parent_id)]);
  if (span.guest) facts.push(["trace", h("a", { href: from(place, { view: "trace", id: span.trace_id, span: span.span_id }), class: "id" }, span.trace_id)]);
  if (span.trace_state) facts.push(["tracestate", value(span.trace_state)]);
  return [
    h("header", {}, h("h2", {}, name(span.name)), h("a", { class: "close", href: but(place, { span: null }), "data-replace": true, title: "Close (Esc)", "aria-label": "Close" }, "×")),
    span.status === "error" ? h("p", { class: "error" }, printable(span.error ?? "", 2000) || "It failed, and does not say how.") : null,
    pairs(facts),
    section("Attributes", Object.keys(span.attributes).length, pairs(Object.entries(span.attributes).sort(([a], [b]) => (a < b ? -1 : 1)).map(([label, said]) => [label, value(said)]))),
    section("Events", span.events.length, ...span.events.map((/** @type {any} */ event) => h("div", { class: "event" },
      h("p", {}, name(event.name), h("span", { class: "number", title: "Since the start of the trace" }, duration(event.offset_ms))),
      pairs(Object.entries(event.attributes).map(([label, said]) => [label, value(said)]))))),
    section("Links", span.links.length, ...span.links.slice(0, 200).map((/** @type {any} */ link) => h("div", { class: "event" },
      h("p", {}, link.trace_id === trace.trace_id
        ? h("a", { href: but(place, { span: link.span_id }), "data-replace": true, class: "id" }, "this trace, ", link.span_id)
        : h("a", { href: from(place, { view: "trace", id: link.trace_id, span: link.span_id }), class: "id", title: link.trace_id }, link.trace_id.slice(0, 8), "…, ", link.span_id)),
      pairs(Object.entries(link.attributes).map(([label, said]) => [label, value(said)])))),
    span.links.length > 200 ? h("p", { class: "hint" }, `and ${count(span.links.length - 200)} more`) : null),
  ];
}

/** @param {string} title @param {number} number @param {import("./dom.js").Child[]} content */
function section(title, number, ...content) {
  return number ? h("section", {}, h("h3", {}, title, h("span", { class: "number" }, count(number))), ...content) : null;
}

/** @param {[string, import("./dom.js").Child][]} rows */
function pairs(rows) {
  return rows.length ? h("dl", { class: "pairs" }, ...rows.flatMap(([label, said]) => [h("dt", {}, ...printable(label, 200).split(/(?<=[._])/).flatMap((part) => [part, h("wbr")])), h("dd", {}, said)])) : null;
}

/** A value as text; a long one is opened when somebody wants it. @param {unknown} said */
function value(said) {
  const text = typeof said === "string" ? said : said === null ? "null" : typeof said === "object" ? JSON.stringify(said, null, 1) : String(said);
  const kind = typeof said === "string" ? "text" : "literal";
  const whole = lines(text);
  if (text.length <= SHORT) return h("span", { class: `value ${kind}` }, whole);
  const box = h("span", { class: `value ${kind}` }, lines(text.slice(0, SHORT)), "…");
  const more = h("button", { type: "button", class: "more" }, `all ${count(text.length)} characters`);
  more.addEventListener("click", () => {
    box.textContent = whole;
    box.classList.add("long");
    more.remove();
  });
  return h("span", {}, box, " ", more);
}

/** Line ends and tabs of a stack trace stay; other control characters are shown. @param {string} text */
function lines(text) {
  return text.split("\n").map((line) => line.split("\t").map((part) => printable(part)).join("\t")).join("\n");
}

