// The element on a node: the drawing, the words under it, and the choice of a range of noise levels. It holds no state
// of the node; importing it does nothing (the page imports every file of this folder).
import { callText, caption } from "./lib/caption.js";
import { accents } from "./lib/colours.js";
import { draw, layout, nearestCall } from "./lib/drawing.js";

/** Of the element at least; the classic canvas keeps a margin of 10 around it. */
const LOWEST = 154;
export const HEIGHT = LOWEST + 20;
const MOST_ZOOM = 4;
const LINE = { whiteSpace: "nowrap", overflow: "hidden", textOverflow: "ellipsis" };

export class PlotElement {
  element = make("div", {
    position: "relative", boxSizing: "border-box", width: "100%", height: "100%", minHeight: `${LOWEST}px`,
    display: "flex", flexDirection: "column", overflow: "hidden", padding: "2px 6px 5px", borderRadius: "6px",
    background: "var(--comfy-input-bg, #222)", color: "var(--input-text, #ddd)", font: "11px/15px sans-serif",
  });
  #canvas = make("canvas", { display: "block", width: "100%", flex: "1 1 0", minHeight: "0" });
  #error = make("div", {
    flex: "1 1 0", overflow: "auto", padding: "6px 2px", whiteSpace: "pre-wrap", overflowWrap: "anywhere",
    display: "none",
  });
  #calls = make("div", { ...LINE });
  #chosen = make("div", { ...LINE, display: "none" });
  #range = make("div", { ...LINE, color: "var(--descrip-text, #999)", flex: "1 1 0" });
  #select = make("select", {
    flex: "0 0 auto", width: "64px", font: "inherit", color: "inherit", background: "var(--comfy-menu-bg, #333)",
    border: "1px solid var(--border-color, #555)", borderRadius: "4px", padding: "0 1px", height: "18px",
  });
  #plot = null;
  #title = "";
  #theme = "";
  #scale = 1;

  /** choose(id) is called when a person chooses a range. */
  constructor(choose) {
    const foot = make("div", { display: "flex", alignItems: "center", gap: "6px" });
    foot.append(this.#range, this.#select);
    this.element.append(this.#canvas, this.#error, this.#calls, this.#chosen, foot);
    this.element.setAttribute("role", "group");
    this.#select.setAttribute("aria-label", "range of noise levels");
    this.#select.addEventListener("change", () => choose(this.#select.value));
    // the page drags nodes by what lies on them, and its shortcuts listen to keys
    for (const event of ["pointerdown", "mousedown", "click", "dblclick", "keydown"]) {
      this.#select.addEventListener(event, (each) => each.stopPropagation());
    }
    this.#canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    this.#canvas.addEventListener("pointerleave", () => (this.element.title = this.#title));
    this.offer([["auto", "auto"]], "auto");
    new ResizeObserver(() => this.paint()).observe(this.#canvas);
  }

  /** A plot, and what was assumed for it besides the range, or null. */
  show(plot, assumed) {
    const said = caption(plot, assumed);
    this.#plot = plot;
    this.#say(said);
    this.#mark(plot.lam?.length ?? 0, plot.total, plot.range);
    this.#error.style.display = "none";
    this.#canvas.style.display = "block";
    this.paint();
  }

  /** What is wrong with the node's values, in place of the drawing. */
  fail(text) {
    this.#plot = null;
    this.#say({ calls: "no plan", chosen: "", range: "", title: text });
    this.#mark(0, 0, null);
    this.#error.textContent = text;
    this.#error.style.display = "block";
    this.#canvas.style.display = "none";
    this.paint();
  }

  /** The ranges to choose from, [id, label], and the chosen id. */
  offer(ranges, chosen) {
    const options = ranges.map(([id, label]) => new Option(label, id, false, id === chosen));
    this.#select.replaceChildren(...options);
    this.#select.value = chosen;
  }

  paint() {
    const colours = this.#colours();
    this.#error.style.color = colours.danger;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width || !height) return; // collapsed, or not on the page yet
    const scale = (this.#scale = this.#sharpness());
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const context = this.#canvas.getContext("2d");
    context.scale(scale, scale);
    draw(context, this.#plot, width, height, colours);
  }

  /** Paints again if the page's colours or its zoom have changed. */
  refresh() {
    const theme = this.#theme;
    this.#colours();
    if (this.#theme !== theme || this.#sharpness() !== this.#scale) this.paint();
  }

  /** Pixels of the screen for one of the drawing: the page zooms its nodes by stretching them. */
  #sharpness() {
    const zoom = this.#canvas.getBoundingClientRect().width / this.#canvas.clientWidth || 1;
    return (window.devicePixelRatio || 1) * Math.min(Math.max(zoom, 1), MOST_ZOOM);
  }

  #colours() {
    const style = getComputedStyle(this.element);
    const read = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
    const paper = style.backgroundColor;
    const colours = {
      quiet: read("--descrip-text", "#999"), line: read("--border-color", "#4e4e4e"), paper, ...accents(paper),
    };
    this.#theme = JSON.stringify(colours);
    return colours;
  }

  #say({ calls, chosen, range, title }) {
    this.#calls.textContent = calls;
    this.#chosen.textContent = chosen;
    this.#chosen.style.display = chosen ? "block" : "none";
    this.#range.textContent = range;
    this.#title = title;
    this.element.title = title;
    this.element.setAttribute("aria-label", [calls, chosen, range].filter(Boolean).join("; "));
  }

  #mark(points, total, range) {
    Object.assign(this.element.dataset, { points, total, assumed: range?.assumed ?? "", range: range?.id ?? "" });
  }

  /** The call under the pointer in place of the general words. */
  #point(x) {
    if (!this.#plot?.lam?.length) return;
    const at = layout(this.#plot, this.#canvas.clientWidth, this.#canvas.clientHeight);
    const i = nearestCall(at, x);
    const near = i >= 0 && Math.abs(at.calls[i].x - x) <= Math.max(6, at.radius);
    this.element.title = near ? callText(this.#plot, i) : this.#title;
  }
}

function make(tag, style) {
  const element = document.createElement(tag);
  Object.assign(element.style, style);
  return element;
}
