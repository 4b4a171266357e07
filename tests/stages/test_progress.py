import pytest

from raycalib.stages.progress import say


def test_names_in_a_line_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("file:my\x1b[2J.csv: question is 'q\u202e'\n  second line")
    assert capsys.readouterr().out == "file:my\\x1b[2J.csv: question is 'q\\u202e'\n  second line\n"
