"""What a user gets from the registry: the archive alone, in a folder with a dash in its name, gives all five nodes."""

from __future__ import annotations

from typing import Any

from node_classes import node_classes


def test_the_archive_has_all_nodes_and_runs(archive_server: Any) -> None:
    infos = archive_server.get("/object_info")
    assert set(node_classes()) == {name for name in infos if name.startswith("Fewstep")}
    assert infos["FewstepKSampler"]["python_module"] == "custom_nodes.fewstep-main"
    assert "fewstep_dpmpp_3m" in infos["KSampler"]["input"]["required"]["sampler_name"][0]
    log = archive_server.log.read_text()
    assert "IMPORT FAILED" not in "".join(line for line in log.splitlines() if "fewstep" in line)
    assert archive_server.get("/workflow_templates")["fewstep-main"]
