/** Small lines over time: how much, and how long it waited. */
import { h, s } from "./dom.js";
import { clock, count, duration, rate } from "./format.js";

const WIDTH = 300;
const HEIGHT = 38;

/** @param {any[]} steps of the question `series` @param {"sent" | "received" | "both"} which */
export function rates(steps, which) {
  const seconds = stepSeconds(steps);
  const sent = steps.map((step) => (which === "received" ? 0 : step.sent));
  const received = steps.map((step) => (which === "sent" ? 0 : step.received));
  const most = Math.max(1, ...sent, ...received);
  const parts = which === "both" || which === "received" ? [s("path", { class: "area", d: area(received, received.map(() => 0), most) }), s("path", { class: "stroke", d: stroke(received, most) })] : [];
  if (which !== "received") parts.push(s("path", { class: which === "sent" ? "stroke" : "other", d: stroke(sent, most) }));
  const bad = steps.map((step, place) => (step.errors ? s("rect", { class: "bad", x: x(place, steps.length) - 1.5, y: HEIGHT - 3, width: 3, height: 3 }) : null));
  return figure("Rate", `at most ${rate(most, seconds)}`, which === "both" ? "filled: received, line: sent; messages a step of the window; red: something failed in it" : `messages ${which} a step of the window; red: something failed in it`, [...parts, ...bad], steps,
    (step) => `${which === "both" ? `${count(step.sent)} sent, ${count(step.received)} received` : `${count(step[which])} ${which}`}${step.errors ? `, ${count(step.errors)} failed` : ""}`);
}

/** @param {any[]} steps */
export function waits(steps) {
  const most = Math.max(...steps.map((step) => step.wait_p99_ms ?? 0));
  if (!most) return null;
  const scale = (/** @type {number | null} */ value) => value ?? 0;
  const low = steps.map((step) => scale(step.wait_p50_ms));
  const high = steps.map((step) => scale(step.wait_p99_ms));
  return figure("Wait", `p99 at most ${duration(most)}`, "how long messages waited in the queue: the line is p50, the band reaches to p99", [s("path", { class: "band", d: area(high, low, most) }), s("path", { class: "median", d: stroke(low, most) })], steps,
    (step) => (step.wait_p99_ms === null ? "nothing was received" : `wait p50 ${duration(step.wait_p50_ms)}, p99 ${duration(step.wait_p99_ms)}`));
}

/** @param {string} title @param {string} most @param {string} says @param {import("./dom.js").Child[]} parts @param {any[]} steps @param {(step: any) => string} each */
function figure(title, most, says, parts, steps, each) {
  const over = steps.map((step, place) => s("rect", { class: "over", x: (place * WIDTH) / steps.length, y: 0, width: WIDTH / steps.length, height: HEIGHT }, s("title", {}, `${clock(step.start)}: ${each(step)}`)));
  return h("figure", { class: "spark" },
    h("figcaption", { title: says }, h("b", {}, title), h("span", {}, most)),
    s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}, ${most}: ${says}` }, ...parts, s("path", { class: "base", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }), ...over));
}

/** @param {any[]} steps */
function stepSeconds(steps) {
  return steps.length < 2 ? null : (new Date(steps[1].start).getTime() - new Date(steps[0].start).getTime()) / 1000;
}

/** @param {number} place @param {number} steps */
function x(place, steps) {
  return steps < 2 ? WIDTH / 2 : (place * WIDTH) / (steps - 1);
}

/** @param {number} value @param {number} most */
function y(value, most) {
  return HEIGHT - 1 - ((HEIGHT - 4) * value) / most;
}

/** @param {number[]} values @param {number} most */
function stroke(values, most) {
  return values.map((value, place) => `${place ? "L" : "M"}${x(place, values.length).toFixed(1)} ${y(value, most).toFixed(1)}`).join("");
}

/** @param {number[]} high @param {number[]} low @param {number} most */
function area(high, low, most) {
  const back = low.map((value, place) => `L${x(place, low.length).toFixed(1)} ${y(value, most).toFixed(1)}`).reverse();
  return `${stroke(high, most)}${back.join("")}Z`;
}
