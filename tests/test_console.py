"""Lines that stay and one that is replaced, on terminals and elsewhere."""

import io
from itertools import pairwise
import os

import pytest

from raycalib.console import Console
from tests.screen import open_terminal, read_all, screen_of


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_replaced_and_others_stay_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    clock, terminal = Clock(), Terminal()
    console = Console(terminal, clock)
    console.say("questions: 10 rows")
    for shard in range(3):
        console.show(f"answers: {shard}/3 shards, about {30 - 10 * shard} s left")
        clock.now += 1
        if shard == 1:
            console.say("a remark")
            assert screen_of(terminal.getvalue().replace("\n", "\r\n"))[2:] == ["answers: 1/3 shards, about 20 s left"]
    console.end("answers: 3/3 shards")
    console.say("next")
    assert screen_of(terminal.getvalue().replace("\n", "\r\n")) == [
        "questions: 10 rows",
        "a remark",
        "answers: 3/3 shards",
        "next",
        "",
    ]


def test_a_terminal_is_not_drawn_more_often_than_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    clock, terminal = Clock(), Terminal()
    console = Console(terminal, clock)
    for step in range(1000):
        clock.now = step / 1000
        console.show(f"step {step}")
    assert 5 <= terminal.getvalue().count("step") <= 11
    console.say("remark")
    assert "step 999" in terminal.getvalue(), "the newest is drawn below a remark"


@pytest.mark.parametrize("columns", [1, 8, 20])
def test_a_narrow_terminal_is_left_without_rests(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = open_terminal(columns)
    clock = Clock()
    with os.fdopen(theirs, "w") as stream:
        console = Console(stream, clock)
        for shard in range(5):
            console.show(f"  answers 日本語のモデル: {shard}/5 shards · 10 rows/s · 20 tokens/s")
            clock.now += 1
        console.end("x")
    # A wide letter takes two columns; each draw stays within the terminal, or \\r would not come back to its start.
    assert screen_of(read_all(ours), columns) == ["x", ""]


def test_names_never_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    console = Console(terminal, Clock())
    console.show("my\x1b[2J\n\tmodel")
    console.end("my\x1b[2Jmodel")
    assert screen_of(terminal.getvalue().replace("\n", "\r\n")) == ["my\\x1b[2Jmodel", ""]


@pytest.mark.parametrize("dumb", [False, True])
def test_in_a_pipe_lines_come_at_growing_distances(dumb: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    clock, stream = Clock(), Terminal() if dumb else io.StringIO()
    console = Console(stream, clock)
    for second in range(3601):
        clock.now = float(second)
        console.show(f"{second}")
    said = [int(line) for line in stream.getvalue().splitlines()]
    assert said[:4] == [10, 20, 40, 80]
    assert len(said) <= 16
    assert max(after - before for before, after in pairwise(said)) <= 600


def test_what_stays_is_said_at_once_and_counts_as_a_sign_of_life() -> None:
    clock, stream = Clock(), io.StringIO()
    console = Console(stream, clock)
    clock.now = 9.0
    console.say("questions")
    clock.now = 15.0
    console.show("soon")
    assert stream.getvalue() == "questions\n"
    clock.now = 19.5
    console.show("due")
    console.end("done")
    assert stream.getvalue().splitlines() == ["questions", "due", "done"]


def test_an_error_comes_below_the_line_that_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    console = Console(terminal, Clock())
    console.show("answers: 1/3 shards")
    console.leave()
    terminal.write("error: no space left\n")
    console.leave()
    assert screen_of(terminal.getvalue().replace("\n", "\r\n")) == ["answers: 1/3 shards", "error: no space left", ""]


def on_screen(terminal: Terminal) -> list[str]:
    return screen_of(terminal.getvalue().replace("\n", "\r\n"))


def test_each_stage_under_way_has_a_line_of_its_own_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    clock, terminal = Clock(), Terminal()
    console = Console(terminal, clock)
    console.say("questions: 10 rows")
    for shard in range(3):
        for name in "abc":
            clock.now += 1
            console.show(f"answers {name}: {shard}/3 shards", name)
    assert on_screen(terminal) == ["questions: 10 rows", *(f"answers {name}: 2/3 shards" for name in "abc")]
    console.end("answers b: 3/3 shards", "b")
    console.say("a remark")
    clock.now += 1
    console.show("answers a: 3/3 shards", "a")
    stays = ["questions: 10 rows", "answers b: 3/3 shards", "a remark"]
    assert on_screen(terminal) == [*stays, "answers a: 3/3 shards", "answers c: 2/3 shards"]
    console.leave("a")  # it failed; the cause is said elsewhere
    assert on_screen(terminal) == [*stays, "answers a: 3/3 shards", "answers c: 2/3 shards"]
    console.end("answers c: done", "c")
    console.say("next")
    assert on_screen(terminal) == [*stays, "answers a: 3/3 shards", "answers c: done", "next", ""]


def test_all_lines_stay_where_a_run_ends_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    console = Console(terminal, Clock())
    console.show("answers a", "a")
    console.show("answers b", "b")  # too soon to be drawn
    console.leave()
    terminal.write("error: no space left\n")
    assert on_screen(terminal) == ["answers a", "answers b", "error: no space left", ""]


@pytest.mark.parametrize("n_lines", [1, 2, 5])
def test_more_lines_than_a_terminal_holds_leave_no_rests(n_lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Console, "_size", lambda self: os.terminal_size((20, n_lines)))
    clock, terminal = Clock(), Terminal()
    console = Console(terminal, clock)
    for shard in range(2):
        for stage in range(7):
            clock.now += 1
            console.show(f"  answers {stage}: {shard}/3 shards of a long line", str(stage))
    shown = on_screen(terminal)
    assert len(shown) == max(1, n_lines - 1)
    assert shown[-1] == f"  … and {7 - max(1, n_lines - 1) + 1} more"
    assert all(len(line) < 20 for line in shown)
    for stage in range(7):
        console.end("x", str(stage))
    assert on_screen(terminal) == ["x"] * 7 + [""]


def test_a_table_takes_the_place_of_lines_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Console, "_size", lambda self: os.terminal_size((40, 10)))
    clock, terminal = Clock(), Terminal()
    console = Console(terminal, clock)
    console.show("tune a: step 1", "a")
    console.show("answers: 1/3", "other")
    given = list[tuple[int, int]]()

    def draw(columns: int, lines: int) -> list[str]:
        given.append((columns, lines))
        return ["trial  step", f"a      {len(given)}"]

    console.table(draw, {"a", "b"})
    assert on_screen(terminal) == ["answers: 1/3", "trial  step", "a      1"]
    assert given == [(39, 8)]
    clock.now += 1
    console.show("tune b: step 7", "b")
    console.say("a remark")
    assert on_screen(terminal) == ["a remark", "answers: 1/3", "trial  step", "a      3"]
    console.end("tune a: done", "a")
    assert on_screen(terminal) == ["a remark", "tune a: done", "answers: 1/3", "trial  step", "a      4"]
    console.end_table()
    assert on_screen(terminal) == ["a remark", "tune a: done", "answers: 1/3"]
    console.end_table()
    console.end("answers: 3/3", "other")
    assert on_screen(terminal) == ["a remark", "tune a: done", "answers: 3/3", ""]


@pytest.mark.parametrize("n_lines", [1, 2, 3, 6])
def test_a_table_never_leaves_the_terminal(n_lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Console, "_size", lambda self: os.terminal_size((20, n_lines)))
    terminal = Terminal()
    console = Console(terminal, Clock())
    for number in range(4):
        console.show(f"answers {number}", str(number))
    console.table(lambda columns, lines: ["trial and step of more than twenty columns"] * 9, ())
    console.table(lambda columns, lines: ["trial"] * lines, ())
    assert 1 <= len(on_screen(terminal)) <= max(1, n_lines - 1)
    assert all(len(line) < 20 for line in on_screen(terminal))
    console.end_table()
    console.say("next")
    assert on_screen(terminal)[0] == "next"


@pytest.mark.parametrize("dumb", [False, True])
def test_in_a_pipe_there_is_no_table_and_lines_come_as_without(dumb: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    clock, stream = Clock(), Terminal() if dumb else io.StringIO()
    console = Console(stream, clock)
    for second in range(21):
        clock.now = float(second)
        console.table(lambda columns, lines: ["trial"], {"a"})
        console.show(f"tune a: {second}", "a")
    console.end_table()
    assert stream.getvalue().splitlines() == ["tune a: 10", "tune a: 20"]


def test_in_a_pipe_the_stages_under_way_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(), io.StringIO()
    console = Console(stream, clock)
    for second in range(3601):
        clock.now = float(second)
        for name in "abc":
            console.show(f"{name}: {second}", name)
    said = stream.getvalue().splitlines()
    assert [line[0] for line in said[:6]] == ["a", "b", "c", "a", "b", "c"]
    assert len(said) <= 16, "as few as of one stage"
    assert [int(line.split()[1]) for line in said[:3]] == [10, 19, 39]
    console.end("a: done", "a")
    console.leave("b")
    clock.now = 7200.0
    console.show("c: more", "c")
    assert stream.getvalue().splitlines()[len(said) :] == ["a: done", "c: more"]
