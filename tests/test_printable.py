import json
import unicodedata

import pytest

from raycalib.printable import printable_json, printable_line, printable_lines

STEERING = {
    "\x1b": r"\x1b",
    "\x07": r"\x07",
    "\x00": r"\x00",
    "\x7f": r"\x7f",
    "\x9b": r"\x9b",
    "\r": r"\r",
    "\u202e": r"\u202e",
    "\u2066": r"\u2066",
    "\u200b": r"\u200b",
    "\ufeff": r"\ufeff",
    "\u2028": r"\u2028",
    "\udc80": r"\udc80",
    "\U000e0041": r"\U000e0041",
}
HARMLESS = "Zürich שלום 東京 🦊 👨\u200d👩\u200d👧 می\u200cخواهم \\x1b \xa0"


@pytest.mark.parametrize("character", STEERING, ids=lambda character: f"U+{ord(character):04X}")
def test_what_steers_is_spelled_out(character: str) -> None:
    for escaped in (printable_line, printable_lines):
        assert escaped(f"a{character}b") == f"a{STEERING[character]}b"
    line = printable_json({character: [character]})
    assert character not in line
    assert json.loads(line) == {character: [character]}


def test_no_control_or_format_character_but_joiners_is_left() -> None:
    everything = "".join(map(chr, range(0x110000)))
    left = {
        unicodedata.category(character) for character in printable_line(everything) if character not in "\u200c\u200d"
    }
    assert not left & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert {"Lu", "Lo", "Mn", "So", "Zs"} <= left


def test_letters_of_all_scripts_and_emoji_stay() -> None:
    assert printable_line(HARMLESS) == printable_lines(HARMLESS) == HARMLESS
    assert printable_json(HARMLESS) == json.dumps(HARMLESS, ensure_ascii=False)


def test_line_breaks_stay_where_lines_are_shown() -> None:
    assert printable_line("a\n\tb") == r"a\n\tb"
    assert printable_lines("a\n\tb") == "a\n\tb"
