/**
 * The map as a graph: services, destinations, and the arrows between them; out of the rows of the question `map`.
 * @typedef {object} GraphNode
 * @property {string} id
 * @property {"service" | "destination"} kind
 * @property {string | null} name
 * @property {string | null} system
 * @property {string[]} members names behind a group; one where it is none
 * @property {boolean} grouped
 * @typedef {object} Arrow
 * @property {string} id
 * @property {string} from
 * @property {string} to
 * @property {"sent" | "received"} kind
 * @property {string | null} service null: not said, or several behind a group
 * @property {string | null} destination
 * @property {string | null} taken the destination as the receiver names it
 * @property {string | null} subscription
 * @property {number} messages
 * @property {number} weighted
 * @property {number} errors
 * @property {number} retries
 * @property {number} dead_letters
 * @property {number | null} p50
 * @property {number | null} p99
 * @property {number} rows how many are in it
 * @typedef {{nodes: Map<string, GraphNode>, arrows: Arrow[], seconds: number | null}} Graph
 */

/** More names than this are grouped by their prefix unless the address says otherwise. */
export const MANY = 160;

/** More arrows than this are no picture: the busiest are drawn. */
export const MOST_ARROWS = 300;

/** @param {Graph} graph @returns {Graph} its busiest arrows, and the nodes at their ends */
export function busiest(graph) {
  if (graph.arrows.length <= MOST_ARROWS) return graph;
  const arrows = [...graph.arrows].sort((a, b) => b.messages - a.messages).slice(0, MOST_ARROWS);
  const ends = new Set(arrows.flatMap((arrow) => [arrow.from, arrow.to]));
  return { ...graph, arrows, nodes: new Map([...graph.nodes].filter(([id]) => ends.has(id))) };
}

/** @param {any} rows the answer to `map` @param {(name: string | null, kind: string) => string | null} [groupOf] @returns {Graph} */
export function graph(rows, groupOf = () => null) {
  /** @type {Map<string, GraphNode>} */
  const nodes = new Map();
  /** @type {Map<string, Arrow>} */
  const arrows = new Map();
  /** @param {"service" | "destination"} kind @param {string | null} name @param {string | null} system */
  const node = (kind, name, system) => {
    const group = groupOf(name, kind);
    const id = `${kind[0]}${group === null ? (name === null ? "?" : `=${name}`) : `*${group}`}`;
    let found = nodes.get(id);
    if (!found) {
      found = { id, kind, name: group ?? name, system, members: [], grouped: group !== null };
      nodes.set(id, found);
    }
    if (name !== null && !found.members.includes(name)) found.members.push(name);
    return id;
  };
  /** @param {"sent" | "received"} kind @param {string} from @param {string} to @param {any} row @param {string | null} destination */
  const arrow = (kind, from, to, row, destination) => {
    const grouped = nodes.get(from)?.grouped || nodes.get(to)?.grouped;
    const id = `${from}>${to}${kind === "received" && !grouped ? `>${row.subscription ?? ""}>${row.destination}` : ""}`;
    const found = arrows.get(id);
    if (!found) {
      arrows.set(id, {
        id, from, to, kind, service: row.service, destination, taken: kind === "received" ? row.destination : null,
        subscription: row.subscription ?? null, messages: row.messages, weighted: row.weighted, errors: row.errors,
        retries: row.retries ?? 0, dead_letters: row.dead_letters ?? 0,
        p50: row.wait_p50_ms ?? null, p99: row.wait_p99_ms ?? null, rows: 1,
      });
      return;
    }
    for (const key of /** @type {const} */ (["messages", "weighted", "errors", "retries", "dead_letters"])) found[key] += row[key] ?? 0;
    // Quantiles do not add up: of several rows the worst is said.
    found.p50 = Math.max(found.p50 ?? -1, row.wait_p50_ms ?? -1);
    found.p99 = Math.max(found.p99 ?? -1, row.wait_p99_ms ?? -1);
    if (found.p50 < 0) found.p50 = null;
    if (found.p99 < 0) found.p99 = null;
    found.rows += 1;
    if (found.service !== row.service) found.service = null;
    if (found.destination !== destination) found.destination = null;
    if (found.subscription !== row.subscription) found.subscription = null;
  };
  const order = (/** @type {any} */ a, /** @type {any} */ b) => (a.service ?? "").localeCompare(b.service ?? "") || a.destination.localeCompare(b.destination) || (a.subscription ?? "").localeCompare(b.subscription ?? "");
  for (const row of [...rows.sent].sort(order)) {
    arrow("sent", node("service", row.service, null), node("destination", row.destination, row.system), row, row.destination);
  }
  for (const row of [...rows.received].sort(order)) {
    const where = row.node ?? row.destination;
    const from = node("destination", where, row.system);
    arrow("received", from, node("service", row.service, null), row, where);
  }
  return { nodes, arrows: [...arrows.values()], seconds: rows.seconds };
}

/**
 * The prefixes that at least three names of a kind share, up to their first `-`, `_`, `.`, `/` or `:`.
 * @param {any} rows @param {Set<string>} opened prefixes that are shown as their members
 */
export function prefixes(rows, opened) {
  /** @type {Record<string, Map<string, Set<string>>>} */
  const found = { service: new Map(), destination: new Map() };
  /** @param {string} kind @param {string | null} name */
  const see = (kind, name) => {
    const prefix = name === null ? null : prefixOf(name);
    if (prefix === null || name === null) return;
    found[kind].set(prefix, (found[kind].get(prefix) ?? new Set()).add(name));
  };
  for (const row of rows.sent) (see("service", row.service), see("destination", row.destination));
  for (const row of rows.received) (see("service", row.service), see("destination", row.node ?? row.destination));
  /** @param {string | null} name @param {string} kind */
  return (name, kind) => {
    const prefix = name === null ? null : prefixOf(name);
    if (prefix === null || opened.has(`${kind}:${prefix}`)) return null;
    return (found[kind].get(prefix)?.size ?? 0) >= 3 ? prefix : null;
  };
}

/** @param {string} name */
export function prefixOf(name) {
  const end = name.search(/[-_./:]/);
  return end > 0 ? name.slice(0, end + 1) : null;
}

/**
 * What lies on the paths through a node or an arrow: all that leads to it and all that it leads to.
 * @param {Graph} graph @param {string} id of either @returns {Set<string>}
 */
export function paths(graph, id) {
  const on = new Set([id]);
  const begun = graph.arrows.find((arrow) => arrow.id === id);
  for (const [near, far] of /** @type {["from" | "to", "from" | "to"][]} */ ([["from", "to"], ["to", "from"]])) {
    const waiting = [begun ? begun[far] : id];
    if (begun) on.add(begun[far]);
    const seen = new Set(waiting);
    while (waiting.length) {
      const at = waiting.pop();
      for (const arrow of graph.arrows) {
        if (arrow[near] !== at) continue;
        on.add(arrow.id);
        on.add(arrow[far]);
        if (!seen.has(arrow[far])) {
          seen.add(arrow[far]);
          waiting.push(arrow[far]);
        }
      }
    }
  }
  return on;
}
