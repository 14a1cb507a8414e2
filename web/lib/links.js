// Follows the links of a graph, through reroutes and the borders of subgraphs. Only reads nodes; knows no page.

/** Nodes whose widgets are a schedule: ours, and the host's own. */
const SCHEDULERS = ["FewstepScheduler", "BasicScheduler"];
/** Deeper than any graph that a person draws; a loop of reroutes ends here. */
const FARTHEST = 100;

/** The scheduler whose sigmas meet the sampler's output, or null. */
export function scheduleOf(sampler) {
  for (const target of targets(sampler.graph, sampler.outputs?.[0]?.links)) {
    const input = (target.inputs ?? []).find((each) => each.type === "SIGMAS");
    const origin = input && originOf(target.graph, input.link);
    if (origin && SCHEDULERS.includes(origin.comfyClass)) return origin;
  }
  return null;
}

/** The node whose widget `cfg` guides a sampler: the one that it is linked to, or its guider; or null. */
export function guiderOf(sampler) {
  for (const target of targets(sampler.graph, sampler.outputs?.[0]?.links)) {
    const input = (target.inputs ?? []).find((each) => each.type === "GUIDER");
    const guider = input ? originOf(target.graph, input.link) : target;
    if (guider?.widgets?.some((widget) => widget.name === "cfg")) return guider;
  }
  return null;
}

/** The widget that gives a linked input its value: a primitive node's, or that of the subgraph's node; null if none. */
export function widgetBehind(graph, id, far = FARTHEST) {
  const link = far > 0 && graph ? linkOf(graph, id) : null;
  if (!link) return null;
  const origin = graph.getNodeById(link.origin_id);
  if (origin) {
    if (isReroute(origin)) return widgetBehind(graph, origin.inputs[0].link, far - 1);
    return origin.type.startsWith("Primitive") ? (origin.widgets?.[0] ?? null) : null;
  }
  const outside = graph.inputs ? holderOf(graph) : null; // the link begins at the border of a subgraph
  const input = outside?.inputs?.[link.origin_slot];
  if (!input) return null;
  if (input.link != null) return widgetBehind(outside.graph, input.link, far - 1);
  return (outside.widgets ?? []).find((widget) => widget.name === (input.widget?.name ?? input.name)) ?? null;
}

/** The node with an execution id: "12:3" is node 3 in the subgraph of node 12. Or null. */
export function nodeAt(graph, id) {
  const path = String(id).split(":");
  let found = null;
  for (const part of path) {
    if (!graph) return null;
    found = graph.getNodeById(Number(part)) ?? graph.getNodeById(part) ?? null;
    graph = found?.subgraph;
  }
  return found;
}

/** Every node of a graph and of the subgraphs in it, once for each time that a subgraph is used. */
export function* everyNode(graph, far = FARTHEST) {
  for (const node of graph?._nodes ?? graph?.nodes ?? []) {
    yield node;
    if (node.subgraph && far > 0) yield* everyNode(node.subgraph, far - 1);
  }
}

/** Every node at the far end of an output's links. */
function targets(graph, ids, far = FARTHEST) {
  if (!graph || !ids || far === 0) return [];
  return [...ids].flatMap((id) => {
    const link = linkOf(graph, id);
    if (!link) return [];
    const target = graph.getNodeById(link.target_id);
    if (!target) {
      const outside = graph.outputs ? holderOf(graph) : null; // the link ends at the border of a subgraph
      return outside ? targets(outside.graph, outside.outputs?.[link.target_slot]?.links, far - 1) : [];
    }
    if (isReroute(target)) return targets(graph, target.outputs[0].links, far - 1);
    if (target.subgraph) return targets(target.subgraph, target.subgraph.inputs[link.target_slot]?.linkIds, far - 1);
    return [target];
  });
}

/** The node at the near end of a link. */
function originOf(graph, id, far = FARTHEST) {
  const link = far > 0 && graph && id != null ? linkOf(graph, id) : null;
  if (!link) return null;
  const origin = graph.getNodeById(link.origin_id);
  if (!origin) {
    const outside = graph.inputs ? holderOf(graph) : null;
    return outside ? originOf(outside.graph, outside.inputs?.[link.origin_slot]?.link, far - 1) : null;
  }
  if (isReroute(origin)) return originOf(graph, origin.inputs[0].link, far - 1);
  const { subgraph } = origin;
  if (subgraph) return originOf(subgraph, subgraph.outputs[link.origin_slot]?.linkIds?.[0], far - 1);
  return origin;
}

/** A plain object in older pages, a map in newer ones, which still answer to the old form for a while. */
function linkOf(graph, id) {
  return graph.getLink?.(id) ?? (graph.links instanceof Map ? graph.links.get(id) : graph.links?.[id]) ?? null;
}

function isReroute(node) {
  return node.type === "Reroute" && node.inputs?.length === 1 && node.outputs?.length === 1;
}

/** The first node that holds this subgraph: a subgraph may be used several times, with other neighbours each time. */
function holderOf(subgraph) {
  for (const node of everyNode(subgraph.rootGraph)) if (node.subgraph === subgraph) return node;
  return null;
}
