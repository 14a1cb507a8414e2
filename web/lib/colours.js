// Which accent can be read on a background. Colours come as CSS text that the browser has already made into rgb().

const ACCENT = { onDark: "#5cb3ff", onLight: "#1668b8" };
const DANGER = { onDark: "#ff8f7a", onLight: "#b3261e" };

/** {accent, danger} for a background; dark where its colour cannot be read, as the host's own theme is. */
export function accents(background) {
  const side = brightness(background) > 0.5 ? "onLight" : "onDark";
  return { accent: ACCENT[side], danger: DANGER[side] };
}

/** 0 (black) to 1 (white). */
export function brightness(colour) {
  const text = String(colour).trim();
  const hex = /^#([0-9a-f]{3,8})$/i.exec(text)?.[1];
  let parts = [];
  if (hex) {
    const each = hex.length < 6 ? 1 : 2;
    parts = [0, 1, 2].map((i) => parseInt(hex.slice(i * each, (i + 1) * each).padStart(2, hex[i * each]), 16));
  } else if (/^rgba?\(/i.test(text)) {
    parts = text.match(/[\d.]+/g)?.slice(0, 3).map(Number) ?? [];
  }
  if (parts.length < 3 || parts.some(Number.isNaN)) return 0;
  return (0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]) / 255;
}
