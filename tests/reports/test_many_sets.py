"""Any number of evaluation sets, methods, runs and holes, on the terminal and on the page."""

import io
import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
import pytest
from rich.console import Console

from raycalib.reports import auroc_svg, print_summary, render_page
from raycalib.reports.page_plots import drawn_sets, not_drawn
from raycalib.reports.plots import reliability_methods, reliability_svg, risk_coverage_svg
from tests.reports.many import EVERY_METHOD, GIVEN, hole, report_of, row
from tests.screen import screen_of

MANY = ["heldout_families", "mmlu", "arc", "test", "boolq", "nobody_knows"]
NO_CURVES: dict[str, Any] = {"reliability": [], "risk_coverage": [], "training": []}
WEIGHTS = "weights not found: m2; log in with `hf auth login`, or --skip m2"


def printed(summary: list[dict[str, Any]], holes: list[dict[str, Any]] | None = None) -> str:
    out = io.StringIO()
    print_summary(summary, Console(file=out, width=120, color_system=None), holes=holes or [])
    return out.getvalue()


def visible(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]*>", " ", page, flags=re.S))


def test_few_sets_have_a_table_each_in_order() -> None:
    text = printed([row("m", "probe", split) for split in ("arc", "heldout_families", "test_fresh_entities", "test")])
    titles = ["Test: new questions", "Held-out families:", "Evaluation set: arc"]
    assert sorted(titles, key=text.index) == titles
    assert "fresh" not in text
    assert "[0.240, 0.260]" in text


def test_of_many_sets_two_have_a_table_and_the_others_a_line_each() -> None:
    text = printed([row(model, method, split) for split in MANY for model in "mn" for method in EVERY_METHOD])
    lines = [line.rstrip() for line in text.splitlines()]
    assert [line for line in lines if line.startswith(("Test:", "Held-out", "Evaluation set:"))] == [
        "Test: new questions of the kinds seen in tuning",
        "Held-out families: kinds of question never seen in tuning",
    ]
    start = lines.index("Further evaluation sets, LoRA + Prompt + temp.")
    assert lines[start + 1].split() == ["evaluation", "set", "m", "oe", "n", "oe"]
    assert [line.split() for line in lines[start + 3 : start + 7]] == [
        [split, *["0.250"] * 4] for split in ("mmlu", "arc", "boolq", "nobody_knows")
    ]
    assert lines[-1] == "The page has all methods on all 6 evaluation sets, with intervals."
    assert len(lines) < 2 * len(EVERY_METHOD) + 22, "two tables, and little else"
    assert max(map(len, lines)) <= 120


def test_thirty_sets_of_twelve_combos_fit_a_terminal() -> None:
    sets = [f"set{index}" for index in range(30)]
    text = printed([row(f"model{model}:13b-chat", "probe", split) for split in sets for model in range(12)])
    assert max(map(len, screen_of(text))) <= 120
    assert all(text.count(f"\n{split} ") == 2 for split in sets[2:])


def test_the_page_has_every_set_with_a_plot_and_an_overview() -> None:
    methods = ("zero_shot_query", "lora_prompt+temperature")
    page = render_page(report_of([row("m", method, split) for split in MANY for method in methods]))
    text = visible(page)
    titles = ["Test: new questions", "Held-out families:", *(f"Evaluation set: {name}" for name in ("mmlu", "arc"))]
    assert sorted(titles, key=text.index) == titles
    assert "All 6 evaluation sets, LoRA + Prompt + temperature: ECE" in text
    for name in ("test", "held-out families", "mmlu", "arc", "boolq", "nobody_knows"):
        assert f"AUROC with 95 % intervals, {name} " in text
    summary = page[page.index('id="summary"') : page.index('id="reliability"')]
    assert summary.count('<details class="set">') == 5  # all but test
    assert page.count("<svg") == 6 + 6 + 6 + 1  # AUROC, reliability, risk–coverage of each set; training


def test_curves_of_further_sets_are_drawn_while_they_are_few() -> None:
    report = report_of([row(f"m{index}", "probe", split) for split in ("mmlu", "test", "arc") for index in range(5)])
    assert (drawn_sets(report, "test"), not_drawn(report, "test")) == (["test", "mmlu"], ["arc"])
    report = report_of([row(f"m{index}", "probe", split) for split in ("mmlu", "test") for index in range(13)])
    assert (drawn_sets(report, "test"), not_drawn(report, "test")) == (["test"], ["mmlu"])
    small = report_of(
        [row(f"m{index}", "probe", split) for split in ("test", "b", "c", "d", "e") for index in range(3)]
    )
    assert "Not drawn: e; their bins are in report.json" in visible(render_page(small))


def test_names_of_sets_and_methods_are_text() -> None:
    name = "<b>x\x1b[2J\u202e[red]</b>"
    summary = [row("m", f"adapter {name}", f"{name}{index}", run=name) for index in range(6)]
    text, page = printed(summary), render_page(report_of(summary, holes=[hole("n", name, name, name)]))
    assert not set(text + page) & set("\x1b\u202e")
    assert r"Evaluation set: <b>x\x1b[2J\u202e[red]</b>0" in text
    assert "<b>" not in page
    assert r"Evaluation set: &lt;b&gt;x\x1b[2J\u202e[red]&lt;/b&gt;5" in page


def test_auroc_is_drawn_once_for_a_method_with_and_without_a_temperature() -> None:
    summary = [row("m", method, "test") for method in EVERY_METHOD] + [row("n", "lora+temperature", "test")]
    assert re.findall(r">([^<>]* \+ temperature)<", auroc_svg(summary, "test")) == ["LoRA + temperature"]
    curves = report_of([row("m", method, "test") for method in EVERY_METHOD])["risk_coverage"]
    assert "temperature" not in risk_coverage_svg(curves)


def test_at_most_six_reliability_diagrams_of_those_that_are_compared() -> None:
    rows = report_of([row("m", method, "test") for method in (*EVERY_METHOD, *GIVEN)])["reliability"]
    chosen = ["zero_shot_query", "zero_shot_query+temperature", "lora_prompt", "lora_prompt+temperature"]
    assert reliability_methods(rows) == [*chosen, "probe+temperature", "adapter mine+temperature"]
    given = [each for each in rows if each["method"] in GIVEN]
    assert reliability_methods(given) == [
        "adapter mine+temperature", "lora_prompt (from mistral:7b choice)", "probe mine+given temperature",
    ]  # fmt: skip
    assert reliability_methods([each for each in rows if each["method"] == "family_rate"]) == ["family_rate"]
    assert ">LoRA + Prompt (f…istral:7b choice)<" in reliability_svg(given)


def test_a_name_of_any_length_and_script_can_be_drawn() -> None:
    names = ["adapter " + "/very/long" * 30, "adapter 模型 $x_1$", *(f"adapter {index}" for index in range(20))]
    report = report_of([row("模型" * 40, name, "test", run="r" * 90) for name in names])
    assert "模型 $x_1$" in auroc_svg(report["summary"], "test")
    assert "<svg" in risk_coverage_svg(report["risk_coverage"], "模型" * 90)
    assert "<svg" in reliability_svg(report["reliability"])
    assert max(map(len, screen_of(printed(report["summary"])))) <= 120


def test_a_combo_that_failed_is_a_hole_with_its_reason_in_every_set() -> None:
    summary = [row("m", method, split) for method in EVERY_METHOD for split in ("test", "mmlu")]
    summary += [hole("m2", method, None, WEIGHTS) for method in EVERY_METHOD]
    text, page = printed(summary), visible(render_page(report_of(summary, **NO_CURVES)))
    assert text.count(" m2 oe ") == 2
    assert " ".join(text.split()).count(f"m2 oe, every method: {WEIGHTS}.") == 1
    assert page.count(f"m2 oe, every method: {WEIGHTS}.") == 1
    assert page.index("Missing from this report") < page.index("Test: means over")
    assert page.count(f"every method {WEIGHTS}") == 2


def test_what_has_no_rows_is_named_at_the_top_and_below_the_tables() -> None:
    summary = [row("m", method, "test") for method in ("probe", "lora")]
    holes = [
        {"model": "m2", "style": "oe", "method": "", "reason": WEIGHTS},
        {"model": "m", "style": "oe", "method": "lora_prompt", "reason": "loss not finite at step 3"},
        {"model": "m", "style": "oe", "method": "lora_prompt+temperature", "reason": "loss not finite at step 3"},
    ]
    lines = [
        f"m2 oe: {WEIGHTS}.",
        "m oe, LoRA + Prompt, LoRA + Prompt + temperature: loss not finite at step 3.",
    ]
    assert [line.rstrip() for line in printed(summary, holes).splitlines()][-2:] == lines
    page = render_page(report_of(summary, holes=holes, **NO_CURVES))
    top = page[page.index('id="holes"') : page.index('id="headlines"')]
    assert [line for line in lines if line in top] == lines
    assert [line.rstrip() for line in printed([], holes).splitlines()][1:] == lines


def test_runs_shown_together_are_told_apart_and_absent_runs_are_not_mentioned() -> None:
    one = [row("m", "probe", "test", 0.2), row("m", "lora", "test", 0.3)]
    other = [each | {"run": "seed2"} for each in one]
    text = printed(one + other)
    assert re.findall(r"\n(m oe|seed2: m oe) ", text) == ["m oe", "seed2: m oe"]
    page = render_page(report_of(one + other, risk_coverage=[]))
    assert page.count("<th>run</th>") >= 2
    assert "<td>seed2</td><td>m</td>" in page
    assert "seed2: m oe" in page[page.index('id="reliability"') :]
    assert "<th>run</th>" not in render_page(report_of(one, **NO_CURVES))


KINDS = st.sampled_from(["full", "hole", "everywhere", "absent", "bare"])


@settings(max_examples=5, deadline=None)
@given(
    st.lists(KINDS, min_size=8, max_size=8),
    st.sets(st.sampled_from(["summary", "reliability", "risk_coverage", "tasks", "training", "temperatures"])),
)
@example(["hole"] * 8, set())
@example(["everywhere"] * 8, set())
@example(["absent"] * 8, {"summary"})
@example(["bare"] * 8, set())
@example(["everywhere", "full"] * 4, set())
def test_whatever_is_missing_the_rest_is_shown(kinds: list[str], dropped: set[str]) -> None:
    places = [
        (m, method, split)
        for m in ("m", "n")
        for method in ("family_rate", "adapter a+temperature")
        for split in ("test", "mmlu")
    ]
    makers = {
        "full": lambda place: [row(*place)],
        "hole": lambda place: [hole(*place)],
        "everywhere": lambda place: [hole(place[0], place[1], None)],
        "absent": lambda place: [],
        "bare": lambda place: [{**dict(zip(("model", "method", "split"), place, strict=True)), "style": "oe", "n": 0}],
    }  # fmt: skip
    summary = [each for kind, place in zip(kinds, places, strict=True) for each in makers[kind](place)]
    holes = [{"model": "m", "style": "", "method": "", "reason": "weights not found"}]
    report = report_of(summary, holes=holes)
    page = render_page(report | {name: [] for name in dropped})
    text = " ".join(printed(summary, holes).split())
    assert "m: weights not found." in text
    assert "m: weights not found." in page
    named = {(each["model"], each["method"], each["split"]) for each in summary if each["split"] is not None}
    lacking = {place[:2] for place in places if place not in named and any(place[2] == each[2] for each in named)}
    # What failed in every set is told of those that it has no row in; where no set has a name, once.
    told = [
        each
        for each in summary
        if each.get("reason") and (each["split"] is not None or not named or (each["model"], each["method"]) in lacking)
    ]
    assert not told or "out of memory" in text
    assert not told or "summary" in dropped or "out of memory" in page
    assert text.count("0.250 [0.240, 0.260]") >= 2 * sum(kind == "full" for kind in kinds)
    assert "None" not in visible(page)


@pytest.mark.parametrize("n_sets", [1, 7])
def test_figures_are_those_of_the_rows(n_sets: int) -> None:
    summary = [row("m", method, f"s{index}", 0.3 + index / 100) for index in range(n_sets) for method in EVERY_METHOD]
    page = render_page(report_of(summary, **NO_CURVES))
    for index in range(n_sets):
        assert page.count(f">{0.3 + index / 100:.3f}<small>") >= 7 * len(EVERY_METHOD) - 1
