/**
 * The page: which view is looked at, when it is asked again, and which keys lead where.
 * @typedef {import("./address.js").Place} Place
 * @typedef {import("./ask.js").State} State
 * @typedef {object} Context
 * @property {(question: string, parameters: URLSearchParams, signal?: AbortSignal) => Promise<any>} ask
 * @property {() => Place} place
 * @property {() => State | null} state
 * @property {Record<string, string>} states the sentence of each state of `missing`
 * @property {(address: string, replace?: boolean) => void} go
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {(place: Place, signal: AbortSignal) => Promise<void>} load ask, and draw
 * @property {() => boolean} [settled] nothing of it will change any more
 * @property {(event: KeyboardEvent) => boolean} [key] whether it was for the view
 * @property {(text: string) => void} [seek]
 */
import { but, from, read } from "./address.js";
import { ask, follow, Unanswered } from "./ask.js";
import { show } from "./dom.js";
import { Failures } from "./failures.js";
import { Flow } from "./flow.js";
import { Head } from "./head.js";
import { Missing } from "./missing.js";
import { broken } from "./states.js";
import { TraceView } from "./trace.js";
import { Traces } from "./traces.js";

const VIEWS = { flow: Flow, traces: Traces, trace: TraceView, missing: Missing, failures: Failures };
const TITLES = { flow: "Flow", traces: "Traces", trace: "Trace", missing: "Missing", failures: "Retries and dead letters" };
const KEYS = /** @type {Record<string, import("./address.js").ViewName>} */ ({ f: "flow", t: "traces", m: "missing", r: "failures" });
/** While spans come the view is asked again this often; else so that the window moves on. */
const SOONEST_MS = 1_000;
const LATEST_MS = 10_000;
const AT_REST_MS = 60_000;
/** Of the time, at most a fifth is spent on being answered: what takes long is asked less often. */
const REST = 4;

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
let place = read(location);
/** @type {State | null} */
let state = null;
/** @type {View | null} */
let view = null;
let shown = "";
let asked = 0;
let took = 0;
let spansAsked = -1;
/** @type {AbortController | null} */
let running = null;

/** @type {Context} */
const context = { ask, place: () => place, state: () => state, states: {}, go };
const head = new Head(context);

/** @param {string} address @param {boolean} [replace] */
function go(address, replace = false) {
  if (address === location.pathname + location.search) return load();
  history[replace ? "replaceState" : "pushState"](null, "", address);
  arrive();
}

function arrive() {
  place = read(location);
  document.title = `${place.view === "trace" ? `Trace ${place.id?.slice(0, 8)}` : TITLES[place.view]} · mqtrace`;
  head.draw(place);
  const key = place.view === "trace" ? `trace ${place.id}` : place.view;
  if (!view || key !== shown) {
    view = new VIEWS[place.view](context);
    if (shown) scrollTo(0, 0);
    shown = key;
    show(main, view.element);
  }
  return load();
}

async function load() {
  running?.abort();
  const mine = (running = new AbortController());
  asked = performance.now();
  spansAsked = state?.spans ?? -1;
  main.setAttribute("aria-busy", "true");
  try {
    await view?.load(place, mine.signal);
    head.failed(null);
    main.dataset.loaded = shown;
  } catch (error) {
    if (mine.signal.aborted) return;
    if (!(error instanceof Unanswered)) throw error;
    head.failed(error);
    if (view && !view.element.hasChildNodes()) show(view.element, broken(error));
  } finally {
    if (running === mine) {
      running = null;
      took = performance.now() - asked;
      main.removeAttribute("aria-busy");
    }
  }
}

function again() {
  const since = performance.now() - asked;
  if (running || document.hidden || !view || view.settled?.() || (place.to !== null && place.view !== "trace")) return;
  const latest = state && ["duckdb", "memory"].includes(state.kind) ? AT_REST_MS : LATEST_MS;
  if (since >= took * (1 + REST) && ((state?.spans !== spansAsked && since >= SOONEST_MS) || since >= latest)) load();
}

document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest?.("a[href]");
  const address = link?.getAttribute("href");
  if (!link || !address?.startsWith("/") || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(address, link.hasAttribute("data-replace"));
});

document.addEventListener("keydown", (event) => {
  const typing = /** @type {Element} */ (event.target).closest?.("input, textarea, select, dialog");
  if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
  if (typing) return;
  if (event.key === "/") head.focusSearch();
  else if (event.key === "?") head.help();
  else if (view?.key?.(event)) event.preventDefault();
  else if (event.key === "Escape") escape();
  else if (KEYS[event.key]) go(from(place, { view: KEYS[event.key], service: place.service, destination: place.destination }));
  else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
  else return;
  event.preventDefault();
});

/** Out of what is open: a span, what the panel keeps, the filters; from a trace to where one came from. */
function escape() {
  if (place.span !== null) go(but(place, { span: null }), true);
  else if (place.pin !== null) go(but(place, { pin: null }), true);
  else if (head.clearSearch()) return;
  else if (place.service.length || place.destination.length || place.attribute !== null || place.errors) go(but(place, { service: [], destination: [], attribute: null, errors: false }));
  else if (place.view === "trace") go(from(place, { view: "traces" }));
}

/** @param {number} by rows of a table */
function step(by) {
  const links = /** @type {HTMLElement[]} */ ([...main.querySelectorAll("a.open")]);
  const at = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + by))];
  next?.focus();
}

addEventListener("popstate", arrive);
document.addEventListener("visibilitychange", again);
setInterval(again, 500);
follow((told) => {
  const first = state === null;
  state = told?.source === undefined ? state : told;
  head.told(told);
  if (first && state && !state.spans) load(); // what is missing has another reason than it seemed
});
head.onSearch((text) => view?.seek?.(text));
arrive();
ask("about", new URLSearchParams()).then((about) => {
  context.states = about.states;
  head.about(about.version);
  if (place.view === "missing") load();
}, () => {});
