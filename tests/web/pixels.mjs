// stdin: [{plot, min, max}], stdout: {margin, plots: [{x, to, ticks}]}, the pixels of each plot's calls.
// tests/test_web_lib.py compares them with its own.
import { text } from "node:stream/consumers";
import { makeAxis, MARGIN, pixel, ticks } from "../../web/lib/axis.js";

const plots = JSON.parse(await text(process.stdin)).map(({ plot, min, max }) => {
  const axis = makeAxis(plot, min, max);
  return {
    x: plot.lam.map((lam, i) => pixel(axis, lam, plot.sigma[i])),
    to: plot.to_lam.map((lam, i) => pixel(axis, lam, plot.to_sigma[i])),
    ticks: ticks(axis, 5),
  };
});
process.stdout.write(JSON.stringify({ margin: MARGIN, plots }));
