/**
 * A table whose numbers say what they count. Sorting stands in the address, the head of a column is a link to it.
 * @typedef {import("./dom.js").Child} Child
 * @typedef {object} Column
 * @property {string} key
 * @property {string} label
 * @property {string} says what it counts and its unit, on hover
 * @property {boolean} [text] else a number, aligned right
 * @property {string} [more] a further class
 * @property {(row: any) => Child} cell
 * @property {(row: any) => number | string | null} [by] what it is sorted by
 */
import { h, show } from "./dom.js";
import { count } from "./format.js";

/** More rows than this nobody reads, and they would be made anew each second. */
const MOST = 400;

export class Table {
  /**
   * @param {Column[]} columns
   * @param {object} how
   * @param {string} how.caption
   * @param {(row: any) => string} how.key of a row
   * @param {(sort: string) => string} how.address of the same place, sorted otherwise
   * @param {(row: any) => string | null} [how.open] where a row leads
   * @param {(row: any) => string} [how.row] further classes
   * @param {number} [how.most] rows that are shown
   * @param {(row: any) => Child} [how.below] what stands below a row, over its whole width
   */
  constructor(columns, how) {
    this.columns = columns;
    this.how = how;
    this.body = h("tbody");
    this.head = h("tr");
    this.drawn = "";
    this.foot = h("p", { class: "foot" });
    this.element = h("div", { class: "sheet" }, h("table", {}, h("caption", { class: "unseen" }, how.caption), h("thead", {}, this.head), this.body), this.foot);
    this.body.addEventListener("click", (event) => {
      const at = /** @type {Element} */ (event.target);
      if (at.closest("a, button") || !getSelection()?.isCollapsed) return;
      /** @type {HTMLAnchorElement | null | undefined} */ (at.closest("tr")?.querySelector("a.open"))?.click();
    });
  }

  /** @param {any[]} rows @param {string | null} sort */
  draw(rows, sort) {
    const drawn = JSON.stringify([sort, rows]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const down = sort?.startsWith("-") ?? false;
    const column = this.columns.find((one) => one.key === sort?.replace(/^-/, ""));
    const sorted = column?.by ? [...rows].sort((a, b) => compare(column.by?.(a) ?? null, column.by?.(b) ?? null, down)) : rows;
    show(this.head, ...this.columns.map((one) => this.title(one, sort)));
    const focus = document.activeElement;
    const key = focus?.closest("tr")?.getAttribute("data-key");
    const link = focus?.classList.contains("open");
    show(this.body, ...sorted.slice(0, this.how.most ?? MOST).flatMap((row) => this.row(row)));
    const left = sorted.length - (this.how.most ?? MOST);
    this.foot.toggleAttribute("hidden", left <= 0);
    if (left > 0) this.foot.textContent = `and ${count(left)} more: search or filter for them`;
    if (key !== null && key !== undefined && link) {
      for (const tr of this.body.children) {
        if (tr.getAttribute("data-key") === key) /** @type {HTMLElement | null} */ (tr.querySelector("a.open"))?.focus({ preventScroll: true });
      }
    }
  }

  /** @param {Column} column @param {string | null} sort */
  title(column, sort) {
    const on = sort?.replace(/^-/, "") === column.key;
    const down = on && sort?.startsWith("-");
    const first = column.text ? column.key : `-${column.key}`;
    const next = on ? (down ? column.key : `-${column.key}`) : first;
    return h("th", { scope: "col", class: `${column.text ? "text" : "number"} ${column.more ?? ""}`, "aria-sort": on ? (down ? "descending" : "ascending") : null, title: column.says },
      column.by ? h("a", { href: this.how.address(next), "data-replace": true }, column.label, on ? h("i", { class: "sorted" }, down ? "↓" : "↑") : null) : column.label);
  }

  /** @param {any} row */
  row(row) {
    const open = this.how.open?.(row);
    const line = h("tr", { "data-key": this.how.key(row), class: `${this.how.row?.(row) ?? ""}${open ? " leads" : ""}` },
      ...this.columns.map((column, place) => {
        const cell = column.cell(row);
        const empty = cell === null || cell === undefined || cell === "" || cell === false;
        return h("td", { class: `${column.text ? "text" : "number"} ${column.more ?? ""}${empty ? " none" : ""}`, "data-label": column.label, title: column.text ? null : column.says },
          place === 0 && open ? h("a", { class: "open", href: open }, cell) : cell);
      }));
    const below = this.how.below?.(row);
    return below ? [line, h("tr", { class: "below" }, h("td", { colspan: this.columns.length }, below))] : [line];
  }
}

/** What is not there comes last, whichever way it is sorted. @param {number | string | null} a @param {number | string | null} b @param {boolean} down */
function compare(a, b, down) {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return down ? -order : order;
}
