// The values that a node runs with: of its widgets, and of what is linked to them.
import { widgetBehind } from "./links.js";

/** {widget name: value} of the widgets that the workflow keeps: not buttons, not the plot. */
export function values(node) {
  const found = {};
  for (const widget of node.widgets ?? []) {
    if (widget.serialize === false || widget.type === "button") continue;
    const link = linkTo(node, widget.name);
    // in a subgraph whose node shows the widget, newer pages (seen from 1.49) keep only that one's value
    const giver = link == null ? widget : (widgetBehind(node.graph, link) ?? widget);
    found[widget.name] = giver.value;
  }
  return found;
}

/** Those of these widgets whose value another node computes: what they show is not what is run. */
export function computed(node, names) {
  return names.filter((name) => {
    const link = linkTo(node, name);
    return link != null && widgetBehind(node.graph, link) === null;
  });
}

function linkTo(node, name) {
  return (node.inputs ?? []).find((input) => input.widget?.name === name)?.link;
}
