import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.packed import PackedRow
from raycalib.lm.window import TooLongError
from raycalib.prompts import QUERY_SUFFIX, Example, open_ended_context, query_text
from raycalib.tuning.batches import TuningRow, answer_row, collate, tuning_row

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
ROW = TuningRow(row_id="r", query_ids=(1, 2, 3, 4), kl_ids=(1, 2, 5, 6), n_target=1, label=1)
SHORT = TuningRow(row_id="s", query_ids=(1, 7), kl_ids=(1, 8), n_target=1, label=0)
EXAMPLE = Example(
    prompt="Answer shortly.\n\n", context=open_ended_context("What is the capital of France?"), target="Paris"
)
FREE = 10_000


def test_layout_written_out() -> None:
    batch = collate([ROW])
    assert (ROW.shared, ROW.length) == (2, 6)
    assert batch.input_ids.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 2, 3]]
    assert batch.rows == (PackedRow(n_trunk=4, n_shared=2, n_branch=2, reads=(3, 4)),)
    assert batch.read.tolist() == [3, 4]  # the query's end; the place of 5, which predicts 6
    assert (batch.query_at.tolist(), batch.kl_at.tolist(), batch.n_read) == ([0], [1], (2,))
    assert batch.labels.tolist() == [1]


def test_rows_follow_each_other_without_padding() -> None:
    batch = collate([SHORT, ROW], seeds=[11, 12])
    assert batch.input_ids.tolist() == [[1, 7, 8, 1, 2, 3, 4, 5, 6]]
    assert batch.position_ids.tolist() == [[0, 1, 1, 0, 1, 2, 3, 2, 3]]
    assert (batch.n_rows, batch.n_tokens) == (2, SHORT.length + ROW.length)
    assert batch.read.tolist() == [1, 0, 6, 7]
    assert (batch.query_at.tolist(), batch.kl_at.tolist(), batch.n_read) == ([0, 2], [1, 3], (2, 2))
    assert batch.seeds == (11, 12)


def test_scored_places_may_lie_in_the_shared_prefix() -> None:
    row = TuningRow(row_id="r", query_ids=(1, 2, 3, 4), kl_ids=(1, 2, 3, 6, 7), n_target=3, label=0)
    batch = collate([row])
    # 3, 6 and 7 are predicted at 2 (place 1), 3 (place 2) and 6 (first of the branch, place 4).
    assert row.shared == 3
    assert batch.input_ids.tolist() == [[1, 2, 3, 4, 6, 7]]
    assert batch.read[batch.kl_at].tolist() == [1, 2, 4]


def test_each_branch_keeps_a_token_of_its_own() -> None:
    same = TuningRow(row_id="r", query_ids=(1, 2, 3), kl_ids=(1, 2, 3), n_target=1, label=1)
    assert same.shared == 2
    assert collate([same]).input_ids.tolist() == [[1, 2, 3, 3]]
    prefix = TuningRow(row_id="r", query_ids=(1, 2, 3, 4), kl_ids=(1, 2), n_target=1, label=1)
    assert prefix.shared == 1
    assert collate([prefix]).input_ids.tolist() == [[1, 2, 3, 4, 2]]


def test_without_the_kl_branch_the_query_is_all() -> None:
    batch = collate([SHORT, ROW], with_kl=False)
    assert batch.input_ids.tolist() == [[1, 7, 1, 2, 3, 4]]
    assert batch.rows == (PackedRow(2, reads=(1,)), PackedRow(4, reads=(3,)))
    assert batch.kl_at.numel() == 0
    assert batch.read.tolist() == [1, 5]


def test_moving_a_batch_keeps_everything() -> None:
    batch = collate([SHORT, ROW], seeds=[1, 2])
    moved = batch.to(torch.device("cpu"))
    for name, value in vars(batch).items():
        same = torch.equal(getattr(moved, name), value) if isinstance(value, torch.Tensor) else None
        assert same or getattr(moved, name) == value


def test_a_row_holds_both_texts_without_the_header(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    row, cut = tuning_row(tokenizer, "r", EXAMPLE, "Rome", 0, FREE)
    asked = "Question: What is the capital of France?\nAnswer:"
    assert cut == 0
    assert list(row.query_ids) == tokenizer(query_text(asked, "Rome"))["input_ids"]
    assert list(row.kl_ids) == tokenizer(f"{asked} Paris")["input_ids"]
    assert row.n_target == len(row.kl_ids) - len(tokenizer(asked)["input_ids"])
    assert tokenizer.decode(row.kl_ids[-row.n_target :]) == "Paris"
    assert row.shared == len(tokenizer(asked)["input_ids"])
    assert (row.row_id, row.label) == ("r", 0)


def test_a_row_holds_both_texts_with_the_header_where_it_is_shown(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    plain, _ = tuning_row(tokenizer, "r", EXAMPLE, "Rome", 0, FREE)
    row, cut = tuning_row(tokenizer, "r", EXAMPLE, "Rome", 0, FREE, with_header=True)
    asked = "Answer shortly.\n\nQuestion: What is the capital of France?\nAnswer:"
    assert cut == 0
    assert list(row.query_ids) == tokenizer(query_text(asked, "Rome"))["input_ids"]
    assert list(row.kl_ids) == tokenizer(f"{asked} Paris")["input_ids"]
    assert (row.n_target, row.shared) == (plain.n_target, len(tokenizer(asked)["input_ids"]))
    answered, _ = answer_row(tokenizer, "r", EXAMPLE, "Rome", 0, FREE, with_header=True)
    assert list(answered.query_ids) == tokenizer(f"{asked} Rome")["input_ids"]


@pytest.mark.parametrize("answer", ["Rome", "Paris"])
def test_the_header_is_cut_before_the_context(tiny_llama: TinyLlama, answer: str) -> None:
    _, tokenizer = tiny_llama
    plain, _ = tuning_row(tokenizer, "r", EXAMPLE, answer, 0, FREE)
    whole, _ = tuning_row(tokenizer, "r", EXAMPLE, answer, 0, FREE, with_header=True)
    n_header = len(whole.query_ids) - len(plain.query_ids)
    for further in (0, 8):
        most = len(plain.query_ids) - further
        row, cut = tuning_row(tokenizer, "r", EXAMPLE, answer, 0, most, with_header=True)
        assert cut == n_header + further
        assert row.query_ids[1:] == whole.query_ids[1 + cut :]
        assert row.kl_ids[1:] == whole.kl_ids[1 + cut :]
        text = tokenizer.decode(row.query_ids)
        assert ("shortly" in text, "What is the capital" in text) == (False, further == 0)
        assert (row.n_target, row.query_ids[0], row.kl_ids[0]) == (plain.n_target, *[tokenizer.bos_token_id] * 2)


def test_a_right_answer_is_part_of_the_shared_prefix(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    row, _ = tuning_row(tokenizer, "r", EXAMPLE, "Paris", 1, FREE)
    assert row.shared == len(row.kl_ids) - 1
    assert row.length == len(row.query_ids) + 1
    wrong, _ = tuning_row(tokenizer, "r", EXAMPLE, "Rome", 0, FREE)
    assert wrong.shared == len(wrong.kl_ids) - wrong.n_target


def long_example() -> Example:
    words = " ".join(f"{number} and" for number in range(40))
    return Example(context=open_ended_context(f"What is {words} the capital of France?"), target="Paris")


@pytest.mark.parametrize("answer", ["Rome", "Paris", ""])
def test_cutting_takes_from_the_left_of_the_context_alone(tiny_llama: TinyLlama, answer: str) -> None:
    _, tokenizer = tiny_llama
    whole, _ = tuning_row(tokenizer, "r", long_example(), answer, 1, FREE)
    max_tokens = len(whole.query_ids) - 50
    row, cut = tuning_row(tokenizer, "r", long_example(), answer, 1, max_tokens)
    assert cut == 50
    assert len(row.query_ids) == max_tokens
    assert row.query_ids[0] == row.kl_ids[0] == tokenizer.bos_token_id
    assert row.query_ids[1:] == whole.query_ids[51:]
    assert row.kl_ids[1:] == whole.kl_ids[51:]
    assert row.n_target == whole.n_target
    assert whole.shared - row.shared == 50


def test_a_row_that_just_fits_is_not_cut(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    whole, _ = tuning_row(tokenizer, "r", long_example(), "Rome", 1, FREE)
    assert tuning_row(tokenizer, "r", long_example(), "Rome", 1, len(whole.query_ids)) == (whole, 0)
    assert tuning_row(tokenizer, "r", long_example(), "Rome", 1, len(whole.query_ids) - 1)[1] == 1


def test_the_query_and_the_target_are_never_cut(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    whole, _ = tuning_row(tokenizer, "r", long_example(), "Rome", 1, FREE)
    n_context = len(tokenizer(long_example().context)["input_ids"]) - 1
    row, cut = tuning_row(tokenizer, "r", long_example(), "Rome", 1, len(whole.query_ids) - n_context)
    assert cut == n_context
    assert row.query_ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(row.query_ids[1:]).endswith(f"Rome{QUERY_SUFFIX}")
    assert tokenizer.decode(row.kl_ids[-row.n_target :]) == "Paris"
    assert tokenizer.decode(row.kl_ids[1:]).lstrip("\n").startswith("Answer:")
    assert row.shared >= 1
    with pytest.raises(TooLongError, match="what follows the question takes"):  # the line break before it may be cut
        tuning_row(tokenizer, "r", long_example(), "Rome", 1, len(whole.query_ids) - n_context - 2)


def test_the_longer_of_the_two_texts_decides_the_cut(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    example = Example(context=long_example().context, target="Paris and " * 60)
    whole, _ = tuning_row(tokenizer, "r", example, "Rome", 1, FREE)
    assert len(whole.kl_ids) > len(whole.query_ids)
    row, cut = tuning_row(tokenizer, "r", example, "Rome", 1, len(whole.kl_ids) - 7)
    assert cut == 7
    assert len(row.kl_ids) == len(whole.kl_ids) - 7
