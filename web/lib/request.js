// What POST /fewstep/plan is asked for a node: its widgets, and for a sampler those of the schedule it is linked to.
import { guiderOf, scheduleOf } from "./links.js";
import { computed, values } from "./values.js";

/** Drawn under a sampler whose schedule is not known. */
export const ASSUMED = { scheduler: "beta", steps: 10 };
const ASSUMED_TEXT = `${ASSUMED.scheduler}, ${ASSUMED.steps} calls`;
/** What goes by the guidance; nothing else is asked again when cfg changes. */
const AUTO = "auto";

const SCHEDULE = ["scheduler", "steps", "denoise", "options"];
const PART = ["start_at_step", "end_at_step", "add_noise", "return_with_leftover_noise"];
const SAMPLE = ["sampler_name", ...SCHEDULE, ...PART, "cfg_pp"];

/** Node class -> (node) -> its request without the range: {body, assumed, certain, fallback}.
 *
 * assumed    what the node does not know before it runs, for the caption; otherwise null
 * certain    whether the node's own widgets say all there is to know, so that they may replace the plot of a run
 * fallback   {body, assumed} for when the server does not know the linked schedule; otherwise absent
 */
export const REQUESTS = {
  FewstepKSampler(node) {
    const own = values(node);
    const names = own.sampler_name === AUTO || own.scheduler === AUTO ? [...SAMPLE, "cfg"] : SAMPLE;
    const assumed = guessed(node, names, own);
    return { body: pick(own, names), assumed, certain: assumed === null && isWhole(own) };
  },

  FewstepScheduler(node) {
    const own = values(node);
    const assumed = guessed(node, SCHEDULE, own);
    return { body: { sampler_name: null, ...pick(own, SCHEDULE) }, assumed, certain: assumed === null };
  },

  FewstepSampler(node) {
    const { sampler_name, cfg_pp, ...solver_options } = values(node);
    const guidance = sampler_name === AUTO ? guidanceOf(node) : { options: {}, assumed: null };
    const solver = { sampler_name, cfg_pp, solver_options: { ...solver_options, ...guidance.options } };
    const fallback = { body: { ...solver, ...ASSUMED }, assumed: joined(ASSUMED_TEXT, guidance.assumed) };
    const source = scheduleOf(node);
    if (source === null) return { ...fallback, certain: false };
    const schedule = values(source);
    const assumed = joined(guessed(source, SCHEDULE, schedule), guidance.assumed);
    const found = { body: { ...solver, ...pick(schedule, SCHEDULE) }, assumed, certain: false };
    // other packs add schedules to the host's menu: the sampler runs on them, though no plan can be drawn beforehand
    return source.comfyClass === "BasicScheduler" ? { ...found, fallback } : found;
  },
};

function pick(from, names) {
  return Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]));
}

function guessed(node, names, own) {
  return joined(...computed(node, names).map((name) => `${name} ${own[name]}`));
}

/** {options, assumed}: the option of a solver that goes by the cfg of the node that guides it. Less than 1 is none. */
function guidanceOf(node) {
  const guider = guiderOf(node);
  if (guider === null) return { options: { guidance: 1 }, assumed: "cfg 1" };
  const own = values(guider);
  return { options: { guidance: Math.max(own.cfg, 1) }, assumed: guessed(guider, ["cfg"], own) };
}

/** What there is of some words, or null. */
function joined(...words) {
  return words.filter(Boolean).join(", ") || null;
}

/** Whether a later part may stand alone, its history dropped, only the run itself knows. */
function isWhole({ steps, start_at_step = 0, end_at_step = Infinity, add_noise = "enable" }) {
  return start_at_step === 0 && end_at_step >= steps && add_noise === "enable";
}
