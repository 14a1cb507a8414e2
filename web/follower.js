// Keeps the plot of one node up to its widgets, and on the levels of the model once that has run. Importing it does
// nothing.
import { Newest } from "./lib/newest.js";
import { REQUESTS } from "./lib/request.js";
import { PlotElement } from "./plot.js";

const AUTO = "auto";
/** Milliseconds until a server that did not answer is asked again. */
const RETRY = 5000;

/** Node -> what outlives it when the page builds all nodes anew, on undo and when another tab is shown: the range that
 * it was last drawn on, for the levels of a model that has run, and its element (weak: it holds its node). Not kept in
 * the workflow. */
const remembered = new Map();

export class PlotFollower {
  #node;
  #post;
  #asked = null;
  /** id of the range that is asked for */
  #range = AUTO;
  /** id of the model's own range, once a run has told */
  #seen = null;
  #view = new PlotElement((id) => this.#choose(id));
  #newest = new Newest((question) => this.#ask(question), (answer) => this.#show(answer));

  /** post(text) -> promise of a Response from the plan's route. */
  constructor(node, post) {
    this.#node = node;
    this.#post = post;
  }

  get element() {
    return this.#view.element;
  }

  /** To be called when the node is built from a workflow: it may have been there before. */
  configured() {
    const found = remembered.get(this.#key());
    if (found?.range) ({ range: this.#range, seen: this.#seen } = found);
    this.follow();
  }

  /** Asks for a plan if what the widgets say has changed. */
  follow() {
    if (!this.#node.graph) return; // a copy that is not added, or not yet: look() asks then
    const question = this.#question();
    const text = JSON.stringify(question);
    if (text === this.#asked) return;
    this.#asked = text;
    this.#newest.put(question);
  }

  /** The same for what tells nobody: see fewstep.js. */
  look() {
    this.#takePlace();
    if (!this.element.isConnected) return;
    this.follow();
    this.#view.refresh();
  }

  /** The plan that a run was made on, or undefined where it made no call. */
  ran(plot) {
    if (!plot) return;
    this.#newest.drop();
    this.#range = plot.range.id;
    this.#seen = plot.range.id;
    this.#remember();
    this.#show({ plot, assumed: null });
    const question = this.#question();
    this.#asked = JSON.stringify(question);
    // the widgets may have changed since the run was queued; where they say everything, they have the last word
    if (question.certain) this.#newest.put(question);
  }

  #question() {
    const range = this.#range;
    const { body, fallback, ...rest } = REQUESTS[this.#node.comfyClass](this.#node);
    const again = fallback && { body: { ...fallback.body, range }, assumed: fallback.assumed };
    return { ...rest, body: { ...body, range }, fallback: again };
  }

  async #ask({ body, assumed, fallback }) {
    const plot = await this.#plan(body);
    if (!plot.error || plot.lost || !fallback) return { plot, assumed };
    return { plot: await this.#plan(fallback.body), assumed: fallback.assumed };
  }

  /** The plot, or {error}, with `lost` where the server gave no answer that can be read. */
  async #plan(body) {
    try {
      const response = await this.#post(JSON.stringify(body));
      const answer = await response.json();
      return response.ok ? answer : { error: answer.error ?? `the server answers ${response.status}` };
    } catch (error) {
      setTimeout(() => (this.#asked = null), RETRY); // look() then asks again
      return { error: `no plan from the server: ${error.message}`, lost: true };
    }
  }

  #show({ plot, assumed }) {
    // the classic canvas puts a new element in its place only when it is drawn next (seen with frontend 1.49)
    this.#node.setDirtyCanvas(true, true);
    if (plot.error) {
      this.#view.fail(plot.error);
      return;
    }
    if (plot.range.assumed && this.#range === this.#seen) {
      this.#range = AUTO; // the server was started anew and has forgotten the model
      this.#seen = null;
      this.#remember();
    }
    const ranges = plot.ranges.filter(([id]) => id !== this.#seen);
    const own = this.#seen ? [[this.#seen, "model"]] : [];
    this.#view.offer([[AUTO, AUTO], ...own, ...ranges], this.#range);
    this.#view.show(plot, assumed);
  }

  #choose(id) {
    this.#range = id;
    this.#remember();
    this.follow();
  }

  /** null for a node that is pasted: it gets its id and its graph later, and is another node. */
  #key() {
    const { graph, id, comfyClass } = this.#node;
    return graph && id !== -1 ? `${graph.id} ${id} ${comfyClass}` : null;
  }

  #remember(more = { range: this.#range, seen: this.#seen }) {
    const key = this.#key();
    if (key) remembered.set(key, { ...remembered.get(key), ...more });
  }

  /** Nodes 2.0 keeps the element of the former node on the page after an undo (seen with frontends 1.49 and 1.58). */
  #takePlace() {
    const { element } = this;
    const former = remembered.get(this.#key())?.element?.deref();
    if (former === element) return;
    if (!element.isConnected && former?.isConnected) former.replaceWith(element);
    if (element.isConnected) this.#remember({ element: new WeakRef(element) });
  }
}
