/**
 * A trace's spans as rows of a waterfall: how deep, which attempt, and where on the axis.
 * @typedef {object} Row
 * @property {any} span
 * @property {number} depth
 * @property {number | null} attempt from 1; null where there was one
 * @property {boolean} orphan its parent has not arrived
 * @property {number} begun ms on the axis, the wait left out
 * @property {number} waited ms on the axis before `begun`
 * @property {boolean} cut it waited longer than the axis shows
 * @typedef {{rows: Row[], from: number, to: number}} Tree
 */

/** Deeper than this nobody follows the indentation. */
const DEEPEST = 14;

/** @param {any} trace the answer to `trace` @returns {Tree} */
export function tree(trace) {
  const own = new Map(trace.spans.filter((/** @type {any} */ span) => !span.guest).map((/** @type {any} */ span) => [span.span_id, span]));
  /** @type {Map<string, number>} */
  const depths = new Map();
  const attempts = attemptsOf(trace.spans);
  const took = Math.max(trace.duration_ms, 1e-3);
  let above = 0;
  const rows = trace.spans.map((/** @type {any} */ span) => {
    let depth = 0;
    if (span.guest) depth = 1 + Math.min(...span.links.map((/** @type {any} */ link) => (link.trace_id === trace.trace_id ? depths.get(link.span_id) : undefined) ?? Infinity), above);
    else {
      const parent = span.parent_id !== null && span.parent_id !== span.span_id ? depths.get(span.parent_id) : undefined;
      depth = parent === undefined ? 0 : parent + 1;
      depths.set(span.span_id, depth);
      above = depth;
    }
    const wait = Math.max(0, span.wait_ms ?? 0);
    // A backlog of hours would leave no room for anything else; clocks are not that exact that a wait began before its send.
    const sender = own.get(span.parent_id ?? "");
    const most = sender && sender.kind === "producer" ? Math.max(0, span.offset_ms - sender.offset_ms) : Infinity;
    const waited = Math.min(wait, most, 2 * took);
    return {
      span, depth: Math.min(DEEPEST, depth), attempt: attempts.get(key(span)) ?? null,
      orphan: !span.guest && span.parent_id !== null && !own.has(span.parent_id),
      begun: span.offset_ms, waited, cut: Math.min(wait, most) > waited,
    };
  });
  let [from, to] = [0, took];
  for (const row of rows) {
    // A guest may have begun long before, and go on long after.
    from = Math.min(from, Math.max(row.begun - row.waited, -2 * took));
    to = Math.max(to, Math.min(row.begun + row.span.duration_ms, 3 * took));
  }
  return { rows, from, to };
}

/** @param {any} span */
export function key(span) {
  return span.guest ? `${span.trace_id}-${span.span_id}` : span.span_id;
}

/** Attempts at one message are numbered once there is more than one. @param {any[]} spans */
function attemptsOf(spans) {
  /** @type {Map<string, any[]>} */
  const messages = new Map();
  for (const span of spans) {
    if (span.kind !== "consumer" || span.guest) continue;
    const id = JSON.stringify([span.parent_id, span.service, span.destination]);
    messages.set(id, [...(messages.get(id) ?? []), span]);
  }
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const tried of messages.values()) {
    if (tried.some((span) => span.retry > 0)) for (const span of tried) found.set(key(span), span.retry + 1);
  }
  return found;
}

/** Round steps of an axis. @param {number} from @param {number} to @param {number} most @returns {number[]} */
export function ticks(from, to, most) {
  const rough = (to - from) / Math.max(1, most);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * unit).find((size) => size >= rough) ?? unit * 10;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to + step * 1e-6; at += step) found.push(Math.abs(at) < step * 1e-6 ? 0 : at);
  return found;
}
