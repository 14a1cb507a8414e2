"""Makes locales/en/nodeDefs.json from the node classes, in the form that ComfyUI's page reads.

    python tests/make_locale.py

The names and tooltips stand in the classes, once; the English file is what translators start from, and a test holds it
equal to them. It lives here, not in commands/, because only who changes a node ever runs it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ENGLISH = ROOT / "locales" / "en" / "nodeDefs.json"

Texts = dict[str, Any]


def english() -> Texts:
    from node_classes import inputs_of, node_classes

    found = {}
    for id, node in node_classes().items():
        outputs = zip(node.RETURN_NAMES, node.OUTPUT_TOOLTIPS, strict=True)
        found[id] = {
            "display_name": node.NAME,
            "description": node.DESCRIPTION,
            "inputs": {
                name: {"name": name, "tooltip": settings["tooltip"]} for name, (_, settings) in inputs_of(node).items()
            },
            "outputs": {str(i): {"name": name, "tooltip": tip} for i, (name, tip) in enumerate(outputs)},
        }
    return found


def text(found: Texts) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from conftest import load

    load("fewstep")
    ENGLISH.parent.mkdir(parents=True, exist_ok=True)
    ENGLISH.write_text(text(english()), encoding="utf-8")
    print(f"wrote {ENGLISH.relative_to(ROOT)}", file=sys.stderr)
