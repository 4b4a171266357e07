"""The Grafana dashboard shows the metrics that are declared, all of them, by tags that they have."""

import json
from pathlib import Path
import re
from typing import Any

import pytest

from raycalib.stages.boards.ray_metrics import METRICS

FILE = Path(__file__).parents[3] / "cluster" / "grafana" / "raycalib.json"
OF_RAY = {"SessionName", "NodeAddress", "WorkerId"}
"""Tags that Ray puts to every metric."""

DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
QUERIES = {
    (panel["title"], target["refId"]): target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}
VARIABLES = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
TAGS = {metric.exported: OF_RAY | set(metric.tags) for metric in METRICS}
NAME = re.compile(r"\bray_\w+")
SELECTED = re.compile(r"(ray_\w+)\{([^}]*)\}")


def test_every_declared_metric_is_shown_and_nothing_else() -> None:
    shown = [name for query in QUERIES.values() for name in NAME.findall(query)]
    assert set(shown) == set(TAGS)
    assert len(QUERIES) >= len(DASHBOARD["panels"]) - 4, "rows alone have no query"


@pytest.mark.parametrize("query", QUERIES.values(), ids=str)
def test_queries_select_and_group_by_tags_that_the_metric_has(query: str) -> None:
    selected = SELECTED.findall(query)
    assert [name for name, _ in selected] == NAME.findall(query), "each is filtered by the session"
    for name, matchers in selected:
        labels = dict(re.findall(r'(\w+)(=~?"[^"]*")', matchers))
        assert labels["SessionName"] == '=~"$session"'
        assert set(labels) <= TAGS[name]
    grouped = {tag for tags in re.findall(r"by \(([^)]*)\)", query) for tag in tags.split(", ")}
    assert grouped <= set.intersection(*(TAGS[name] for name, _ in selected))
    assert query.count("(") == query.count(")")


def test_counters_are_shown_by_their_rate_or_their_sum_and_gauges_never_by_a_rate() -> None:
    counters = {metric.exported for metric in METRICS if metric.kind == "counter"}
    for query in QUERIES.values():
        assert set(re.findall(r"rate\((ray_\w+)", query)) <= counters


def test_legends_and_variables_name_what_is_there() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            grouped = {tag for tags in re.findall(r"by \(([^)]*)\)", target["expr"]) for tag in tags.split(", ")}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped
    for name, variable in VARIABLES.items():
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert match is not None
            assert match[2] in TAGS[match[1]]
            assert variable["definition"] == variable["query"]["query"]
            assert any(f"${name}" in query for query in QUERIES.values())
    used = {name for query in QUERIES.values() for name in re.findall(r"\$([a-z]+)\b", query)}
    assert used <= set(VARIABLES)


def test_the_file_has_what_grafana_imports() -> None:
    assert (DASHBOARD["uid"], DASHBOARD["title"]) == ("raycalib", "raycalib")
    assert isinstance(DASHBOARD["schemaVersion"], int)
    source = VARIABLES["datasource"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set[tuple[int, int]]()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, "the grid is 24 wide"
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
        if panel["type"] != "row":
            assert {part["uid"] for part in (panel["datasource"], panel["targets"][0]["datasource"])} == {
                "${datasource}"
            }
            assert panel["description"]
