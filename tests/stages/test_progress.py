import pytest

from raycalib.stages.lines import progress as module
from raycalib.stages.lines.progress import PoolProgress, ShardProgress, say


def test_names_in_a_line_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("file:my\x1b[2J.csv: question is 'q\u202e'\n  second line")
    assert capsys.readouterr().out == "file:my\\x1b[2J.csv: question is 'q\\u202e'\n  second line\n"


def test_the_line_shows_rates_padding_and_the_first_shard() -> None:
    progress = ShardProgress("answers m", 4)
    progress.add(100, 1, {"tokens_read": 700, "tokens_generated": 100, "padded_positions": 200})
    progress.first_shard_s = 3.0
    # 800 tokens in 10 s; 200 of 1,000 positions were padding; three shards are left at ten seconds each.
    assert progress.line(10.0) == (
        "  answers m: 1/4 shards · 100 rows · 10 rows/s · 80 tokens/s · 20.0% padding · 1 rows failed"
        " · first shard after 3 s · 10 s, about 30 s left"
    )
    progress.add(100, 0)
    # The second shard took 2 s: of the first one's three, most were the loading of a model.
    assert progress.line(5.0).endswith("first shard after 3 s · 5 s, about 4 s left")


def test_the_last_shards_line_stays(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ShardProgress("answers m", 2)
    progress.add(1, 0)
    progress.add(1, 0)
    (line,) = capsys.readouterr().out.splitlines()
    assert "answers m: 2/2 shards · 2 rows" in line


def test_stages_without_tokens_say_nothing_of_them() -> None:
    progress = ShardProgress("labelled m", 1)
    progress.add(5, 0)
    line = progress.line(2.0)
    assert "tokens" not in line
    assert "padding" not in line
    assert set(progress.details()) == {"seconds", "rows_this_run", "first_shard_s", "rows_per_s"}


def test_the_manifest_keeps_sums_and_shares() -> None:
    progress = ShardProgress("answers m", 2)
    progress.add(3, 0, {"tokens_read": 50, "tokens_generated": 10, "padded_positions": 20, "memory_retries": 1})
    progress.add(4, 0, {"tokens_read": 20, "tokens_generated": 0, "padded_positions": 0, "memory_retries": 0})
    details = progress.details()
    assert details["figures_this_run"] == {
        "tokens_read": 70,
        "tokens_generated": 10,
        "padded_positions": 20,
        "memory_retries": 1,
    }
    assert details["padding_share"] == 0.2
    assert details["rows_this_run"] == 7
    assert details["tokens_per_s"] == pytest.approx(80 / 7 * details["rows_per_s"], rel=0.01)
    assert 0 <= details["first_shard_s"] <= details["seconds"]


def test_the_line_of_a_pool_names_the_sets_under_way_and_counts_the_shards_of_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    pool = PoolProgress("answers m", [("training oe", 2), ("test oe", 1), ("mmlu oe", 1)])
    assert pool.whole.line(0).startswith("  answers m (training oe, test oe, mmlu oe): 0/4 shards · ")
    for seconds, index in ((110, 0), (114, 1), (120, 0)):
        now[0] = seconds
        pool.add(index, 50, 0, {"tokens_read": 500, "tokens_generated": 0, "padded_positions": 0})
    assert pool.whole.line(20).startswith("  answers m (mmlu oe): 3/4 shards · 150 rows · 8 rows/s")
    first, second = pool.details(0), pool.details(1)
    assert (first["seconds"], first["rows_this_run"], first["first_shard_s"]) == (20, 100, 10)
    assert (second["rows_this_run"], second["first_shard_s"]) == (50, None)
    assert second["figures_this_run"]["tokens_read"] == 500
    now[0] = 125.0
    pool.add(2, 10, 0, {})
    assert pool.details(2)["seconds"] == 5, "its time begins where the set before it ended"
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("  answers m (training oe, test oe, mmlu oe): 4/4 shards · 160 rows")
