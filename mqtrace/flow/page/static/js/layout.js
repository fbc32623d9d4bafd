/**
 * Where everything on the map stands. Dagre ranks the nodes and keeps a place for each label, on its line or to the right
 * of one that goes down; the lines are drawn here:
 * level through the whole width of a rank, at a height that nothing else in it has, and bent only between ranks, where no
 * label stands. So no line crosses a label.
 *
 * Calculated along the ranks (u) and across them (v); `down` says that ranks follow each other downwards.
 * @typedef {{u: number, v: number, du: number, dv: number}} Box a centre and half its size
 * @typedef {{id: string, width: number, height: number, round: boolean}} NodeSize
 * @typedef {{id: string, from: string, to: string, width: number, height: number, thick: number}} ArrowSize
 * @typedef {{id: string, x: number, y: number, width: number, height: number}} PlacedNode
 * @typedef {{id: string, path: string, head: string, label: {x: number, y: number, width: number, height: number}}} PlacedArrow
 * @typedef {{nodes: PlacedNode[], arrows: PlacedArrow[], width: number, height: number}} Layout
 */
import { Graph, layout as rank } from "../vendor/dagre.esm.js";

const MARGIN = 12;
/** Between a line and the words on it. */
const BESIDE = 3;

/** @param {NodeSize[]} nodes @param {ArrowSize[]} arrows @param {{down?: boolean, dense?: boolean}} [how] @returns {Layout} */
export function layout(nodes, arrows, { down = false, dense = false } = {}) {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: down ? "TB" : "LR", ranksep: dense ? 34 : down ? 44 : 52, nodesep: dense ? 7 : 16, edgesep: dense ? 5 : 12, marginx: MARGIN, marginy: MARGIN });
  for (const node of nodes) graph.setNode(node.id, { width: node.width, height: node.height });
  for (const arrow of arrows) graph.setEdge(arrow.from, arrow.to, { width: arrow.width, height: arrow.height, labelpos: arrow.width ? (down ? "r" : "l") : "c", labeloffset: arrow.width ? BESIDE : 0 }, arrow.id);
  rank(graph);

  const u = down ? "y" : "x";
  const v = down ? "x" : "y";
  const long = down ? "height" : "width";
  const wide = down ? "width" : "height";
  /** Half the depth of each rank, by where its centre is. @type {Map<number, number>} */
  const ranks = new Map();
  const deepen = (/** @type {number} */ at, /** @type {number} */ half) => ranks.set(Math.round(at), Math.max(half, ranks.get(Math.round(at)) ?? 0));
  for (const node of nodes) {
    const at = graph.node(node.id);
    deepen(at[u], at[long] / 2);
  }
  for (const arrow of arrows) {
    const edge = graph.edge(arrow.from, arrow.to, arrow.id);
    for (const point of edge.points.slice(1, -1)) deepen(point[u], 0);
    if (arrow.width && edge[u] !== undefined) deepen(edge[u], arrow[long] / 2);
  }

  const ports = portsOf(graph, nodes, arrows, v);
  const placed = arrows.map((arrow) => {
    const edge = graph.edge(arrow.from, arrow.to, arrow.id);
    const inner = edge.points.slice(1, -1);
    const forward = graph.node(arrow.to)[u] >= graph.node(arrow.from)[u] ? 1 : -1;
    const stops = inner.map((/** @type {any} */ point) => ({ u: point[u], half: ranks.get(Math.round(point[u])) ?? 0, v: point[v] }));
    const begin = port(nodes, graph, arrow.from, ports.get(`${arrow.id}<`) ?? 0, forward, u, v, long, wide);
    const end = port(nodes, graph, arrow.to, ports.get(`${arrow.id}>`) ?? 0, -forward, u, v, long, wide);
    const size = 5 + arrow.thick;
    const tip = end.u;
    const neck = tip - forward * size;
    const turns = [
      { u: begin.u, v: begin.v },
      { u: begin.centre + forward * (ranks.get(Math.round(begin.centre)) ?? 0), v: begin.v },
      ...stops.flatMap((/** @type {any} */ stop) => [{ u: stop.u - forward * stop.half, v: stop.v }, { u: stop.u + forward * stop.half, v: stop.v }]),
      { u: end.centre - forward * (ranks.get(Math.round(end.centre)) ?? 0), v: end.v },
      { u: neck, v: end.v },
    ];
    const half = 2.5 + arrow.thick * 0.75;
    return {
      id: arrow.id,
      path: line(turns, down, forward),
      head: `M${xy(tip, end.v, down)}L${xy(neck, end.v - half, down)}L${xy(neck, end.v + half, down)}Z`,
      label: { x: edge.x ?? 0, y: edge.y ?? 0, width: arrow.width, height: arrow.height },
    };
  });
  const size = graph.graph();
  return {
    nodes: nodes.map((node) => ({ id: node.id, ...box(graph.node(node.id)) })),
    arrows: placed,
    width: Math.max(1, size.width ?? 1),
    height: Math.max(1, size.height ?? 1),
  };
}

/** @param {any} at */
function box(at) {
  return { x: at.x, y: at.y, width: at.width, height: at.height };
}

/** Where arrows meet the side of a node: spread over it, in the order of where they lead. @param {any} graph @param {NodeSize[]} nodes @param {ArrowSize[]} arrows @param {"x" | "y"} v */
function portsOf(graph, nodes, arrows, v) {
  const u = v === "x" ? "y" : "x";
  const wide = v === "x" ? "width" : "height";
  /** @type {Map<string, {key: string, v: number, thick: number}[]>} */
  const sides = new Map();
  for (const arrow of arrows) {
    const points = graph.edge(arrow.from, arrow.to, arrow.id).points;
    const forward = graph.node(arrow.to)[u] >= graph.node(arrow.from)[u];
    const inner = points.length > 2 ? points.slice(1, -1) : points;
    for (const [key, id, point, side] of /** @type {[string, string, any, string][]} */ ([
      [`${arrow.id}<`, arrow.from, inner[0], forward ? ">" : "<"],
      [`${arrow.id}>`, arrow.to, inner[inner.length - 1], forward ? "<" : ">"],
    ])) {
      const there = sides.get(`${id}${side}`) ?? [];
      there.push({ key, v: point[v], thick: arrow.thick });
      sides.set(`${id}${side}`, there);
    }
  }
  const half = new Map(nodes.map((node) => [node.id, node[wide] / 2]));
  /** @type {Map<string, number>} */
  const ports = new Map();
  for (const [side, there] of sides) {
    there.sort((a, b) => a.v - b.v || (a.key < b.key ? -1 : 1));
    const room = 2 * Math.max(0, (half.get(side.slice(0, -1)) ?? 0) - 6);
    const step = there.length > 1 ? Math.min(9, room / (there.length - 1)) : 0;
    there.forEach((at, place) => ports.set(at.key, (place - (there.length - 1) / 2) * step));
  }
  return ports;
}

/** @param {NodeSize[]} nodes @param {any} graph @param {string} id @param {number} off @param {number} way @param {"x" | "y"} u @param {"x" | "y"} v @param {"width" | "height"} long @param {"width" | "height"} wide */
function port(nodes, graph, id, off, way, u, v, long, wide) {
  const at = graph.node(id);
  const round = nodes.find((node) => node.id === id)?.round;
  const reach = round ? Math.sqrt(Math.max(0, 1 - (2 * off / at[wide]) ** 2)) : 1;
  return { u: at[u] + way * (at[long] / 2) * reach, v: at[v] + off, centre: at[u] };
}

/** @param {number} u @param {number} v @param {boolean} down */
function xy(u, v, down) {
  const [x, y] = down ? [v, u] : [u, v];
  return `${x.toFixed(1)} ${y.toFixed(1)}`;
}

/** @param {{u: number, v: number}[]} turns @param {boolean} down @param {number} forward */
function line(turns, down, forward) {
  let path = `M${xy(turns[0].u, turns[0].v, down)}`;
  for (let place = 1; place < turns.length; place++) {
    const [a, b] = [turns[place - 1], turns[place]];
    if (Math.abs(a.v - b.v) < 0.05) {
      if ((b.u - a.u) * forward > 0) path += `L${xy(b.u, b.v, down)}`;
      continue;
    }
    const middle = (a.u + b.u) / 2;
    path += `C${xy(middle, a.v, down)} ${xy(middle, b.v, down)} ${xy(b.u, b.v, down)}`;
  }
  return path;
}
