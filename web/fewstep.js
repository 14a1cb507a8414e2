// Puts the plan of a node's widgets on the node: drawn on an assumed range of noise levels before a run, on the model's
// own afterwards. The only file here that acts. Nothing of the plot is kept in a workflow or sent with a prompt.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { PlotFollower } from "./follower.js";
import { everyNode, nodeAt } from "./lib/links.js";
import { REQUESTS } from "./lib/request.js";
import { HEIGHT } from "./plot.js";

const EVENT = "fewstep.plot";
/** Node -> its PlotFollower. Weak: the page makes copies that it never adds, and drops nodes without a word. */
const plots = new WeakMap();
const root = () => app.rootGraph ?? app.graph;

app.registerExtension({
  name: "fewstep.plot",

  setup() {
    api.addEventListener(EVENT, ({ detail }) => {
      plots.get(nodeAt(root(), detail.node))?.ran(detail.plot);
    });
    // Callbacks miss what this sees: the widgets of the scheduler that a sampler is linked to, links further away, a
    // subgraph's widgets that stand for ours, values that Nodes 2.0 or another pack sets without a callback, the theme.
    setInterval(() => {
      for (const node of everyNode(root())) plots.get(node)?.look();
    }, 300);
  },

  nodeCreated(node) {
    if (!Object.hasOwn(REQUESTS, node.comfyClass)) return;
    const plot = new PlotFollower(node, (body) => api.fetchApi("/fewstep/plan", { method: "POST", body }));
    for (const widget of node.widgets ?? []) after(widget, "callback", () => plot.follow());
    addWidget(node, plot.element);
    passOn(plot.element);
    plots.set(node, plot);
    after(node, "onConfigure", () => plot.configured());
    after(node, "onConnectionsChange", () => plot.follow());
    after(node, "onExecuted", (output) => plot.ran(output?.fewstep_plot?.[0]));
  },

  loadedGraphNode(node) {
    plots.get(node)?.follow();
  },
});

/** The last widget of the node: the page saves values by position, and ours has none. */
function addWidget(node, element) {
  const widget = node.addDOMWidget("fewstep_plot", "FEWSTEP_PLOT", element, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => HEIGHT,
    getMaxHeight: () => HEIGHT,
    getValue: () => undefined,
    setValue: () => {},
  });
  widget.serialize = false;
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), height]);
}

/** The element lies over the classic canvas and would swallow what zooms and pans it; in Nodes 2.0 events bubble. */
function passOn(element) {
  const classic = () => !globalThis.LiteGraph?.vueNodesMode;
  element.addEventListener("wheel", (event) => {
    const scrolls = event.target.scrollHeight > event.target.clientHeight; // a long message
    if (classic() && !scrolls) app.canvas.processMouseWheel(event);
  });
  const middle = { pointerdown: "processMouseDown", pointermove: "processMouseMove", pointerup: "processMouseUp" };
  for (const [name, handler] of Object.entries(middle)) {
    element.addEventListener(name, (event) => {
      if (classic() && (event.button === 1 || event.buttons === 4)) app.canvas[handler](event);
    });
  }
}

/** Calls `then` with the same arguments after an object's callback, which may not exist. */
function after(object, name, then) {
  const old = object[name];
  object[name] = function (...given) {
    const result = old?.apply(this, given);
    then(...given);
    return result;
  };
}
