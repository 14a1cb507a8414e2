import assert from "node:assert/strict";
import { test } from "node:test";
import { Newest } from "../../web/lib/newest.js";

function asker() {
  const open = [];
  const asked = [];
  const used = [];
  const newest = new Newest(
    (question) => {
      asked.push(question);
      return new Promise((answer) => open.push(() => answer(`to ${question}`)));
    },
    (answer) => used.push(answer),
  );
  const answer = async () => {
    open.shift()();
    await new Promise((done) => setImmediate(done));
  };
  return { newest, asked, used, answer };
}

test("one at a time, and of those that wait only the newest", async () => {
  const { newest, asked, used, answer } = asker();
  for (const question of ["a", "b", "c"]) newest.put(question);
  assert.deepEqual(asked, ["a"]);
  await answer();
  assert.deepEqual(asked, ["a", "c"]);
  assert.deepEqual(used, []); // a was overtaken
  await answer();
  assert.deepEqual(used, ["to c"]);
  newest.put("d");
  await answer();
  assert.deepEqual(used, ["to c", "to d"]);
});

test("a dropped question's answer is not used, and the next one is asked", async () => {
  const { newest, used, answer } = asker();
  newest.put("a");
  newest.drop();
  await answer();
  assert.deepEqual(used, []);
  newest.put("b");
  await answer();
  assert.deepEqual(used, ["to b"]);
});
