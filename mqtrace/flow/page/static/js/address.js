/**
 * What is looked at, as it stands in the address: the view, the window of time, the filters. Back and forward are the
 * browser's own.
 * @typedef {"flow" | "traces" | "trace" | "missing" | "failures"} ViewName
 * @typedef {object} Place
 * @property {ViewName} view
 * @property {string | null} id of a trace
 * @property {string | null} last "15m", "1h"...; null: the source's own window, or from and to
 * @property {string | null} from RFC 3339
 * @property {string | null} to
 * @property {string[]} service names, exactly
 * @property {string[]} destination
 * @property {"newest" | "slowest"} order
 * @property {boolean} errors
 * @property {string | null} attribute "key=value"
 * @property {number | null} limit of traces; null: 100
 * @property {string | null} sort a column; "-" before it: the largest first
 * @property {string | null} span that is opened
 * @property {string | null} pin what the panel keeps showing
 * @property {boolean | null} group names by their prefix; null: as many names as there are decide
 */

/** @type {Record<string, ViewName>} */
const PATHS = { "/": "flow", "/traces": "traces", "/missing": "missing", "/failures": "failures" };

/** @type {Place} */
const NOWHERE = { view: "flow", id: null, last: null, from: null, to: null, service: [], destination: [], order: "newest", errors: false, attribute: null, limit: null, sort: null, span: null, pin: null, group: null };

/** @param {URL | Location} url @returns {Place} */
export function read(url) {
  const said = new URLSearchParams(url.search);
  const trace = /^\/trace\/([0-9a-fA-F]{1,64})$/.exec(url.pathname);
  const group = said.get("group");
  return {
    view: trace ? "trace" : PATHS[url.pathname] ?? "flow",
    id: trace ? trace[1].toLowerCase() : null,
    last: said.get("last"),
    from: said.get("from"),
    to: said.get("to"),
    service: said.getAll("service"),
    destination: said.getAll("destination"),
    order: said.get("order") === "slowest" ? "slowest" : "newest",
    errors: said.get("errors") === "true",
    attribute: said.get("attribute"),
    limit: /^[1-9][0-9]{0,2}$|^1000$/.test(said.get("limit") ?? "") ? Number(said.get("limit")) : null,
    sort: said.get("sort"),
    span: said.get("span"),
    pin: said.get("pin"),
    group: group === null ? null : group === "true",
  };
}

/** @param {Place} place */
export function write(place) {
  const said = new URLSearchParams();
  for (const key of /** @type {const} */ (["last", "from", "to", "attribute", "sort", "span", "pin"])) {
    const value = place[key];
    if (value !== null) said.set(key, value);
  }
  for (const value of place.service) said.append("service", value);
  for (const value of place.destination) said.append("destination", value);
  if (place.order !== "newest") said.set("order", place.order);
  if (place.limit !== null) said.set("limit", String(place.limit));
  if (place.errors) said.set("errors", "true");
  if (place.group !== null) said.set("group", String(place.group));
  const path = place.view === "trace" ? `/trace/${place.id}` : Object.keys(PATHS).find((key) => PATHS[key] === place.view) ?? "/";
  const query = said.toString();
  return query ? `${path}?${query}` : path;
}

/** Another place, with the window of this one. @param {Place} place @param {Partial<Place>} changes */
export function from(place, changes) {
  const { last, from: begin, to } = place;
  return write({ ...NOWHERE, last, from: begin, to, ...changes });
}

/** The same place but for this. @param {Place} place @param {Partial<Place>} changes */
export function but(place, changes) {
  return write({ ...place, ...changes });
}

/** A pattern that matches this name and no other. @param {string} text */
export function literal(text) {
  return text.replace(/[*?[]/g, "[$&]");
}

/** The parameters of a question. @param {Place} place @param {Record<string, string | number | boolean>} [more] */
export function asked(place, more = {}) {
  const said = new URLSearchParams();
  if (place.last !== null) said.set("last", place.last);
  if (place.from !== null && place.last === null) said.set("from", place.from);
  if (place.to !== null) said.set("to", place.to);
  for (const value of place.service) said.append("service", literal(value));
  for (const value of place.destination) said.append("destination", literal(value));
  for (const [key, value] of Object.entries(more)) said.set(key, String(value));
  return said;
}
