import assert from "node:assert/strict";
import { test } from "node:test";
import { computed, values } from "../../web/lib/values.js";
import { addLink, connect, makeGraph, makeNode } from "./graph.mjs";

const INWARD = -10; // the border of a subgraph, in its links

function nodeWithSteps() {
  const node = makeNode("FewstepScheduler", { steps: 10 }, ["INT"]);
  node.inputs[0].widget = { name: "steps" };
  return node;
}

test("what the workflow does not keep is no value", () => {
  const node = makeNode("FewstepSampler", { sampler_name: "ddim" });
  node.widgets.push({ name: "fewstep_plot", serialize: false }, { name: "press", type: "button", value: 1 });
  assert.deepEqual(values(node), { sampler_name: "ddim" });
  assert.deepEqual(values({}), {});
});

test("a primitive node gives its value, through a reroute too", () => {
  const node = nodeWithSteps();
  const primitive = makeNode("PrimitiveInt", { value: 4 }, [], ["INT"]);
  const reroute = makeNode("Reroute", {}, ["*"], ["*"]);
  const graph = makeGraph([node, primitive, reroute]);
  connect(graph, primitive, 0, reroute, 0);
  connect(graph, reroute, 0, node, 0);
  assert.deepEqual(values(node), { steps: 4 });
  assert.deepEqual(computed(node, ["steps"]), []);
});

test("any other node computes it", () => {
  const node = nodeWithSteps();
  const other = makeNode("SomeMath", { value: 4 }, [], ["INT"]);
  connect(makeGraph([node, other]), other, 0, node, 0);
  assert.deepEqual(values(node), { steps: 10 });
  assert.deepEqual(computed(node, ["steps", "denoise"]), ["steps"]);
});

test("a subgraph's node that shows the widget has its value", () => {
  const node = nodeWithSteps();
  const holder = makeNode("some-uuid", { steps: 3 }, ["INT"]);
  const root = makeGraph([holder]);
  const inner = makeGraph([node], { rootGraph: root });
  holder.subgraph = inner;
  holder.inputs[0] = { name: "count", widget: { name: "steps" }, link: null };
  node.inputs[0].link = addLink(inner, INWARD, 0, node.id, 0);
  inner.inputs = [{ linkIds: [node.inputs[0].link] }];
  assert.deepEqual(values(node), { steps: 3 });
  const primitive = makeNode("PrimitiveInt", { value: 7 }, [], ["INT"]);
  root.nodes.push(primitive);
  primitive.graph = root;
  connect(root, primitive, 0, holder, 0);
  assert.deepEqual(values(node), { steps: 7 });
});
