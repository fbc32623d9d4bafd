/**
 * The head of the page: views, search, the window of time, and how the source is doing.
 * @typedef {import("./main.js").Context} Context
 * @typedef {import("./address.js").Place} Place
 * @typedef {import("./ask.js").State} State
 */
import { but, from } from "./address.js";
import { h, name, printable, say, show } from "./dom.js";
import { ago, clock, count, counted, percent, short, span, utc } from "./format.js";

const VIEWS = /** @type {[import("./address.js").ViewName, string, string, string][]} */ ([
  ["flow", "Flow", "f", "Who sends to whom, how much, and how long it waits"],
  ["traces", "Traces", "t", "Traces by their time, their length and their errors"],
  ["missing", "Missing", "m", "What was sent and not processed"],
  ["failures", "Retries", "r", "Retries and dead letters"],
]);
const WINDOWS = ["15m", "1h", "6h", "24h"];
/** A source that writes nothing for so long is stale. Seconds. */
const STALE = 120;

/** Of a source that has not said anything yet: not that it is empty. @type {State} */
const UNKNOWN = { source: "", kind: "", spans: -1, oldest: null, newest: null, age_s: null, behind: null, sampled: null, messages_malformed: 0, spans_malformed: 0, trouble: null, window_s: 3600 };

export class Head {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    /** @type {{names: Map<string, string>, asked: number}} */
    this.known = { names: new Map(), asked: -1e9 };
    /** @type {(text: string) => void} */
    this.sought = () => {};
    /** @type {import("./ask.js").Unanswered | null} */
    this.failure = null;
    /** @type {State | null | undefined} */
    this.state = undefined;
    this.heard = new Date();
    this.version = "";
    this.nav = h("nav", { "aria-label": "Views" });
    this.windows = h("div", { class: "windows", role: "group", "aria-label": "Window of time" });
    this.status = h("div", { class: "status" });
    this.filters = h("div", { class: "filters" });
    this.notice = /** @type {HTMLElement} */ (document.getElementById("notice"));
    this.input = /** @type {HTMLInputElement} */ (h("input", { type: "search", placeholder: "Search", autocomplete: "off", spellcheck: "false", role: "combobox", "aria-label": "Search for a service, a destination or a trace id", "aria-expanded": "false", "aria-controls": "found", title: "A service, a destination or a trace id ( / )" }));
    this.found = h("ul", { id: "found", role: "listbox", "aria-label": "Found", hidden: true });
    this.choice = -1;
    this.search();
    show(/** @type {HTMLElement} */ (document.getElementById("head")),
      h("a", { class: "brand", href: "/", title: "mqtrace" }, "mqtrace"),
      this.nav,
      h("div", { class: "search" }, this.input, h("kbd", { "aria-hidden": "true" }, "/"), this.found),
      this.windows,
      this.status,
      this.filters);
  }

  /** @param {Place} place */
  draw(place) {
    show(this.nav, ...VIEWS.map(([view, label, key, says]) =>
      h("a", { href: from(place, { view, service: place.service, destination: place.destination }), title: `${says} (${key})`, "aria-current": place.view === view || (place.view === "trace" && view === "traces") ? "page" : null }, label)));
    this.drawWindows(place);
    const chip = (/** @type {"service" | "destination"} */ kind, /** @type {string} */ value) =>
      h("span", { class: "chip" }, h("i", {}, kind), name(value), h("a", { href: but(place, { [kind]: place[kind].filter((other) => other !== value) }), "aria-label": `Remove the filter ${kind} ${printable(value, 80)}`, title: "Remove this filter" }, "×"));
    const filtered = place.view !== "trace" && (place.service.length || place.destination.length);
    this.filters.hidden = !filtered;
    show(this.filters, ...(filtered ? [...place.service.map((value) => chip("service", value)), ...place.destination.map((value) => chip("destination", value)), h("a", { class: "clear", href: but(place, { service: [], destination: [] }) }, "clear")] : []));
  }

  /** @param {Place} place */
  drawWindows(place) {
    const own = this.state?.window_s;
    const whole = this.state ? own === null : false;
    const chosen = place.from !== null || place.to !== null ? null : place.last ?? (own === undefined ? "" : own === null ? "all" : WINDOWS.find((text) => toSeconds(text) === own) ?? "");
    this.windows.hidden = place.view === "trace";
    const links = WINDOWS.map((text) => h("a", { href: but(place, { last: toSeconds(text) === own ? null : text, from: null, to: null }), "aria-current": chosen === text ? "true" : null, title: `The last ${text}` }, text));
    if (whole) links.push(h("a", { href: but(place, { last: null, from: null, to: null }), "aria-current": chosen === "all" ? "true" : null, title: "All that the source holds" }, "all"));
    const custom = chosen === null;
    const text = custom ? `${place.from ? clock(place.from) : "…"} – ${place.to ? clock(place.to) : "now"}` : WINDOWS.includes(chosen ?? "") || chosen === "all" || !chosen ? "from–to" : chosen;
    show(this.windows, ...links, h("button", { type: "button", "aria-current": custom || text === chosen ? "true" : null, title: "From one time to another", on: { click: () => this.ask(place) } }, text));
  }

  /** From when to when. @param {Place} place */
  ask(place) {
    const field = (/** @type {string} */ label, /** @type {string | null} */ value) => /** @type {HTMLInputElement} */ (h("input", { type: "datetime-local", step: "1", "aria-label": label, value: value ? local(new Date(value)) : "" }));
    const begin = field("From", place.from ?? new Date(Date.now() - 3.6e6).toISOString());
    const end = field("To", place.to);
    this.dialog("Window of time", [
      h("label", {}, "From", begin), h("label", {}, "To", end),
      h("p", { class: "hint" }, "Local time. Without an end the window goes on until now."),
    ], "Look at it", () => {
      const [a, b] = [begin.value, end.value].map((value) => (value ? new Date(value).toISOString() : null));
      if (a || b) this.context.go(but(this.context.place(), { last: null, from: a, to: b }));
    });
  }

  help() {
    const keys = [["f t m r", "Flow, Traces, Missing, Retries"], ["/", "search"], ["j k", "next and previous row"], ["Enter", "open it"], ["↑ ↓", "spans of a trace"], ["+ − 0", "zoom the map, fit it"], ["Esc", "close, then clear the filters"], ["?", "these keys"]];
    this.dialog("Keys", [h("dl", { class: "keys" }, ...keys.flatMap(([key, what]) => [h("dt", {}, ...key.split(" ").map((one) => h("kbd", {}, one))), h("dd", {}, what)])), h("p", { class: "hint" }, `mqtrace ${this.version}`)], "Close", () => {});
  }

  /** @param {string} title @param {import("./dom.js").Child[]} content @param {string} verb @param {() => void} act */
  dialog(title, content, verb, act) {
    const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-label": title }, h("h2", {}, title), ...content));
    const done = () => (dialog.close(), act());
    dialog.append(h("div", { class: "actions" }, h("button", { type: "button", class: "main", on: { click: done } }, verb)));
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Enter") (event.preventDefault(), done());
    });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  /** @param {string} version */
  about(version) {
    this.version = version;
  }

  /** @param {State | null} state null: the server is gone */
  told(state) {
    const first = this.state === undefined || this.state?.window_s !== state?.window_s;
    if (state && state.source === undefined) state = { ...(this.state ?? UNKNOWN), trouble: state.trouble }; // the source hangs
    if (state === null && this.state) this.lastState = this.state;
    this.state = state;
    if (state) this.heard = new Date();
    if (first && state) this.drawWindows(this.context.place());
    this.drawStatus();
  }

  /** @param {import("./ask.js").Unanswered | null} error */
  failed(error) {
    this.failure = error;
    this.drawStatus();
  }

  drawStatus() {
    const state = this.state;
    const gone = state === null;
    const last = state ?? this.lastState ?? null;
    const atRest = state && ["file", "duckdb", "memory"].includes(state.kind);
    const stale = state && !atRest && state.age_s !== null && state.age_s > STALE;
    const level = gone || state?.trouble ? "broken" : state?.behind ? "behind" : stale || !state?.spans ? "stale" : "live";
    const word = { broken: gone ? "no server" : "trouble", behind: "reading", stale: state?.spans ? "quiet" : "empty", live: state && ["duckdb", "memory"].includes(state.kind) ? "at rest" : "live" }[level];
    show(this.status,
      h("span", { class: `dot ${level}`, title: last ? printable(last.source) : "" }, word),
      last && last.spans > 0 ? h("span", { title: `${counted(last.spans, "span")} can be asked, of ${printable(last.source)}` }, `${short(last.spans)} spans`) : null,
      last?.behind ? h("span", { class: "behind", title: "Written and not read yet: messages of a topic, or bytes of a file" }, `${short(last.behind)} behind`) : null,
      last?.oldest ? h("span", { class: "extra", title: `The earliest span began at ${utc(last.oldest)}` }, `since ${clock(last.oldest).slice(0, -3)}`) : null,
      last && last.age_s !== null && !gone ? h("span", { class: "extra", title: `The newest span ended at ${utc(last.newest ?? "")}` }, `newest ${ago(last.age_s)}`) : null,
      last?.sampled !== null && last?.sampled !== undefined && last.sampled < 1 ? h("span", { class: "extra", title: "The share of traces that the services record, as their spans say. Counts are of what was recorded" }, `${percent(last.sampled, 1)} sampled`) : null,
      h("button", { type: "button", class: "ask", title: "Keys (?)", "aria-label": "Keys", on: { click: () => this.help() } }, "?"));
    this.drawNotice(gone, stale ? state : null);
  }

  /** What everybody who looks at the page has to know. @param {boolean} gone @param {State | null | false | undefined} stale */
  drawNotice(gone, stale) {
    const state = this.state;
    /** @type {[string, string] | null} */
    let said = null;
    if (gone) said = ["bad", `mqtrace ui does not answer: what is shown is from ${clock(this.heard.toISOString())}. It is asked again each second.`];
    else if (state?.trouble) said = ["bad", `${sentence(state.trouble)}${/read before/.test(state.trouble) || document.querySelector("#main .empty") ? "" : " What was read before that is shown."}`];
    else if (this.failure && this.failure.status !== 0) said = ["bad", sentence(this.failure.message)];
    else if (state?.sampled === 0) said = ["warn", "Nothing is sampled: the services pass contexts on and record no spans. Raise the sampler's rate (OTEL_TRACES_SAMPLER_ARG) to see them here."];
    else if (state?.behind) said = ["", `Still reading: ${count(state.behind)} ${state.kind === "file" ? "bytes of the file" : "messages of the topic"} are to come, and the counts will grow.`];
    else if (stale) said = ["", `No span has ended for ${span(/** @type {number} */ (stale.age_s))}: the services are idle, or their spans do not arrive.`];
    else if (state && state.messages_malformed + state.spans_malformed > 0) said = ["", `${counted(state.messages_malformed, "message")} held no OTLP, ${counted(state.spans_malformed, "span")} had no valid ids: they are left out.`];
    const text = said?.[1] ?? "";
    if (this.notice.textContent !== text) this.notice.textContent = text;
    this.notice.className = said?.[0] ?? "";
    document.documentElement.classList.toggle("gone", gone);
  }

  search() {
    const input = this.input;
    input.addEventListener("focus", () => this.learn());
    input.addEventListener("input", () => (this.offer(), this.sought(input.value.trim())));
    input.addEventListener("blur", () => setTimeout(() => this.fold(), 150));
    input.addEventListener("keydown", (event) => {
      const options = [...this.found.children];
      if (event.key === "ArrowDown" || event.key === "ArrowUp") this.choose((this.choice + (event.key === "ArrowDown" ? 1 : -1) + options.length) % Math.max(1, options.length));
      else if (event.key === "Enter") /** @type {HTMLElement | null} */ (options[Math.max(0, this.choice)]?.querySelector("a"))?.click();
      else if (event.key === "Escape") this.clearSearch() || input.blur();
      else return;
      event.preventDefault();
    });
    this.found.addEventListener("mousedown", (event) => event.preventDefault());
    this.found.addEventListener("click", () => (this.clearSearch(), input.blur()));
  }

  /** The names that can be found: of the map, at most each ten seconds. */
  async learn() {
    if (performance.now() - this.known.asked < 10_000) return;
    this.known.asked = performance.now();
    const { last, from: begin, to } = this.context.place();
    const window = new URLSearchParams(Object.entries({ last, from: begin, to }).filter((pair) => pair[1] !== null).map(([key, value]) => [key, String(value)]));
    const map = await this.context.ask("map", window).catch(() => null);
    for (const row of [...(map?.sent ?? []), ...(map?.received ?? [])]) {
      if (row.service) this.known.names.set(`service ${row.service}`, row.service);
      this.known.names.set(`destination ${row.destination}`, row.destination);
    }
    if (document.activeElement === this.input) this.offer();
  }

  offer() {
    const text = this.input.value.trim();
    const place = this.context.place();
    const view = place.view === "trace" ? "traces" : place.view;
    const offers = [];
    if (/^[0-9a-f]{32}$/i.test(text)) offers.push(h("a", { href: from(place, { view: "trace", id: text.toLowerCase() }), tabindex: -1 }, h("i", {}, "trace"), h("code", {}, text.toLowerCase())));
    if (text) {
      const found = [...this.known.names].filter(([, value]) => value.toLowerCase().includes(text.toLowerCase()));
      found.sort((a, b) => Number(b[1].toLowerCase().startsWith(text.toLowerCase())) - Number(a[1].toLowerCase().startsWith(text.toLowerCase())) || a[1].length - b[1].length);
      for (const [key, value] of found.slice(0, 8)) {
        const kind = /** @type {"service" | "destination"} */ (key.split(" ", 1)[0]);
        offers.push(h("a", { href: from(place, { view, service: place.service, destination: place.destination, [kind]: [value] }), tabindex: -1 }, h("i", {}, kind), name(value)));
      }
      if (!offers.length) offers.push(h("span", {}, "Nothing here is called that"));
    }
    show(this.found, ...offers.map((offer, number) => h("li", { role: "option", id: `found-${number}`, "aria-selected": "false" }, offer)));
    this.found.hidden = !offers.length;
    this.input.setAttribute("aria-expanded", String(offers.length > 0));
    this.choice = -1;
    if (offers.length) this.choose(0);
  }

  /** @param {number} number */
  choose(number) {
    [...this.found.children].forEach((option, place) => option.setAttribute("aria-selected", String(place === number)));
    this.choice = number;
    this.input.setAttribute("aria-activedescendant", `found-${number}`);
  }

  fold() {
    this.found.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
  }

  focusSearch() {
    this.input.focus();
    this.input.select();
  }

  /** @returns {boolean} whether there was anything */
  clearSearch() {
    if (!this.input.value) return false;
    this.input.value = "";
    this.fold();
    this.sought("");
    say("Search cleared");
    return true;
  }

  /** @param {(text: string) => void} sought */
  onSearch(sought) {
    this.sought = sought;
  }
}

/** @param {string} text */
export function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** @param {string} text "15m" */
function toSeconds(text) {
  return parseFloat(text) * ({ m: 60, h: 3600 }[text.slice(-1)] ?? 1);
}

/** What a datetime-local field takes. @param {Date} date */
function local(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
