"""Another extension that is loaded after fewstep; its folder a1111 is no package, like ours."""

import lib
from modules import script_callbacks

import commands
from a1111 import theirs

FOUND = {"commands": commands.OWNER, "lib": lib.OWNER, "a1111.theirs": theirs.OWNER}


def tell(demo, app):
    app.add_api_route("/z-neighbour/found", lambda: FOUND, methods=["GET"])


script_callbacks.on_app_started(tell)
