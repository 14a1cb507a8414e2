// What POST /fewstep/plan is asked for a node: its widgets, and for a sampler those of the schedule it is linked to.
import { scheduleOf } from "./links.js";

/** Drawn under a sampler whose schedule is not known. */
export const ASSUMED = { scheduler: "beta", steps: 10 };

const SCHEDULE = ["scheduler", "steps", "denoise", "options"];
const SAMPLE = ["sampler_name", ...SCHEDULE, "start_at_step", "end_at_step", "cfg_pp"];

/** Node id -> its request without the range: {body, assumed, otherwise, certain}.
 *
 * assumed    the schedule that the node does not have, for the caption; otherwise null
 * fallback   a request for when the server does not know the linked schedule; otherwise absent
 * certain    whether the node's own widgets say all there is to know, so that they may replace the plot of a run
 */
export const REQUESTS = {
  FewstepKSampler(node) {
    const body = pick(values(node), SAMPLE);
    return { body, assumed: null, certain: !linked(node, SAMPLE) && isWhole(values(node)) };
  },

  FewstepScheduler(node) {
    return { body: { sampler_name: null, ...pick(values(node), SCHEDULE) }, assumed: null, certain: !linked(node, SCHEDULE) };
  },

  FewstepSampler(node) {
    const { sampler_name, cfg_pp, ...solver_options } = values(node);
    const solver = { sampler_name, cfg_pp, solver_options };
    const source = scheduleOf(node);
    const fallback = { body: { ...solver, ...ASSUMED }, assumed: ASSUMED, certain: false };
    if (source === null) return fallback;
    const body = { ...solver, ...pick(values(source), SCHEDULE) };
    const ours = source.comfyClass === "FewstepScheduler";
    // other packs add schedules to the host's menu: the sampler runs on them, though no plan can be drawn beforehand
    return { body, assumed: null, certain: false, ...(ours ? {} : { fallback }) };
  },
};

/** {widget name: value} of the widgets that the workflow keeps: not buttons, not the plot. */
export function values(node) {
  const kept = (node.widgets ?? []).filter((widget) => widget.serialize !== false && widget.type !== "button");
  return Object.fromEntries(kept.map((widget) => [widget.name, widget.value]));
}

function pick(from, names) {
  return Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]));
}

/** Whether a widget gets its value from another node, so that what it shows is not what is run. */
function linked(node, names) {
  return (node.inputs ?? []).some((input) => input.link != null && names.includes(input.widget?.name));
}

/** A part of a run may end at sigma 0, or stand alone: only the run itself knows. */
function isWhole({ steps, start_at_step = 0, end_at_step = Infinity, add_noise = "enable" }) {
  return start_at_step === 0 && end_at_step >= steps && add_noise === "enable";
}
