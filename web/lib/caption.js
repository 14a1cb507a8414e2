// The words under a plot.

/** {calls, chosen, range, title}: the line with the calls, that with what was chosen for the person ("" where nothing
 * was), the line with the range of levels, and what a pointer is shown. `assumed` says what else the plot takes for
 * granted, or is null. */
export function caption(plot, assumed) {
  const range = plot.range.assumed ? `assumed: ${plot.range.label}` : plot.range.label;
  if (!plot.lam?.length) return { calls: plot.empty ?? "no model call", chosen: "", range, title: range };
  const calls = [countOf(plot)];
  if (plot.order != null) calls.push(`order ${plot.order}`);
  if (assumed) calls.push(`assumed: ${assumed}`);
  const said = calls.join(" \u00b7 ");
  const chosen = (plot.chosen ?? []).join(" \u00b7 ");
  const title = [said, chosen, range, ...(plot.notes ?? []), settings(plot)].filter(Boolean).join("\n");
  return { calls: said, chosen, range, title };
}

/** How many calls this node makes, and of how many where it makes only a part of them. */
export function countOf({ total, begin, end }) {
  const made = Math.max(0, end - begin);
  if (made === total) return total === 1 ? "1 model call" : `${total} model calls`;
  if (made === 0) return `none of ${total} model calls`;
  return made === 1 ? `call ${begin + 1} of ${total}` : `calls ${begin + 1} to ${end} of ${total}`;
}

/** One call, for the pointer that rests on it. */
export function callText(plot, i) {
  const order = plot.order == null ? "" : `, order ${plot.order_of[i]}`;
  const kind = plot.stage[i] ? ", inside a step" : "";
  const lam = (value, sigma) => (value === null ? (sigma > 0 ? "\u2212\u221e" : "\u221e") : short(value));
  return (
    `call ${i + 1} of ${plot.total}${kind}${order}\n` +
    `sigma ${short(plot.sigma[i])} \u2192 ${short(plot.to_sigma[i])}\n` +
    `lambda ${lam(plot.lam[i], plot.sigma[i])} \u2192 ${lam(plot.to_lam[i], plot.to_sigma[i])}`
  );
}

function settings({ solver, options }) {
  const said = Object.entries(options ?? {}).map(([name, value]) => `${name}=${value}`);
  return solver ? [solver, ...said].join(" ") : "";
}

function short(value) {
  return String(Number(value.toPrecision(4))).replace("-", "\u2212");
}
