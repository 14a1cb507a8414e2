import assert from "node:assert/strict";
import { test } from "node:test";
import { callText, caption, countOf } from "../../web/lib/caption.js";

const SD = { id: "sd", label: "SD 1.5", assumed: true };
const PLOT = {
  solver: "dpmpp_2m", order: 2, options: { last: "denoise" }, notes: ["a note"], total: 3, begin: 0, end: 3, range: SD,
  sigma: [1, 0.7, 0.3], to_sigma: [0.7, 0.3, 0], lam: [null, -0.847298, 0.8473], to_lam: [-0.847298, 0.8473, null],
  order_of: [1, 2, 1], stage: [false, true, false],
};

test("an assumed range, and an assumed schedule, are said to be so", () => {
  assert.deepEqual(caption(PLOT, null), {
    calls: "3 model calls \u00b7 order 2", chosen: "", range: "assumed: SD 1.5",
    title: "3 model calls \u00b7 order 2\nassumed: SD 1.5\na note\ndpmpp_2m last=denoise",
  });
  assert.match(caption(PLOT, "beta, 10 calls").calls, /assumed: beta, 10 calls$/);
  assert.equal(caption({ ...PLOT, range: { id: "seen-1", label: "ve", assumed: false } }, null).range, "ve");
});

test("what was chosen has a line of its own", () => {
  const said = caption({ ...PLOT, chosen: ["auto: dpmpp_2m", "auto: flow_shift (shift=1.5)"] }, null);
  assert.equal(said.calls, "3 model calls \u00b7 order 2");
  assert.equal(said.chosen, "auto: dpmpp_2m \u00b7 auto: flow_shift (shift=1.5)");
  assert.equal(said.title.split("\n")[1], said.chosen);
  assert.equal(caption({ ...PLOT, chosen: [] }, null).chosen, "");
});

test("a schedule has no order", () => {
  assert.equal(caption({ ...PLOT, solver: null, order: null }, null).calls, "3 model calls");
});

test("no call at all, or too many to draw", () => {
  const said = (plot) => caption({ ...plot, range: SD }, null).calls;
  assert.equal(said({ total: 2000, empty: "2000 model calls: too many" }), "2000 model calls: too many");
  assert.equal(said({ total: 0, empty: "denoise is 0: no model call" }), "denoise is 0: no model call");
  assert.equal(said({ total: 0 }), "no model call");
});

test("parts of a run are counted as the node's own calls", () => {
  const count = (total, begin, end) => countOf({ total, begin, end });
  assert.equal(count(1, 0, 1), "1 model call");
  assert.equal(count(10, 0, 4), "calls 1 to 4 of 10");
  assert.equal(count(10, 4, 5), "call 5 of 10");
  assert.equal(count(10, 10, 10), "none of 10 model calls");
  assert.equal(count(10, 8, 4), "none of 10 model calls");
});

test("a single call", () => {
  assert.equal(callText(PLOT, 0), "call 1 of 3, order 1\nsigma 1 \u2192 0.7\nlambda \u2212\u221e \u2192 \u22120.8473");
  assert.match(callText(PLOT, 1), /^call 2 of 3, inside a step, order 2/);
  assert.match(callText(PLOT, 2), /0\.8473 \u2192 \u221e$/);
});
