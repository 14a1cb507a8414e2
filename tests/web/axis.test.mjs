import assert from "node:assert/strict";
import { test } from "node:test";
import { label, makeAxis, MARGIN, pixel, ticks } from "../../web/lib/axis.js";

const column = (lam, to_lam, sigma, to_sigma) => ({ lam, to_lam, sigma, to_sigma });
const flow = column([null, -1, 1], [-1, 1, null], [1, 0.73, 0.27], [0.73, 0.27, 0]);

test("infinite ends stand at the borders, each in its own margin", () => {
  const axis = makeAxis(flow, 10, 210);
  assert.equal(pixel(axis, null, 1), 10);
  assert.equal(pixel(axis, null, 0), 210);
  assert.equal(pixel(axis, -1, 0.73), 10 + MARGIN);
  assert.equal(pixel(axis, 1, 0.27), 210 - MARGIN);
  assert.equal(pixel(axis, 0, 0.5), 110);
});

test("an end that is finite has no margin", () => {
  const axis = makeAxis(column([-2, 0], [0, 2], [7, 1], [1, 0.1]), 0, 100);
  assert.deepEqual([axis.left, axis.right], [0, 100]);
  assert.equal(pixel(axis, -2, 7), 0);
  assert.equal(pixel(axis, 2, 0.1), 100);
});

test("one call from noise to nothing has no finite level", () => {
  const axis = makeAxis(column([null], [null], [1], [0]), 0, 100);
  assert.deepEqual([pixel(axis, null, 1), pixel(axis, null, 0)], [0, 100]);
  assert.deepEqual(ticks(axis, 5), []);
});

test("a single finite level stands in the middle", () => {
  const axis = makeAxis(column([3], [null], [0.05], [0]), 0, 122);
  assert.equal(pixel(axis, 3, 0.05), 50);
  assert.deepEqual(ticks(axis, 4), [3]);
});

test("margins leave room on a narrow node", () => {
  const axis = makeAxis(flow, 0, 20);
  assert.ok(axis.left < axis.right);
});

test("ticks are round, inside, and about as many as asked for", () => {
  for (const [low, high] of [[-2.68, 3.53], [-8.4, 3.5], [-0.011, 0.013], [0.2, 0.3], [-6.2, 6.2]]) {
    for (const most of [2, 4, 7]) {
      const found = ticks({ low, high }, most);
      assert.ok(found.length >= 1 && found.length <= most + 1, `${low}..${high}: ${found}`);
      assert.ok(found.every((tick) => tick >= low && tick <= high), String(found));
    }
  }
  assert.deepEqual(ticks({ low: -2.68, high: 3.53 }, 4), [-2, 0, 2]);
  assert.ok(!ticks({ low: -1, high: 1 }, 4).some((tick) => Object.is(tick, -0)));
});

test("labels are short", () => {
  assert.equal(label(0.1 + 0.2), "0.3");
  assert.equal(label(-2), "\u22122");
});
