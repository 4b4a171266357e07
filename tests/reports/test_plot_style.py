from raycalib.reports.plot_style import METHOD_COLOURS, METHOD_MARKERS, colour_of, inline_svg, marker_style
from raycalib.reports.wording import METHOD_NAMES


def test_every_method_has_its_own_colour_and_a_marker() -> None:
    assert set(METHOD_COLOURS) == set(METHOD_MARKERS) == set(METHOD_NAMES)
    assert len(set(METHOD_COLOURS.values())) == len(METHOD_NAMES)


def test_an_unknown_method_is_drawn_too() -> None:
    assert colour_of("new") not in METHOD_COLOURS.values()
    assert marker_style("new")["marker"] not in METHOD_MARKERS.values()


def test_inline_svg_drops_head_and_running_ids() -> None:
    drawn = '<?xml version="1.0"?>\n<svg width="9pt" height="8pt" viewBox="0 0 9 8">\n<g id="axes_1"/></svg>\n'
    svg = inline_svg(drawn.replace("/></svg>", "></g></svg>"), 'a "b"', width_in=2)
    assert svg == (
        '<svg viewBox="0 0 9 8" role="img" aria-label="a &quot;b&quot;" '
        'style="width:100%;max-width:222px;height:auto">\n<g></g></svg>'
    )
