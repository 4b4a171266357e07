import pytest

from tests.screen import screen_of


def test_a_line_is_replaced_and_the_rest_of_a_longer_one_is_cleared() -> None:
    assert screen_of("one\r\nlonger\r\x1b[Ktwo\r\n") == ["one", "two", ""]
    assert screen_of("longer\rtwo") == ["twoger"]


def test_a_line_that_is_too_long_takes_two() -> None:
    assert screen_of("abcdef\rx", columns=4) == ["abcd", "xf"]


def test_styles_are_left_out_and_other_escapes_are_refused() -> None:
    assert screen_of("\x1b[1mbold\x1b[0m") == ["bold"]
    with pytest.raises(AssertionError):
        screen_of("\x1b[2J")


def test_lines_above_can_be_replaced_too() -> None:
    assert screen_of("kept\r\none\r\ntwo\r\x1b[K\x1b[1A\x1b[Knew\r\n") == ["kept", "new", ""]
    assert screen_of("one\r\ntwo\r\x1b[1Anew") == ["new", "two"]
    with pytest.raises(AssertionError):
        screen_of("\x1b[1A")
