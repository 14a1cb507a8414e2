"""An extension of the tests: records what the host's samplers do, and can answer in the place of the model."""

import torch
from fastapi import Body
from modules import script_callbacks, scripts, sd_samplers_common, shared

BODY = Body()


class Probe:
    def reset(self):
        """calls: of the guided model; first, last: latents; answer: fn(x, sigma) in the place of the model's answer.

        states, answers: of each call; callbacks: the index that the sampler function gave with each.
        """
        self.calls, self.first, self.last, self.answer, self.on_call = [], None, None, None, None
        self.states, self.answers, self.callbacks = [], [], []
        self.x = self.sigma = self.cond = None

    def before(self, params):
        self.x, self.sigma, self.cond = params.x, params.sigma, params.text_cond

    def after(self, params):
        batch = len(params.x)
        # A1111 has the guided and the unguided half in one batch, the unguided last
        x, sigma = self.x[-batch:].to(params.x), self.sigma[-batch:].to(params.x)
        if self.first is None:
            self.first = x.clone()
        self.calls.append(
            {
                "sigma": float(sigma[0]),
                "batch": batch,
                "step": shared.state.sampling_step,
                "cond": float(self.cond.double().abs().sum()),
                "model": shared.sd_model.sd_checkpoint_info.name_for_extra,
            }
        )
        if self.answer is not None:
            params.x = self.answer(x, sigma)
        self.states.append(x.clone())
        self.answers.append(params.x.clone())
        if self.on_call is not None:
            self.on_call(len(self.calls))


probe = Probe()
probe.reset()


class FewstepProbe(scripts.Script):
    def title(self):
        return "Fewstep probe"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def post_sample(self, p, ps, *args):
        probe.last = ps.samples


def record_callbacks(host=sd_samplers_common.Sampler.callback_state):
    def callback_state(self, d):
        probe.callbacks.append(d["i"])
        return host(self, d)

    sd_samplers_common.Sampler.callback_state = callback_state


def add_route(demo, app):
    def run(request: dict = BODY):
        variables = {"probe": probe, "torch": torch, "shared": shared, "result": None, **request["names"]}
        exec(request["code"], variables)
        return {"result": variables["result"]}

    app.add_api_route("/fewstep-probe/run", run, methods=["POST"])


record_callbacks()
script_callbacks.on_cfg_denoiser(probe.before)
script_callbacks.on_cfg_after_cfg(probe.after)
script_callbacks.on_app_started(add_route)
