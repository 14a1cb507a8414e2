"""An extension of the tests: records what the host's samplers do, and can answer in the place of the model."""

import torch
from fastapi import Body
from modules import script_callbacks, scripts, shared

BODY = Body()


class Probe:
    def reset(self):
        """calls: of the guided model; first, last: latents; answer: fn(x, sigma) in the place of the model's answer."""
        self.calls, self.first, self.last, self.answer, self.on_call = [], None, None, None, None
        self.x = self.sigma = None

    def before(self, params):
        self.x, self.sigma = params.x, params.sigma

    def after(self, params):
        batch = len(params.x)
        # A1111 has the guided and the unguided half in one batch, the unguided last
        x, sigma = self.x[-batch:].to(params.x), self.sigma[-batch:].to(params.x)
        if self.first is None:
            self.first = x.clone()
        self.calls.append({"sigma": float(sigma[0]), "batch": batch, "step": shared.state.sampling_step})
        if self.answer is not None:
            params.x = self.answer(x, sigma)
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


def add_route(demo, app):
    def run(request: dict = BODY):
        variables = {"probe": probe, "torch": torch, "shared": shared, "result": None, **request["names"]}
        exec(request["code"], variables)
        return {"result": variables["result"]}

    app.add_api_route("/fewstep-probe/run", run, methods=["POST"])


script_callbacks.on_cfg_denoiser(probe.before)
script_callbacks.on_cfg_after_cfg(probe.after)
script_callbacks.on_app_started(add_route)
