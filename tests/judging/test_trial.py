import pytest

from raycalib.judging.ledger import Ask, Ledger, LimitSettings, Settlement, Wish
from raycalib.judging.trial import TRIAL_REPLIES, Dud, DudKind, Trial, dud_of
from tests.judging.test_rate_limit import Clock

FREE = Wish(tokens=1, cost_usd=0.0)


@pytest.mark.parametrize(
    ("text", "finish", "kind"),
    [
        ("<think>\nThe question asks", "length", DudKind.THINKING),
        ("[THINK]Hm", "length", DudKind.THINKING),
        ("", "stop", DudKind.EMPTY),
        ("I'm sorry, but I can't", "stop", DudKind.DECLINED),
        ("I cannot judge this", "stop", DudKind.DECLINED),
        ("The proposed answer is", "length", DudKind.CUT),
        ("Perhaps.", "stop", DudKind.OTHER),
    ],
)
def test_a_reply_without_a_verdict_is_told_apart_by_its_beginning(text: str, finish: str, kind: DudKind) -> None:
    assert dud_of(text, finish).kind is kind


@pytest.mark.parametrize(
    ("dud", "words"),
    [
        (dud_of("<think>\nHm", "length"), ["begin '<think>\\nHm'", "--judge.max-output-tokens", "turn thinking off"]),
        (dud_of("I'm sorry", "stop"), ["declines", "--judge-model"]),
        (dud_of("", "stop"), ["empty", "chat template"]),
        (dud_of("The answer", "length"), ["cut off", "--judge.max-output-tokens"]),
        (dud_of("\x1b[2JPerhaps\u202e", "stop"), ["\\x1b[2JPerhaps\\u202e", "--judge-prompt strict"]),
    ],
)
def test_the_reason_quotes_the_replies_and_names_what_helps(dud: Dud, words: list[str]) -> None:
    trial = Trial()
    assert trial.count((dud,) * (TRIAL_REPLIES - 1), verdict=False) == ""
    reason = trial.count((dud,), verdict=False)
    assert reason.startswith("the judge gave 20 replies and not one verdict")
    assert all(word in reason for word in words), reason
    assert "\x1b" not in reason


def test_one_verdict_ends_the_trial() -> None:
    trial, dud = Trial(), dud_of("Perhaps.", "stop")
    trial.count((dud,) * 19, verdict=False)
    assert trial.count((dud,), verdict=True) == ""
    assert trial.count((dud,) * 100, verdict=False) == ""
    assert trial.has_room(10_000)


def test_until_the_first_verdict_the_whole_run_asks_about_twenty_rows() -> None:
    ledger, dud = Ledger(LimitSettings(), Clock()), dud_of("Perhaps.", "stop")
    first = ledger.exchange(Ask(judge="m", wishes=(FREE,) * 15)).permits
    second = ledger.exchange(Ask(judge="m", wishes=(FREE,) * 15))
    assert (len(first), len(second.permits)) == (15, 5)
    assert second.wait_s > 0
    settled = tuple(Settlement(permit=permit, tokens=1, cost_usd=0) for permit in first)
    grant = ledger.exchange(Ask(judge="m", wishes=(FREE,) * 15, settled=settled, duds=(dud,) * 15))
    assert grant.permits == ()  # fifteen in vain, five underway
    settled = tuple(Settlement(permit=permit, tokens=1, cost_usd=0) for permit in second.permits)
    grant = ledger.exchange(Ask(judge="m", wishes=(FREE,) * 15, settled=settled, duds=(dud,) * 5))
    assert "not one verdict" in grant.stop


def test_a_verdict_lets_all_wishes_through_and_is_of_its_judge_alone() -> None:
    ledger = Ledger(LimitSettings(), Clock())
    assert len(ledger.exchange(Ask(judge="m", wishes=(FREE,) * 300, verdict=True)).permits) == 300
    ledger = Ledger(LimitSettings(), Clock())
    ledger.exchange(Ask(judge="m", verdict=True))
    assert len(ledger.exchange(Ask(judge="n", wishes=(FREE,) * 300)).permits) == 20


def test_requests_that_failed_make_room_for_others() -> None:
    ledger = Ledger(LimitSettings(), Clock())
    permits = ledger.exchange(Ask(wishes=(FREE,) * 20)).permits
    settled = tuple(Settlement(permit=permit, tokens=0, cost_usd=0) for permit in permits)
    assert len(ledger.exchange(Ask(wishes=(FREE,) * 20, settled=settled)).permits) == 20


def test_what_a_dead_process_holds_is_let_go_in_the_end() -> None:
    clock = Clock()
    ledger = Ledger(LimitSettings(hold_s=60.0), clock)
    ledger.exchange(Ask(wishes=(FREE,) * 20))
    assert ledger.exchange(Ask(wishes=(FREE,))).permits == ()
    clock.now += 61
    assert len(ledger.exchange(Ask(wishes=(FREE,))).permits) == 1
