/** Numbers and times as people read them. Milliseconds, unless a name says otherwise. */

const THIN = "\u202f";

/** Exact, in groups of three. @param {number} value */
export function count(value) {
  return String(Math.round(value)).replace(/\B(?=(?:\d{3})+$)/g, THIN);
}

/** Three digits and a letter. @param {number} value */
export function short(value) {
  for (const [size, letter] of /** @type {[number, string][]} */ ([[1e9, "G"], [1e6, "M"], [1e3, "k"]])) {
    if (value >= size * 9.995 || (value >= size && size > 1e3)) return digits(value / size) + letter;
  }
  return count(value);
}

/** @param {number} value */
function digits(value) {
  return value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1).replace(/\.0$/, "") : value.toFixed(value < 1 ? 2 : 1).replace(/\.0+$/, "");
}

/** Messages over seconds, in the unit that leaves a number to read. @param {number} messages @param {number | null} seconds */
export function rate(messages, seconds) {
  if (!seconds || messages === 0) return messages === 0 ? "0/s" : short(messages);
  const second = messages / seconds;
  if (second >= 0.995) return `${second >= 1e4 ? short(second) : digits(second)}/s`;
  if (second * 60 >= 0.995) return `${digits(second * 60)}/min`;
  return `${digits(second * 3600)}/h`;
}

/** @param {number | null | undefined} ms @returns {string} */
export function duration(ms) {
  if (ms === null || ms === undefined) return "";
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms === 0) return "0 ms";
  if (ms < 0.9995) return `${Math.max(1, Math.round(ms * 1e3))} µs`;
  if (ms < 999.5) return `${digits(ms)} ms`;
  if (ms < 119_500) return `${digits(ms / 1e3)} s`;
  if (ms < 7_170_000) return `${Math.round(ms / 6e4)} min`;
  if (ms < 172_800_000) return `${digits(ms / 3.6e6)} h`;
  return `${digits(ms / 8.64e7)} d`;
}

/** @param {number} part @param {number} whole */
export function percent(part, whole) {
  if (!whole) return "0 %";
  const share = (100 * part) / whole;
  return share > 0 && share < 0.05 ? "< 0.1 %" : share < 100 && share > 99.95 ? "> 99.9 %" : `${digits(share)} %`;
}

/** @param {number} number @param {string} what */
export function counted(number, what, many = `${what}s`) {
  return `${count(number)} ${number === 1 ? what : many}`;
}

/** @param {number} value */
function two(value) {
  return String(value).padStart(2, "0");
}

/** Local time of day, with the date where it is not today. @param {string} moment RFC 3339 @param {boolean} [exact] with ms */
export function clock(moment, exact = false, now = new Date()) {
  const at = new Date(moment);
  if (Number.isNaN(at.getTime())) return moment;
  const day = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const text = exact ? `${day}.${String(at.getMilliseconds()).padStart(3, "0")}` : day;
  return at.toDateString() === now.toDateString() ? text : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${text}`;
}

/** What stands on hover of a local time. @param {string} moment */
export function utc(moment) {
  return `${moment.replace("T", " ").replace("Z", "")} UTC`;
}

/** How long ago, in the largest unit. @param {number | null} seconds */
export function ago(seconds) {
  if (seconds === null) return "never";
  if (seconds < 0) return `${span(-seconds)} ahead`;
  return seconds < 1.5 ? "now" : `${span(seconds)} ago`;
}

/** @param {number} seconds */
export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${digits(seconds / 3600)} h`;
  return `${digits(seconds / 86400)} d`;
}
