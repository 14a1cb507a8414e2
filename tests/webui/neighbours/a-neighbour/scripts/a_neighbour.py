"""Another extension that is loaded before fewstep and has packages of the same names."""

from modules import script_callbacks

import nodes
import samplers

FOUND = {"nodes": nodes.OWNER, "samplers": samplers.OWNER}


def tell(demo, app):
    app.add_api_route("/a-neighbour/found", lambda: FOUND, methods=["GET"])


script_callbacks.on_app_started(tell)
