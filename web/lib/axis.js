// The lambda axis: from half-logSNR to pixels. The infinite ends of a flow model (sigma 1: -inf) and of every whole run
// (sigma 0: +inf) are drawn at the borders, each in a margin of its own, so that they do not squeeze what lies between.

export const MARGIN = 22;

/** {low, high, left, right, min, max} of a plot: its finite range, that range's pixels, and where infinity is drawn. */
export function makeAxis(plot, min, max) {
  const lams = [...plot.lam, ...plot.to_lam].filter((lam) => lam !== null);
  const ends = [...infinite(plot.lam, plot.sigma), ...infinite(plot.to_lam, plot.to_sigma)];
  const margin = Math.min(MARGIN, (max - min) / 4);
  return {
    low: Math.min(...lams),
    high: Math.max(...lams),
    left: ends.includes(-Infinity) ? min + margin : min,
    right: ends.includes(Infinity) ? max - margin : max,
    min,
    max,
  };
}

/** The pixel of a lambda; null is infinite, and its sigma says at which end. */
export function pixel(axis, lam, sigma) {
  if (lam === null) return sigma > 0 ? axis.min : axis.max;
  const width = axis.right - axis.left;
  const span = axis.high - axis.low;
  return axis.left + (span > 0 ? ((lam - axis.low) / span) * width : width / 2);
}

/** Round numbers in the finite range, about as many as `most`, at least one where there is any. */
export function ticks(axis, most) {
  const { low, high } = axis;
  if (!(high >= low)) return [];
  if (high === low) return [low];
  const step = roundUp((high - low) / Math.max(most, 1));
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) found.push(i * step + 0); // + 0: no minus zero
  return found.length ? found : [low];
}

/** A tick in as few digits as tell it from its neighbours. */
export function label(value) {
  return String(Number(value.toPrecision(3))).replace("-", "\u2212");
}

function infinite(lams, sigmas) {
  return lams.flatMap((lam, i) => (lam === null ? [sigmas[i] > 0 ? -Infinity : Infinity] : []));
}

function roundUp(step) {
  const unit = 10 ** Math.floor(Math.log10(step));
  return unit * [1, 2, 5, 10].find((round) => round * unit >= step * (1 - 1e-9));
}
