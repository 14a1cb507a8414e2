// Draws a plot on a 2-D context: lambda to the right, the order of each call upwards, a mark where the model is called.
import { label, makeAxis, pixel, ticks } from "./axis.js";

const PAD = { left: 18, right: 12, top: 20, bottom: 17 };
const FONT = "10px sans-serif";

/** Where things are, in CSS pixels, for a plot in a box of this size. */
export function layout(plot, width, height) {
  const axis = makeAxis(plot, PAD.left, Math.max(width - PAD.right, PAD.left + 1));
  const bottom = height - PAD.bottom;
  const most = plot.order == null ? 0 : Math.max(plot.order, ...plot.order_of);
  const row = (order) => bottom - (most ? (order / most) * (bottom - PAD.top) : (bottom - PAD.top) / 2);
  const calls = plot.lam.map((lam, i) => ({
    x: pixel(axis, lam, plot.sigma[i]),
    to: pixel(axis, plot.to_lam[i], plot.to_sigma[i]),
    y: row(plot.order_of[i]),
    stage: plot.stage[i],
    here: i >= plot.begin && i < plot.end,
  }));
  return { axis, bottom, top: PAD.top, most, row, calls, ...closeness(calls) };
}

/** The call nearest to a pixel column, or -1 for a plot without calls. */
export function nearestCall({ calls }, x) {
  const away = (i) => Math.abs(calls[i].x - x);
  return calls.reduce((best, _, i) => (best < 0 || away(i) < away(best) ? i : best), -1);
}

/** colours: {quiet, line, accent, paper}, any CSS colours. */
export function draw(context, plot, width, height, colours) {
  context.clearRect(0, 0, width, height);
  if (!plot?.lam?.length) return;
  const at = layout(plot, width, height);
  context.font = FONT;
  context.lineWidth = 1;
  gridlines(context, at, colours);
  horizontal(context, at, colours);
  for (const call of at.calls) (at.most ? segment : stem)(context, at, call, colours);
  for (const call of at.calls) mark(context, at, call, colours);
}

function gridlines(context, at, colours) {
  for (let order = 0; order <= at.most; order++) {
    const y = Math.round(at.row(order)) + 0.5;
    line(context, at.axis.min, y, at.axis.max, y, colours.line);
    if (at.most) text(context, String(order), at.axis.min - 8, y, "right", "middle", colours.quiet);
  }
  if (at.most) text(context, "order", at.axis.min - 14, 2, "left", "top", colours.quiet);
}

function horizontal(context, at, colours) {
  const { axis, bottom } = at;
  if (!at.most) line(context, axis.min, bottom + 0.5, axis.max, bottom + 0.5, colours.line);
  const room = Math.max(2, Math.floor((axis.right - axis.left) / 48));
  for (const lam of ticks(axis, room)) {
    const x = pixel(axis, lam, 1);
    line(context, Math.round(x) + 0.5, bottom, Math.round(x) + 0.5, bottom + 4, colours.quiet);
    text(context, label(lam), x, bottom + 6, "center", "top", colours.quiet);
  }
  text(context, "\u03bb", axis.min - 16, bottom + 6, "left", "top", colours.quiet);
  if (axis.left > axis.min) text(context, "\u2212\u221e", axis.min, bottom + 6, "center", "top", colours.quiet);
  if (axis.right < axis.max) text(context, "\u221e", axis.max, bottom + 6, "center", "top", colours.quiet);
}

/** An update: from where the model is called to where it ends, at the height of its order. */
function segment(context, at, call, colours) {
  context.globalAlpha = call.here ? 0.22 : 0.1;
  context.fillStyle = call.here ? colours.accent : colours.quiet;
  context.fillRect(call.x, call.y, call.to - call.x, at.bottom - call.y);
  context.globalAlpha *= at.room;
  line(context, call.x, call.y, call.x, at.bottom, call.here ? colours.accent : colours.quiet);
  context.globalAlpha = 1;
  line(context, call.x, call.y, call.to, call.y, call.here ? colours.accent : colours.quiet, 2);
}

/** A level of a schedule, which has no order. */
function stem(context, at, call, colours) {
  context.globalAlpha = Math.max(at.room, 0.15);
  line(context, call.x, at.bottom, call.x, at.top, call.here ? colours.accent : colours.quiet);
  context.globalAlpha = 1;
}

function mark(context, at, call, colours) {
  const colour = call.here ? colours.accent : colours.quiet;
  context.beginPath();
  context.arc(call.x, call.y, at.radius, 0, 2 * Math.PI);
  context.fillStyle = call.stage ? colours.paper : colour;
  context.fill();
  if (!call.stage && at.radius < 2) return; // an outline would cover the neighbours
  context.strokeStyle = call.stage ? colour : colours.paper;
  context.lineWidth = call.stage ? 1.5 : 1;
  context.stroke();
}

/** Marks shrink and lines fade where calls stand close together: the radius of a mark, and the strength of a line. */
function closeness(calls) {
  const xs = calls.map((call) => call.x);
  const gap = xs.length > 1 ? (Math.max(...xs) - Math.min(...xs)) / (xs.length - 1) : Infinity;
  return { radius: Math.min(4, Math.max(1, gap / 3)), room: Math.min(1, gap / 6) };
}

function line(context, x, y, to, end, colour, width = 1) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(to, end);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

function text(context, words, x, y, align, baseline, colour) {
  context.textAlign = align;
  context.textBaseline = baseline;
  context.fillStyle = colour;
  context.fillText(words, x, y);
}
