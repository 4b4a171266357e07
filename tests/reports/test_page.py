from html.parser import HTMLParser
import re
from typing import Any

import pytest

from raycalib.errors import DataError
from raycalib.reports import render_page

ATTACK = '<script>alert("x")</script>'
VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})


class _Balance(HTMLParser):
    """Collects tags that are closed in the wrong order or not at all, and every address a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        names = ("src", "href", "xlink:href", "srcset", "data", "action")
        self.addresses += [value or "" for name, value in attrs if name in names]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open = self.open[:-1]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def _parsed(page: str) -> _Balance:
    parser = _Balance()
    parser.feed(page)
    return parser


def test_sections_are_there(page: str) -> None:
    sections = re.findall(r'<section id="([a-z-]+)"', page)
    assert sections == [
        "headlines",
        "summary",
        "notes",
        "reliability",
        "risk-coverage",
        "tasks",
        "training",
        "temperatures",
        "reading",
        "configuration",
    ]


def test_tags_are_balanced(page: str) -> None:
    parsed = _parsed(page)
    assert (parsed.open, parsed.wrong) == ([], [])


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    assert all(address.startswith("#") for address in _parsed(page).addresses)
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)]*)", page))
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<)]*", page)) == namespaces
    assert "@import" not in page


def test_text_of_models_and_data_is_escaped(small_report: dict[str, Any]) -> None:
    report = small_report
    for name in ("summary", "reliability", "risk_coverage", "tasks", "training", "temperatures"):
        for row in report[name]:
            row["model"] = ATTACK
    for row in report["tasks"]:
        row["task"] = f"task {ATTACK}"
    report |= {"title": ATTACK, "notes": [ATTACK], "config": {ATTACK: ATTACK}, "git_commit": ATTACK}
    page = render_page(report)
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert "task &lt;script&gt;alert" in page
    assert _parsed(page).wrong == []


def test_names_do_not_steer_the_page(small_report: dict[str, Any]) -> None:
    for name in ("summary", "reliability", "risk_coverage", "tasks", "training", "temperatures"):
        for row in small_report[name]:
            row["model"] = "m\x1b\u202e"
    for row in small_report["tasks"]:
        row["task"] = "t\x1b\u202e<b>"
    page = render_page(small_report | {"title": "\u2066title", "config": {"name": "c\x1b\u202e"}})
    assert not set(page) & set("\x1b\u202e\u2066")
    assert r"t\x1b\u202e&lt;b&gt;" in page
    assert re.search(r"<svg.*?m\\x1b\\u202e.*?</svg>", page, flags=re.S)


def test_undefined_figures_are_dashes(page: str) -> None:
    assert '<td class="num" data-sort="">–</td>' in page
    assert "None" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.S)
    assert "nan" not in re.findall(r'data-sort="([^"]*)"', page)


def test_renders_without_any_data() -> None:
    page = render_page({"title": "empty"})
    assert "empty" in page
    assert re.findall(r'<section id="([a-z-]+)"', page) == ["reading"]


@pytest.mark.parametrize(
    "name", ["summary", "reliability", "risk_coverage", "tasks", "training", "temperatures", "notes"]
)
def test_renders_with_one_list_empty(name: str, small_report: dict[str, Any]) -> None:
    page = render_page(small_report | {name: []})
    links = set(re.findall(r'<a href="#([a-z-]+)"', page))
    assert links <= set(re.findall(r'<section id="([a-z-]+)"', page))


def test_a_run_without_test_rows_shows_held_out_families(heldout_report: dict[str, Any]) -> None:
    page = render_page(heldout_report)
    sections = re.findall(r'<section id="([a-z-]+)"', page)
    assert sections[:5] == ["headlines", "summary", "notes", "reliability", "risk-coverage"]
    assert page.count("<svg") == 4  # AUROC, reliability, risk-coverage, training
    cards = page[page.index('id="headlines"') : page.index('id="summary"')]
    assert "Held-out families: means over model × prompt style combos." in cards
    # 0.031 + |shift| / 2 + 0.035 with |shift| at most 0.02
    assert 0.066 <= float(re.findall(r'<p class="big">([^<]*)</p>', cards)[0]) <= 0.076
    assert cards.count("; 1 combo<") == 4
    assert "AUROC with 95 % intervals, held-out families" in page
    assert "Reliability diagrams, held-out families" in page
    words = re.sub(r"<svg.*?</svg>|<script>.*?</script>|<style>.*?</style>|<dl.*?</dl>", "", page, flags=re.S)
    assert not re.search(r"\b[Tt]est\b", re.sub(r"<[^>]*>", " ", words[: words.index('id="notes"')]))


def test_a_run_with_test_rows_shows_these(small_report: dict[str, Any]) -> None:
    page = render_page(small_report)
    assert "Test: means over model × prompt style combos." in page
    assert "AUROC with 95 % intervals, test<" in page
    assert "Reliability diagrams, test<" in page


def test_every_metric_is_explained(page: str) -> None:
    explained = page[page.index('class="reading"') :]
    assert "15 bins of equal mass on P(correct), the last one closed at 1.0" in explained
    assert explained.count("lower is better") == 4
    assert explained.count("higher is better") == 3


def test_same_report_same_page(small_report: dict[str, Any]) -> None:
    assert render_page(small_report) == render_page(small_report)


def test_a_report_without_title_is_refused() -> None:
    with pytest.raises(DataError, match="title"):
        render_page({"summary": []})


def test_platt_scaling_has_its_shift_in_the_table_and_no_other_page_has_the_column() -> None:
    row = {"model": "m", "style": "oe", "method": "probe+temperature", "n": 90, "temperature": 1.5}
    platt = {**row, "method": "probe+platt", "shift": -0.25}
    section = render_page({"title": "t", "temperatures": [row, platt]}).split('id="temperatures"')[1]
    table = section[: section.index("</table>")]
    assert re.findall(r">(probe[^<]*)<", table) == ["probe + temperature", "probe + Platt"]
    assert table.count(">-0.250<") == table.count(">shift<") == 1
    assert "shift" not in render_page({"title": "t", "temperatures": [row]})
