"""The door to A1111, Forge and reForge. These hosts execute this file; what it does is in a1111/.

It has no package of its own here (the host runs it outside of sys.modules), so it loads this folder as `fewstep_ext`:
not as `fewstep`, which may be installed in the same environment in another version.
"""

import importlib.util
import sys
from pathlib import Path

ALIAS = "fewstep_ext"
ROOT = Path(__file__).resolve().parents[1]
#: what this door needs of a host; SD.Next has neither, older forks lack the second
NEEDED = ("modules.sd_samplers_kdiffusion", "modules.sd_schedulers")


def load():
    if ALIAS not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            ALIAS, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules[ALIAS] = module
        spec.loader.exec_module(module)
    return sys.modules[ALIAS]


missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
if missing:
    print(f"fewstep: nothing was added, because this host has no {missing[0]} (A1111 1.9, Forge and reForge have it)")
elif Path(load().__file__).resolve().parent != ROOT:
    print(f"fewstep: {ROOT} is a second copy and was left out; {Path(load().__file__).parent} is in use")
else:
    # after "Reload UI" the package is still imported; opening the door again is harmless
    FewstepScript = importlib.import_module(f"{ALIAS}.a1111.door").open_door()
