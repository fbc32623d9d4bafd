/**
 * Elements. What a source says reaches the document as text nodes and attributes only: there is no innerHTML here, and
 * nothing else in the page makes elements.
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, unknown>} Attributes
 */

const SVG = "http://www.w3.org/2000/svg";

/** @param {Element} element @param {Attributes} attributes @param {Child[]} children */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(/** @type {Record<string, EventListener>} */ (value))) {
        element.addEventListener(event, listener);
      }
    } else if (name === "css") {
      // Through the object model: the policy forbids style attributes.
      const style = /** @type {HTMLElement} */ (element).style;
      for (const [property, text] of Object.entries(/** @type {Record<string, string>} */ (value))) {
        style.setProperty(property, text);
      }
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  put(element, ...children);
  return element;
}

/** An HTML element. @param {string} tag @param {Attributes} [attributes] @param {Child[]} children */
export function h(tag, attributes = {}, ...children) {
  return /** @type {HTMLElement} */ (fill(document.createElement(tag), attributes, children));
}

/** An SVG element. @param {string} tag @param {Attributes} [attributes] @param {Child[]} children */
export function s(tag, attributes = {}, ...children) {
  return /** @type {SVGElement} */ (fill(document.createElementNS(SVG, tag), attributes, children));
}

/** Append children, text as text. @param {Element} element @param {Child[]} children */
export function put(element, ...children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Replace what is in an element. @param {Element} element @param {Child[]} children */
export function show(element, ...children) {
  element.replaceChildren();
  return put(element, ...children);
}

/** A name that somebody else wrote, isolated from the direction of the text around it. @param {string | null} text */
export function name(text, attributes = {}) {
  return text === null || text === ""
    ? h("span", { class: "nobody", title: "The spans do not say it", ...attributes }, "not said")
    : h("bdi", { class: "name", title: printable(text, 400), ...attributes }, printable(text, 120));
}

/**
 * Text without what has no form of its own or turns the text around it: control characters become their pictures.
 * @param {string} text @param {number} [most] longer text is cut in its middle
 */
export function printable(text, most = Infinity) {
  const cut = text.length > most ? `${text.slice(0, Math.ceil(most * 0.6))}…${text.slice(-Math.floor(most * 0.3))}` : text;
  return cut
    .replace(/[\u0000-\u001f]/g, (character) => String.fromCharCode(0x2400 + character.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, "\ufffd");
}

/** Say something to whoever listens to the page. @param {string} text */
export function say(text) {
  const said = document.getElementById("said");
  if (said) said.textContent = text;
}

/** A trace id that copies with a click. @param {string} id @param {boolean} [whole] */
export function copies(id, whole = false) {
  const button = h("button", { class: "id", type: "button", title: `${id}: click to copy`, "aria-label": `Copy trace id ${id}` }, whole ? id : id.slice(0, 8));
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    event.preventDefault();
    let done = true;
    try {
      await navigator.clipboard.writeText(id);
    } catch {
      done = copyBySelection(id); // no clipboard without TLS, except on the machine itself
    }
    button.classList.add(done ? "copied" : "failed");
    say(done ? "Trace id copied" : "The browser does not let this page copy");
    setTimeout(() => button.classList.remove("copied", "failed"), 1200);
  });
  return button;
}

/** @param {string} text */
function copyBySelection(text) {
  const field = /** @type {HTMLTextAreaElement} */ (h("textarea", { class: "unseen", readonly: true, "aria-hidden": "true" }));
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
