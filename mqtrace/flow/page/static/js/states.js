/** What stands where there is nothing to show: why, and what to do about it. */
import { but } from "./address.js";
import { h, printable } from "./dom.js";
import { ago, clock, utc } from "./format.js";
import { sentence } from "./head.js";

/** @param {string} title @param {import("./dom.js").Child[]} more */
export function empty(title, ...more) {
  return h("div", { class: "empty" }, h("h2", {}, title), ...more);
}

/** The source holds nothing, or nothing of the window, or nothing that passes the filters. @param {import("./main.js").Context} context @param {string} what */
export function nothing(context, what) {
  const [place, state] = [context.place(), context.state()];
  if (state && !state.spans) {
    const kafka = state.kind === "topic";
    const url = kafka ? state.source : "kafka://localhost:9092/otlp_spans";
    return empty("No spans yet",
      h("p", {}, state.behind ? "They are being read." : kafka ? "The topic is read as spans arrive, and this page follows by itself. A service writes there with" : `${printable(state.source)} holds none. A service writes its spans with`),
      state.behind ? null : h("pre", {}, `import mqtrace\n\nmqtrace.configure("orders", exporter="${printable(url)}")\nproducer = mqtrace.wrap(Producer({...}))`),
      state.behind ? null : h("p", {}, "Or look at a small shop: ", h("code", {}, "mqtrace demo"), "."));
  }
  if (place.service.length || place.destination.length || place.attribute !== null || place.errors) {
    return empty(`No ${what} that passes the filters`, h("p", {}, h("a", { href: but(place, { service: [], destination: [], attribute: null, errors: false }) }, "Clear the filters"), " or look further back: ", ...further(place)));
  }
  const newest = state?.newest;
  return empty(`No ${what} in this window`,
    newest ? h("p", {}, "The newest span ended ", h("span", { title: utc(newest) }, `at ${clock(newest)}, ${ago(state.age_s)}`), ".") : null,
    h("p", {}, "Look further back: ", ...further(place)));
}

/** @param {import("./address.js").Place} place */
function further(place) {
  return ["6h", "24h", "7d"].flatMap((last, at) => [at ? " · " : "", h("a", { href: but(place, { last, from: null, to: null }) }, last)]);
}

/** @param {import("./ask.js").Unanswered} error */
export function broken(error) {
  if (error.status === 400) return empty("This cannot be asked", h("p", {}, sentence(error.message)), h("p", {}, h("a", { href: "/" }, "Back to the map")));
  if (error.status === 401) return empty("A token is wanted", h("p", {}, sentence(error.message)));
  return empty(error.status ? "The source does not answer" : "The server is gone", h("p", {}, sentence(error.message)), h("p", {}, "It is asked again by itself."));
}
