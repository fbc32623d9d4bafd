/**
 * The map: services as boxes, destinations as ellipses, an arrow for what goes from one to the other. An arrow's width
 * says the rate, its colour the wait, a red head that more than a little failed.
 * @typedef {import("./graph.js").Graph} Graph
 * @typedef {import("./graph.js").GraphNode} GraphNode
 * @typedef {import("./graph.js").Arrow} Arrow
 */
import { h, printable, s, show } from "./dom.js";
import { count, counted, duration, percent, rate } from "./format.js";
import { paths } from "./graph.js";
import { layout } from "./layout.js";

/** More arrows than this and their labels would be the picture: they go to the panel. */
const LABELLED = 48;
/** Of the messages on an arrow: something always fails somewhere, and a map that is red all over says nothing. */
const FAILING = 0.01;
const WAITS = [100, 1_000, 10_000, 60_000, 600_000];
const FONTS = 'Inter, "Segoe UI", Roboto, "Noto Sans", Cantarell, Ubuntu, "Helvetica Neue", "DejaVu Sans Condensed", system-ui, sans-serif';

const canvas = document.createElement("canvas").getContext("2d");
/** @param {string} text @param {number} size @param {number} [weight] */
function measure(text, size, weight = 400) {
  if (!canvas) return text.length * size * 0.6;
  canvas.font = `${weight} ${size}px ${FONTS}`;
  return canvas.measureText(text).width;
}

/** @param {string} text @param {number} size @param {number} most */
function fitted(text, size, most) {
  if (measure(text, size, 500) <= most) return text;
  let kept = text.length;
  while (kept > 4 && measure(`${text.slice(0, kept)}…`, size, 500) > most) kept -= 1;
  const tail = Math.min(6, Math.floor(kept / 3));
  return `${text.slice(0, kept - tail)}…${text.slice(-tail)}`;
}

/** How long messages wait, as one of six colours. @param {number | null} ms */
export function waitClass(ms) {
  return ms === null ? "w0" : `w${WAITS.filter((limit) => ms >= limit).length}`;
}

/** @param {Arrow} arrow @param {number | null} seconds @returns {{text: string, kind: string}[]} */
function lines(arrow, seconds) {
  const said = [{ text: rate(arrow.messages, seconds), kind: "rate" }];
  if (arrow.kind === "received" && arrow.p99 !== null) said.push({ text: waits(arrow), kind: "wait" });
  if (arrow.errors) said.push({ text: `${percent(arrow.errors, arrow.messages)} failed`, kind: "error" });
  if (arrow.subscription !== null && arrow.subscription !== arrow.service && arrow.subscription !== arrow.destination) {
    said.push({ text: fitted(printable(arrow.subscription), 10, 84), kind: "group" });
  }
  return said;
}

/** p50 / p99, the unit once where it is the same. @param {Arrow} arrow */
function waits(arrow) {
  const [low, high] = [duration(arrow.p50), duration(arrow.p99)];
  const [number, unit] = low.split(" ");
  return unit === high.split(" ")[1] ? `${number} / ${high}` : `${low} / ${high}`;
}

/** An arrow in a sentence. @param {Arrow} arrow @param {Graph} graph */
export function told(arrow, graph) {
  const [from, to] = [graph.nodes.get(arrow.from), graph.nodes.get(arrow.to)];
  const text = [`${printable(from?.name ?? "not said")} → ${printable(to?.name ?? "not said")}`];
  if (arrow.subscription !== null) text.push(`subscription ${printable(arrow.subscription)}`);
  text.push(`${counted(arrow.messages, arrow.kind === "sent" ? "message sent" : "delivery", arrow.kind === "sent" ? "messages sent" : "deliveries")}, ${rate(arrow.messages, graph.seconds)}`);
  if (Math.abs(arrow.weighted - arrow.messages) >= 1) text.push(`sampled: about ${count(arrow.weighted)} in truth`);
  if (arrow.p99 !== null) text.push(`wait in the queue: p50 ${duration(arrow.p50)}, p99 ${duration(arrow.p99)}${arrow.rows > 1 ? ` (the worst of ${arrow.rows})` : ""}`);
  if (arrow.errors) text.push(`${counted(arrow.errors, "failed", "failed")} (${percent(arrow.errors, arrow.messages)})`);
  if (arrow.retries) text.push(`${counted(arrow.retries, "retry", "retries")}`);
  if (arrow.dead_letters) text.push(`${counted(arrow.dead_letters, "dead letter")}`);
  return text.join("\n");
}

export class FlowMap {
  /**
   * @param {object} hooks
   * @param {(id: string | null) => void} hooks.hovered a node or an arrow, also by the keyboard
   * @param {(id: string) => void} hooks.chosen a node
   * @param {(arrow: Arrow) => string} hooks.address where an arrow leads
   */
  constructor(hooks) {
    this.hooks = hooks;
    /** @type {Graph | null} */
    this.graph = null;
    /** @type {Map<string, SVGElement>} */
    this.drawn = new Map();
    /** @type {import("./layout.js").Layout} */
    this.placed = { nodes: [], arrows: [], width: 1, height: 1 };
    this.key = "";
    this.view = { x: 0, y: 0, k: 1 };
    this.moved = false;
    this.down = false;
    this.sought = "";
    /** @type {string | null} */
    this.pinned = null;
    this.scene = s("g");
    this.svg = /** @type {SVGSVGElement} */ (s("svg", { class: "map", role: "group", "aria-label": "Map of services and destinations" }, this.scene));
    this.element = h("div", { class: "stage" }, this.svg, h("div", { class: "ledge" }, legend(), this.tools()));
    this.pan();
    new ResizeObserver(() => this.resized()).observe(this.element);
  }

  tools() {
    const button = (/** @type {string} */ text, /** @type {string} */ label, /** @type {() => void} */ act) => h("button", { type: "button", title: label, "aria-label": label, on: { click: act } }, text);
    return h("div", { class: "tools" },
      button("+", "Zoom in (+)", () => this.zoom(1.3)),
      button("−", "Zoom out (−)", () => this.zoom(1 / 1.3)),
      button("fit", "Fit the whole map (0)", () => this.fit(true)));
  }

  /** @param {Graph} graph */
  draw(graph) {
    this.graph = graph;
    const down = this.element.clientWidth > 0 && this.element.clientWidth < 560;
    this.down = down;
    const labelled = graph.arrows.length <= LABELLED;
    const size = labelled ? 12 : 11.5;
    const nodes = [...graph.nodes.values()].map((node) => {
      const text = this.label(node, size, labelled);
      const round = node.kind === "destination";
      return { id: node.id, round, width: Math.ceil(measure(text, size, 500)) + (labelled ? (round ? 34 : 22) : round ? 20 : 12), height: labelled ? (round ? 34 : 30) : round ? 24 : 22 };
    });
    const busiest = Math.max(1, ...graph.arrows.map((arrow) => arrow.messages));
    const arrows = graph.arrows.map((arrow) => {
      const said = labelled ? lines(arrow, graph.seconds) : [];
      const widest = Math.max(0, ...said.map((line) => measure(line.text, line.kind === "rate" ? 11 : 10, line.kind === "rate" ? 600 : 400)));
      return { id: arrow.id, from: arrow.from, to: arrow.to, thick: thickness(arrow.messages, busiest), width: widest ? Math.ceil((widest + 6) / 8) * 8 : 0, height: said.length ? said.length * 12 + 2 : 0 };
    });
    // While only numbers change everything stays where it is.
    const key = JSON.stringify([down, nodes, arrows.map(({ id, width, height }) => [id, width, height])]);
    const still = key === this.key;
    if (!still) {
      this.placed = layout(nodes, arrows, { down, dense: !labelled });
      this.key = key;
    }
    this.paint(size, labelled, down, new Map(arrows.map((arrow) => [arrow.id, arrow.thick])));
    if (!still) this.moved = false;
    if (!this.moved) this.fit();
    this.emphasize();
  }

  /** @param {GraphNode} node @param {number} size @param {boolean} labelled whether there is room */
  label(node, size, labelled) {
    const most = labelled ? 150 : node.kind === "service" ? 104 : 84;
    const text = node.name === null ? "not said" : printable(node.name);
    return node.grouped ? `${fitted(text, size, most - 20)}… ${node.members.length}` : fitted(text, size, most);
  }

  /** @param {number} size @param {boolean} labelled @param {boolean} down @param {Map<string, number>} thick */
  paint(size, labelled, down, thick) {
    const graph = /** @type {Graph} */ (this.graph);
    const focus = document.activeElement?.getAttribute("data-id");
    this.drawn.clear();
    const lower = s("g", { class: "arrows" });
    const upper = s("g", { class: "nodes" });
    const byId = new Map(graph.arrows.map((arrow) => [arrow.id, arrow]));
    for (const at of this.placed.arrows) {
      const arrow = byId.get(at.id);
      if (!arrow) continue;
      const text = told(arrow, graph);
      const link = s("a", { class: `arrow ${waitClass(arrow.p99)}${arrow.errors > arrow.messages * FAILING ? " failing" : ""}`, href: this.hooks.address(arrow), "data-id": arrow.id, "aria-label": `${text.replaceAll("\n", ", ")}. Its traces` },
        s("title", {}, `${text}\nclick: its traces`),
        s("path", { class: "reach", d: at.path }),
        s("path", { class: "line", d: at.path, "stroke-width": (thick.get(at.id) ?? 1).toFixed(1) }),
        s("path", { class: "head", d: at.head }));
      if (at.label.width) {
        const words = lines(arrow, graph.seconds);
        const left = down ? at.label.x - at.label.width / 2 + 3 : at.label.x;
        const top = at.label.y - at.label.height / 2 + 9.5;
        words.forEach((line, row) => link.append(s("text", { class: `label ${line.kind}`, x: left.toFixed(1), y: (top + row * 12).toFixed(1), "text-anchor": down ? "start" : "middle" }, line.text)));
      }
      this.drawn.set(arrow.id, link);
      lower.append(link);
    }
    for (const at of this.placed.nodes) {
      const node = graph.nodes.get(at.id);
      if (!node) continue;
      const what = node.grouped ? `${counted(node.members.length, node.kind)} that begin with ${node.name}: click to open` : `${node.kind} ${printable(node.name ?? "that the spans do not name")}${node.system ? `, ${printable(node.system)}` : ""}`;
      const shape = node.kind === "service"
        ? s("rect", { x: at.x - at.width / 2, y: at.y - at.height / 2, width: at.width, height: at.height, rx: 4 })
        : s("ellipse", { cx: at.x, cy: at.y, rx: at.width / 2, ry: at.height / 2 });
      const failed = graph.arrows.reduce((sum, arrow) => sum + ((arrow.kind === "received" ? arrow.to : arrow.from) === node.id ? arrow.errors : 0), 0);
      const group = s("g", { class: `node ${node.kind}${node.name === null ? " nameless" : ""}${node.grouped ? " grouped" : ""}`, role: "button", tabindex: 0, "data-id": node.id, "aria-label": what + (failed ? `, ${failed} failed` : "") },
        s("title", {}, node.grouped ? `${what}\n${node.members.slice(0, 12).map((member) => printable(member, 80)).join("\n")}` : what),
        shape,
        s("text", { x: at.x, y: at.y + size * 0.36, "text-anchor": "middle", "font-size": size }, this.label(node, size, labelled)));
      this.drawn.set(node.id, group);
      upper.append(group);
    }
    show(this.scene, lower, upper);
    if (focus) /** @type {any} */ (this.drawn.get(focus))?.focus?.({ preventScroll: true });
  }

  /** What is on the paths of something stays, the rest steps back; so does what a search does not find. @param {string | null} [id] */
  emphasize(id = this.pinned) {
    if (!this.graph) return;
    const on = id !== null && this.drawn.has(id) ? paths(this.graph, id) : null;
    for (const [key, element] of this.drawn) {
      const node = this.graph.nodes.get(key);
      const found = !this.sought || on !== null || (node && [node.name ?? "", ...node.members].some((text) => text.toLowerCase().includes(this.sought)));
      element.classList.toggle("dim", on ? !on.has(key) : !found);
      element.classList.toggle("on", key === id);
    }
  }

  /** @param {string} text */
  seek(text) {
    this.sought = text.toLowerCase();
    this.emphasize();
  }

  pan() {
    /** @type {Map<number, {x: number, y: number}>} */
    const fingers = new Map();
    let dragged = false;
    const at = (/** @type {PointerEvent} */ event) => ({ x: event.clientX, y: event.clientY });
    this.svg.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, at(event));
      dragged = false;
    });
    this.svg.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = at(event);
      const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      if (!dragged && Math.hypot(now.x - before.x, now.y - before.y) < 4) return;
      if (!dragged) this.svg.setPointerCapture(event.pointerId);
      dragged = true;
      this.moved = true;
      if (others.length) {
        const k = Math.hypot(now.x - others[0].x, now.y - others[0].y) / Math.max(1, Math.hypot(before.x - others[0].x, before.y - others[0].y));
        this.zoom(k, others[0].x, others[0].y);
      } else {
        this.view.x += now.x - before.x;
        this.view.y += now.y - before.y;
        this.place();
      }
      fingers.set(event.pointerId, now);
    });
    for (const over of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.svg.addEventListener(over, (event) => fingers.delete(/** @type {PointerEvent} */ (event).pointerId));
    }
    this.svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 240), event.clientX, event.clientY);
    }, { passive: false });
    const idOf = (/** @type {Event} */ event) => /** @type {Element} */ (event.target).closest?.("[data-id]")?.getAttribute("data-id") ?? null;
    this.svg.addEventListener("click", (event) => {
      if (dragged) {
        event.preventDefault();
        event.stopPropagation();
        dragged = false;
        return;
      }
      const id = idOf(event);
      if (id !== null && this.graph?.nodes.has(id)) this.hooks.chosen(id);
    }, true);
    this.svg.addEventListener("dragstart", (event) => event.preventDefault());
    this.svg.addEventListener("keydown", (event) => {
      const id = idOf(event);
      if (id !== null && this.graph?.nodes.has(id) && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        this.hooks.chosen(id);
      }
    });
    for (const [come, go] of [["pointerover", "pointerleave"], ["focusin", "focusout"]]) {
      this.svg.addEventListener(come, (event) => {
        if (fingers.size) return;
        const id = idOf(event);
        this.emphasize(id ?? this.pinned);
        this.hooks.hovered(id);
      });
      this.svg.addEventListener(go, () => {
        this.emphasize();
        this.hooks.hovered(null);
      });
    }
  }

  /** @param {number} factor @param {number} [x] @param {number} [y] the point that stays, of the window */
  zoom(factor, x, y) {
    const box = this.svg.getBoundingClientRect();
    const [px, py] = [(x ?? box.left + box.width / 2) - box.left, (y ?? box.top + box.height / 2) - box.top];
    const k = Math.max(0.15, Math.min(4, this.view.k * factor));
    const by = k / this.view.k;
    this.view = { k, x: px - (px - this.view.x) * by, y: py - (py - this.view.y) * by };
    this.moved = true;
    this.place();
  }

  /** @param {boolean} [asked] by somebody, who wants all of it; else as much as can be read */
  fit(asked = false) {
    const [width, most] = [this.element.clientWidth, Math.max(220, Math.min(innerHeight * 0.62, 760))];
    if (!width) return;
    const { width: wide, height: high } = this.placed;
    const least = asked ? 0.15 : width < 560 ? 0.8 : 0.7;
    const whole = Math.min(1.25, width / wide, most / high);
    const k = whole > least * 0.9 ? whole : least;
    const height = Math.ceil(Math.min(most, high * k));
    this.svg.style.setProperty("height", `${Math.max(height, 120)}px`);
    // Where not all of it has room, what begins the flow is in the middle.
    const first = this.placed.nodes.filter((node) => node[this.down ? "y" : "x"] < 80);
    const middle = (/** @type {"x" | "y"} */ along, /** @type {number} */ room, /** @type {number} */ size) =>
      size * k <= room ? (room - size * k) / 2 : (along === "x") === this.down && first.length ? Math.max(room - size * k, Math.min(0, room / 2 - (k * first.reduce((sum, node) => sum + node[along], 0)) / first.length)) : 0;
    this.view = { k, x: middle("x", width, wide), y: middle("y", height, high) };
    this.moved = false;
    this.place();
  }

  place() {
    this.scene.setAttribute("transform", `translate(${this.view.x.toFixed(1)} ${this.view.y.toFixed(1)}) scale(${this.view.k.toFixed(3)})`);
  }

  resized() {
    if (!this.graph || !this.element.clientWidth) return;
    if (this.moved) this.place();
    else this.draw(this.graph);
  }
}

/** @param {number} messages @param {number} busiest */
function thickness(messages, busiest) {
  return messages <= 0 ? 1 : 1 + 4.5 * Math.sqrt(messages / busiest);
}

function legend() {
  const steps = ["< 100 ms", "< 1 s", "< 10 s", "< 1 min", "< 10 min", "longer"];
  return h("div", { class: "legend" },
    h("span", { title: "An arrow is as wide as the square root of its messages, the widest for the busiest" }, "width: rate"),
    h("span", { class: "ramp", title: `The colour of an arrow to a service says the p99 of the wait in the queue: ${steps.join(", ")}` },
      "wait p99", ...steps.map((step, place) => h("i", { class: `w${place}`, title: step }))),
    h("span", { class: "bad", title: "A red head: more than 1 % on this arrow failed" }, "red: over 1 % failed"));
}

