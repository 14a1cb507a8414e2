import assert from "node:assert/strict";
import { test } from "node:test";
import { accents, brightness } from "../../web/lib/colours.js";
import { draw, layout, nearestCall } from "../../web/lib/drawing.js";

const PLOT = {
  order: 2, total: 3, begin: 0, end: 2,
  sigma: [1, 0.7, 0.3], to_sigma: [0.7, 0.3, 0], lam: [null, -0.85, 0.85], to_lam: [-0.85, 0.85, null],
  order_of: [1, 2, 1], stage: [false, true, false],
};
const COLOURS = { quiet: "grey", line: "dim", accent: "blue", paper: "black" };

/** A 2-D context that writes down what is drawn. */
function recorder() {
  const calls = [];
  const state = {};
  const context = new Proxy(state, {
    get: (_, name) => (name in state ? state[name] : (...given) => calls.push({ name, given, ...state })),
    set: (_, name, value) => ((state[name] = value), true),
  });
  return { context, calls, of: (name) => calls.filter((call) => call.name === name) };
}

test("every call is a mark where the model is called; a stage is a ring; another node's call is grey", () => {
  const { context, of } = recorder();
  draw(context, PLOT, 300, 120, COLOURS);
  const marks = of("fill");
  assert.deepEqual(marks.map((mark) => mark.fillStyle), ["blue", "black", "grey"]);
  const at = layout(PLOT, 300, 120);
  assert.deepEqual(of("arc").map((arc) => arc.given.slice(0, 2)), at.calls.map((call) => [call.x, call.y]));
  assert.deepEqual(at.calls.map((call) => call.y), [at.row(1), at.row(2), at.row(1)]);
  assert.equal(at.calls[0].x, at.axis.min);
  assert.equal(at.calls[2].to, at.axis.max);
});

test("updates join: each ends where the next begins", () => {
  const { calls } = layout(PLOT, 300, 120);
  for (let i = 1; i < calls.length; i++) assert.equal(calls[i].x, calls[i - 1].to);
});

test("a schedule has stems instead of orders", () => {
  const { context, of } = recorder();
  draw(context, { ...PLOT, order: null, order_of: [1, 1, 1] }, 300, 120, COLOURS);
  assert.equal(of("fillRect").length, 0);
  assert.ok(!of("fillText").some((text) => ["order", "0", "1"].includes(text.given[0]) && text.textAlign === "right"));
  assert.equal(of("arc").length, 3);
});

test("nothing is drawn for no plan, for no call, and for more calls than the server tells", () => {
  for (const plot of [null, { total: 0 }, { total: 2000, empty: "too many" }]) {
    const { context, of } = recorder();
    draw(context, plot, 300, 120, COLOURS);
    assert.equal(of("arc").length, 0);
  }
});

test("a box too small for its margins does not fail", () => {
  const { context } = recorder();
  draw(context, PLOT, 5, 5, COLOURS);
});

test("the call under the pointer", () => {
  const at = layout(PLOT, 300, 120);
  assert.equal(nearestCall(at, 0), 0);
  assert.equal(nearestCall(at, at.calls[1].x + 3), 1);
  assert.equal(nearestCall({ calls: [] }, 10), -1);
});

test("accents can be read on dark and on light paper", () => {
  assert.ok(brightness("rgb(255, 255, 255)") > 0.99 && brightness("#000") < 0.01 && brightness("#eee") > 0.9);
  assert.notDeepEqual(accents("#222222"), accents("rgb(240, 240, 240)"));
  assert.deepEqual(accents("color-mix(in srgb, red, blue)"), accents("#000"));
});
