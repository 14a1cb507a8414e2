import assert from "node:assert/strict";
import { test } from "node:test";
import { ASSUMED, REQUESTS } from "../../web/lib/request.js";
import { connect, makeGraph, makeNode } from "./graph.mjs";

const KSAMPLER = {
  seed: 1, steps: 10, cfg: 5, sampler_name: "dpmpp_2m", scheduler: "beta", denoise: 1, add_noise: "enable",
  start_at_step: 0, end_at_step: 10000, return_with_leftover_noise: "disable", options: "", cfg_pp: false,
};

test("a KSampler asks with its own widgets, and not with those that change no plan", () => {
  const { body, assumed, certain } = REQUESTS.FewstepKSampler(makeNode("FewstepKSampler", KSAMPLER));
  assert.deepEqual(body, {
    sampler_name: "dpmpp_2m", scheduler: "beta", steps: 10, denoise: 1, options: "", start_at_step: 0,
    end_at_step: 10000, add_noise: "enable", return_with_leftover_noise: "disable", cfg_pp: false,
  });
  assert.equal(assumed, null);
  assert.equal(certain, true);
});

test("cfg is told where something is left to auto", () => {
  for (const change of [{ sampler_name: "auto" }, { scheduler: "auto" }, { sampler_name: "auto", scheduler: "auto" }]) {
    const node = makeNode("FewstepKSampler", { ...KSAMPLER, ...change }, ["FLOAT"]);
    const other = makeNode("SomeMath", {}, [], ["FLOAT"]);
    node.inputs[0].widget = { name: "cfg" };
    const graph = makeGraph([node, other]);
    assert.equal(REQUESTS.FewstepKSampler(node).body.cfg, 5);
    assert.equal(REQUESTS.FewstepKSampler(node).certain, true);
    connect(graph, other, 0, node, 0);
    assert.equal(REQUESTS.FewstepKSampler(node).assumed, "cfg 5");
  }
});

test("a sampler left to auto goes by the cfg of what it is linked to, its schedule by none", () => {
  const sampler = makeNode("FewstepSampler", { sampler_name: "auto", eta: 0 }, [], ["SAMPLER"]);
  const levels = makeNode("FewstepScheduler", { scheduler: "auto", steps: 7, denoise: 1, options: "" }, [], ["SIGMAS"]);
  const run = makeNode("SamplerCustom", { cfg: 7 }, ["MODEL", "SAMPLER", "SIGMAS"]);
  const graph = makeGraph([sampler, levels, run]);
  const alone = REQUESTS.FewstepSampler(sampler);
  assert.deepEqual(alone.body.solver_options, { eta: 0, guidance: 1 });
  assert.equal(alone.assumed, "beta, 10 calls, cfg 1");
  connect(graph, sampler, 0, run, 1);
  assert.equal(REQUESTS.FewstepSampler(sampler).assumed, "beta, 10 calls");
  connect(graph, levels, 0, run, 2);
  const { body, assumed } = REQUESTS.FewstepSampler(sampler);
  assert.deepEqual(body, {
    sampler_name: "auto", cfg_pp: undefined, solver_options: { eta: 0, guidance: 7 }, scheduler: "auto", steps: 7,
    denoise: 1, options: "",
  });
  assert.equal(assumed, null);
  run.widgets[0].value = 0;
  assert.equal(REQUESTS.FewstepSampler(sampler).body.solver_options.guidance, 1);
  sampler.widgets[0].value = "dpmpp_2m";
  assert.deepEqual(REQUESTS.FewstepSampler(sampler).body.solver_options, { eta: 0 });
});

test("a guider has the cfg, or none that can be seen", () => {
  const sampler = makeNode("FewstepSampler", { sampler_name: "auto" }, [], ["SAMPLER"]);
  const run = makeNode("SamplerCustomAdvanced", {}, ["NOISE", "GUIDER", "SAMPLER", "SIGMAS"]);
  const guider = makeNode("CFGGuider", { cfg: 3 }, [], ["GUIDER"]);
  const basic = makeNode("BasicGuider", {}, [], ["GUIDER"]);
  const graph = makeGraph([sampler, run, guider, basic]);
  connect(graph, sampler, 0, run, 2);
  assert.equal(REQUESTS.FewstepSampler(sampler).assumed, "beta, 10 calls, cfg 1");
  connect(graph, guider, 0, run, 1);
  assert.deepEqual(REQUESTS.FewstepSampler(sampler).body.solver_options, { guidance: 3 });
  connect(graph, basic, 0, run, 1);
  assert.deepEqual(REQUESTS.FewstepSampler(sampler).body.solver_options, { guidance: 1 });
});

test("a part of a run is only known to the run itself", () => {
  for (const change of [{ start_at_step: 3 }, { end_at_step: 5 }, { add_noise: "disable" }]) {
    assert.equal(REQUESTS.FewstepKSampler(makeNode("FewstepKSampler", { ...KSAMPLER, ...change })).certain, false);
  }
});

test("a widget whose value another node computes is drawn as it stands, and said to be assumed", () => {
  const node = makeNode("FewstepKSampler", KSAMPLER, ["INT"]);
  const other = makeNode("SomeMath", {}, [], ["INT"]);
  node.inputs[0].widget = { name: "steps" };
  const graph = makeGraph([node, other]);
  assert.equal(REQUESTS.FewstepKSampler(node).certain, true);
  connect(graph, other, 0, node, 0);
  const { body, assumed, certain } = REQUESTS.FewstepKSampler(node);
  assert.deepEqual([body.steps, assumed, certain], [10, "steps 10", false]);
});

test("a scheduler names no solver", () => {
  const node = makeNode("FewstepScheduler", { scheduler: "karras", steps: 7, denoise: 0.5, options: "rho=5" });
  assert.deepEqual(REQUESTS.FewstepScheduler(node).body, {
    sampler_name: null, scheduler: "karras", steps: 7, denoise: 0.5, options: "rho=5",
  });
});

test("a sampler without a schedule is drawn on the assumed one, and says so", () => {
  const node = makeNode("FewstepSampler", { sampler_name: "deis_3m", start: "2s", cfg_pp: false }, [], ["SAMPLER"]);
  makeGraph([node]);
  const { body, assumed } = REQUESTS.FewstepSampler(node);
  assert.deepEqual(body, { sampler_name: "deis_3m", cfg_pp: false, solver_options: { start: "2s" }, ...ASSUMED });
  assert.equal(assumed, "beta, 10 calls");
});

test("a sampler takes the schedule that meets it, and falls back where the host has a foreign one", () => {
  const sampler = makeNode("FewstepSampler", { sampler_name: "deis_3m" }, [], ["SAMPLER"]);
  const host = makeNode("BasicScheduler", { scheduler: "simple", steps: 20, denoise: 0.7 }, ["MODEL"], ["SIGMAS"]);
  const run = makeNode("SamplerCustom", {}, ["MODEL", "SAMPLER", "SIGMAS"]);
  const graph = makeGraph([sampler, host, run]);
  connect(graph, sampler, 0, run, 1);
  connect(graph, host, 0, run, 2);
  const { body, assumed, fallback } = REQUESTS.FewstepSampler(sampler);
  assert.deepEqual(body, {
    sampler_name: "deis_3m", cfg_pp: undefined, solver_options: {}, scheduler: "simple", steps: 20, denoise: 0.7,
  });
  assert.equal(assumed, null);
  assert.equal(fallback.assumed, "beta, 10 calls");
  host.comfyClass = "FewstepScheduler";
  assert.equal(REQUESTS.FewstepSampler(sampler).fallback, undefined);
});
