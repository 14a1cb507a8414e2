"""The page of benchmarks says what the results say, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from fewstep.benchmarks import page, results

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_made_from_the_results(tmp_path: Path) -> None:
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page.page(tmp_path)
    for picture in tmp_path.iterdir():
        assert (ROOT / "docs" / "img" / picture.name).is_file()


def test_the_readme_has_their_figures() -> None:
    assert page.readme() == (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", list(page.PARTS))
def test_results_say_where_and_with_what(name: str) -> None:
    found = results.get(name)
    assert found
    for group in found.values():
        assert {"date", "machine", "python", "fewstep", "torch"} <= group["made"].keys()
        assert group["rows"]


def test_a_group_is_put_in_the_place_of_its_own_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    assert results.get("some") == {}
    results.put("some", "b", [{"x": 1.0}, {"x": 2.0}])
    results.put("some", "a", [{"x": 3.0}])
    results.put("some", "b", [{"x": 4.0}])
    rows = {name: group["rows"] for name, group in results.get("some").items()}
    assert rows == {"a": [{"x": 3.0}], "b": [{"x": 4.0}]}
    with pytest.raises(ValueError, match="Out of range float"):
        results.put("some", "a", [{"x": float("nan")}])
    assert results.get("some")["a"]["rows"] == [{"x": 3.0}]
