// Graphs as the page has them, as far as web/lib reads them.

let count = 0;

export function makeNode(comfyClass, widgets = {}, inputs = [], outputs = []) {
  return {
    id: ++count,
    type: comfyClass,
    comfyClass,
    widgets: Object.entries(widgets).map(([name, value]) => ({ name, value })),
    inputs: inputs.map((type) => ({ name: type.toLowerCase(), type, link: null })),
    outputs: outputs.map((type) => ({ name: type.toLowerCase(), type, links: null })),
  };
}

/** With `old` the links are a plain object, as on older pages. */
export function makeGraph(nodes, { old = false, rootGraph } = {}) {
  const links = new Map();
  const graph = {
    nodes,
    links: old ? {} : links,
    getNodeById: (id) => nodes.find((node) => node.id === id),
    ...(old ? {} : { getLink: (id) => links.get(id) }),
  };
  graph.rootGraph = rootGraph ?? graph;
  for (const node of nodes) node.graph = graph;
  return graph;
}

export function connect(graph, origin, slot, target, input) {
  const id = addLink(graph, origin.id, slot, target.id, input);
  (origin.outputs[slot].links ??= []).push(id);
  target.inputs[input].link = id;
}

export function addLink(graph, origin_id, origin_slot, target_id, target_slot) {
  const id = ++count;
  const link = { id, origin_id, origin_slot, target_id, target_slot };
  if (graph.links instanceof Map) graph.links.set(id, link);
  else graph.links[id] = link;
  return id;
}
