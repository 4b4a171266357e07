from raycalib.evaluation.methods import WITH_TEMPERATURE
from raycalib.reports.plot_style import METHOD_COLOURS, METHOD_MARKERS, MethodStyles, inline_svg
from raycalib.reports.wording import METHOD_NAMES


def test_every_method_has_its_own_colour_and_a_marker() -> None:
    assert set(METHOD_COLOURS) == set(METHOD_MARKERS) == set(METHOD_NAMES)
    assert len(set(METHOD_COLOURS.values())) == len(METHOD_NAMES)


def test_given_methods_are_told_apart_from_each_other_and_from_the_known() -> None:
    methods = [f"adapter {index:02}" for index in range(20)]
    styles = MethodStyles([*METHOD_NAMES, *methods])
    looks = {(styles.colour(method), styles.marker(method)["marker"]) for method in [*METHOD_NAMES, *methods]}
    assert len(looks) == 20 + len(METHOD_NAMES)
    assert len({styles.colour(method) for method in methods[:8]}) == 8
    assert not {styles.colour(method) for method in methods} & set(METHOD_COLOURS.values())


def test_a_temperature_keeps_the_colour_and_is_hollow_and_dashed() -> None:
    styles = MethodStyles(["adapter a", "adapter b"])
    for method in ("probe", "family_rate", "adapter b"):
        tempered = method + WITH_TEMPERATURE
        assert styles.colour(tempered) == styles.colour(method)
        assert (styles.marker(method)["markerfacecolor"], styles.marker(tempered)["markerfacecolor"]) == (
            styles.colour(method),
            "none",
        )
        assert styles.line(tempered)["linestyle"] == "--" != styles.line(method)["linestyle"]


def test_inline_svg_drops_head_and_running_ids() -> None:
    drawn = '<?xml version="1.0"?>\n<svg width="9pt" height="8pt" viewBox="0 0 9 8">\n<g id="axes_1"/></svg>\n'
    svg = inline_svg(drawn.replace("/></svg>", "></g></svg>"), 'a "b"', width_in=2)
    assert svg == (
        '<svg viewBox="0 0 9 8" role="img" aria-label="a &quot;b&quot;" '
        'style="width:100%;max-width:222px;height:auto">\n<g></g></svg>'
    )
