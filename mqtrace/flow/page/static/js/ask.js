/**
 * Questions to the server, and what it says by itself.
 * @typedef {object} State
 * @property {string} source
 * @property {string} kind
 * @property {number} spans
 * @property {string | null} oldest
 * @property {string | null} newest
 * @property {number | null} age_s
 * @property {number | null} behind
 * @property {number | null} sampled
 * @property {number} messages_malformed
 * @property {number} spans_malformed
 * @property {string | null} trouble
 * @property {number | null} window_s
 */

/** Why a question has no answer, in a sentence. */
export class Unanswered extends Error {
  /** @param {string} sentence @param {number} status of HTTP; 0: no server answers */
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** @param {string} question @param {URLSearchParams} parameters @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function ask(question, parameters, signal) {
  let answer;
  try {
    answer = await fetch(`/api/${question}?${parameters}`, { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unanswered("mqtrace ui does not answer any more.", 0);
  }
  const text = await answer.text().catch(() => "");
  const body = parse(text);
  if (!answer.ok || body === undefined) {
    throw new Unanswered(body?.error ?? `The server answered ${answer.status}.`, answer.status);
  }
  return body;
}

/** Whole numbers that a double cannot hold stay as they were written. @param {string} text */
function parse(text) {
  try {
    return /[0-9]{16}/.test(text)
      ? JSON.parse(text, /** @type {any} */ ((/** @type {string} */ _, /** @type {any} */ value, /** @type {any} */ how) => (typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER && /^-?[0-9]+$/.test(how?.source ?? "") ? how.source : value)))
      : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * The state of the source, as often as it changes; null while no server is there.
 * @param {(state: State | null) => void} told
 */
export function follow(told) {
  /** @type {EventSource | null} */
  let events = null;
  let pause = 1000;
  const open = () => {
    events = new EventSource("/api/live");
    events.addEventListener("state", (event) => {
      pause = 1000;
      told(JSON.parse(event.data));
    });
    events.addEventListener("error", () => {
      told(null);
      // The browser gives up at an answer that is no stream (a token that is not known any more): it is begun again.
      if (events?.readyState === EventSource.CLOSED) {
        setTimeout(open, pause);
        pause = Math.min(15_000, pause * 2);
      }
    });
  };
  open();
  addEventListener("pagehide", () => events?.close());
  addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });
}
