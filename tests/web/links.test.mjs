import assert from "node:assert/strict";
import { test } from "node:test";
import { everyNode, nodeAt, scheduleOf } from "../../web/lib/links.js";
import { addLink, connect, makeGraph, makeNode } from "./graph.mjs";

/** The borders of a subgraph stand in its links under these ids. */
const [INWARD, OUTWARD] = [-10, -20];

function nodes() {
  return {
    sampler: makeNode("FewstepSampler", {}, [], ["SAMPLER"]),
    scheduler: makeNode("FewstepScheduler", {}, ["MODEL"], ["SIGMAS"]),
    run: makeNode("SamplerCustomAdvanced", {}, ["SAMPLER", "SIGMAS"]),
  };
}

for (const old of [false, true]) {
  test(`the scheduler that meets the sampler, links as ${old ? "an object" : "a map"}`, () => {
    const { sampler, scheduler, run } = nodes();
    const graph = makeGraph([sampler, scheduler, run], { old });
    assert.equal(scheduleOf(sampler), null);
    connect(graph, sampler, 0, run, 0);
    assert.equal(scheduleOf(sampler), null);
    connect(graph, scheduler, 0, run, 1);
    assert.equal(scheduleOf(sampler), scheduler);
  });
}

test("through reroutes on both sides", () => {
  const { sampler, scheduler, run } = nodes();
  const [first, second] = [makeNode("Reroute", {}, ["*"], ["*"]), makeNode("Reroute", {}, ["*"], ["*"])];
  const graph = makeGraph([sampler, scheduler, run, first, second]);
  connect(graph, sampler, 0, first, 0);
  connect(graph, first, 0, run, 0);
  connect(graph, scheduler, 0, second, 0);
  connect(graph, second, 0, run, 1);
  assert.equal(scheduleOf(sampler), scheduler);
});

test("a loop of reroutes ends", () => {
  const { sampler } = nodes();
  const loop = makeNode("Reroute", {}, ["*"], ["*"]);
  const graph = makeGraph([sampler, loop]);
  connect(graph, sampler, 0, loop, 0);
  connect(graph, loop, 0, loop, 0);
  assert.equal(scheduleOf(sampler), null);
});

test("sigmas of any other node are no schedule that can be read", () => {
  const { sampler, run } = nodes();
  const split = makeNode("SplitSigmas", {}, ["SIGMAS"], ["SIGMAS"]);
  const graph = makeGraph([sampler, split, run]);
  connect(graph, sampler, 0, run, 0);
  connect(graph, split, 0, run, 1);
  assert.equal(scheduleOf(sampler), null);
});

test("from inside a subgraph to the scheduler outside", () => {
  const { sampler, scheduler, run } = nodes();
  const holder = makeNode("some-uuid", {}, [], ["SAMPLER"]);
  const root = makeGraph([holder, scheduler, run]);
  const inner = makeGraph([sampler], { rootGraph: root });
  holder.subgraph = inner;
  inner.inputs = [];
  inner.outputs = [{}];
  sampler.outputs[0].links = [addLink(inner, sampler.id, 0, OUTWARD, 0)];
  connect(root, holder, 0, run, 0);
  connect(root, scheduler, 0, run, 1);
  assert.equal(scheduleOf(sampler), scheduler);
});

test("from outside into a subgraph that holds the run and gets its sigmas from outside", () => {
  const { sampler, scheduler, run } = nodes();
  const holder = makeNode("some-uuid", {}, ["SAMPLER", "SIGMAS"]);
  const root = makeGraph([sampler, scheduler, holder]);
  const inner = makeGraph([run], { rootGraph: root });
  holder.subgraph = inner;
  run.inputs[0].link = addLink(inner, INWARD, 0, run.id, 0);
  run.inputs[1].link = addLink(inner, INWARD, 1, run.id, 1);
  inner.inputs = [{ linkIds: [run.inputs[0].link] }, { linkIds: [run.inputs[1].link] }];
  inner.outputs = [];
  connect(root, sampler, 0, holder, 0);
  connect(root, scheduler, 0, holder, 1);
  // the holder has an input of type SIGMAS itself, but what is inside is what runs
  assert.equal(scheduleOf(sampler), scheduler);
});

test("to a scheduler inside a subgraph", () => {
  const { sampler, scheduler, run } = nodes();
  const holder = makeNode("some-uuid", {}, [], ["SIGMAS"]);
  const root = makeGraph([sampler, run, holder]);
  const inner = makeGraph([scheduler], { rootGraph: root });
  holder.subgraph = inner;
  inner.inputs = [];
  inner.outputs = [{ linkIds: [addLink(inner, scheduler.id, 0, OUTWARD, 0)] }];
  connect(root, sampler, 0, run, 0);
  connect(root, holder, 0, run, 1);
  assert.equal(scheduleOf(sampler), scheduler);
});

test("execution ids name nodes inside subgraphs", () => {
  const { sampler, run } = nodes();
  const holder = makeNode("some-uuid");
  const root = makeGraph([holder, run]);
  holder.subgraph = makeGraph([sampler], { rootGraph: root });
  assert.equal(nodeAt(root, String(run.id)), run);
  assert.equal(nodeAt(root, `${holder.id}:${sampler.id}`), sampler);
  assert.equal(nodeAt(root, `${run.id}:${sampler.id}`), null);
  assert.equal(nodeAt(root, "99999"), null);
  assert.equal(nodeAt(root, undefined), null);
});

test("every node, those of subgraphs after their holder", () => {
  const { sampler, scheduler, run } = nodes();
  const [holder, inside] = [makeNode("some-uuid"), makeNode("another-uuid")];
  const root = makeGraph([holder, run]);
  holder.subgraph = makeGraph([inside, sampler], { rootGraph: root });
  inside.subgraph = makeGraph([scheduler], { rootGraph: root });
  assert.deepEqual([...everyNode(root)], [holder, inside, scheduler, sampler, run]);
  assert.deepEqual([...everyNode(undefined)], []);
});
