from collections import Counter
from collections.abc import Callable
import copy
from dataclasses import replace
from itertools import groupby, pairwise
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import DataError, LossNotFiniteError, RaycalibError
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.query_scoring import QueryScorer
from raycalib.prompts import Example, open_ended_context
from raycalib.storage import Location
from raycalib.tuning import trainer
from raycalib.tuning.batches import TuningRow, tuning_row
from raycalib.tuning.checkpoint import TrainingState, complete_checkpoints, load_newest
from raycalib.tuning.engines import trainable
from raycalib.tuning.figures import TuningProgress
from raycalib.tuning.hooks import Hooks, TuningData
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.temperature import fit_temperature
from raycalib.tuning.trainer import Tuner
from raycalib.tuning.trunk import Trunk
from raycalib.tuning.tuned_weights import set_weights
from raycalib.tuning.world import World

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
Observe = Callable[[TuningProgress], None]
PLACES = ("France", "Italy", "Spain", "Peru", "Japan", "Cuba", "x", "a far country")
SETTINGS = TuningSettings(
    steps=7,
    global_batch_size=5,
    micro_batch_size=2,
    lr=2e-3,
    warmup_steps=2,
    weight_decay=0.01,
    eval_every=3,
    checkpoint_every=2,
    lora=LoraSettings(rank=2, dropout=0.2),
)


class CutOffError(Exception):
    """The run is ended from outside."""


def question(place: str) -> str:
    return open_ended_context(f"What is the capital of {place}?")


def toy_rows(tokenizer: PreTrainedTokenizerFast) -> list[TuningRow]:
    """What makes an answer right can be read off it: Paris is, Rome is not."""
    rows = []
    for place in PLACES:
        example = Example(context=question(place), target="Lima")
        for answer, label in (("Paris", 1), ("Rome", 0)):
            rows.append(tuning_row(tokenizer, f"{place}/{answer}", example, answer, label, 512)[0])
    return rows


def make_tuner(
    tiny: TinyLlama,
    place: Location,
    settings: TuningSettings = SETTINGS,
    *,
    observe: Observe = lambda figures: None,
    hooks: Hooks | None = None,
    model: LlamaForCausalLM | None = None,
    key: str = "key",
    trunk: Trunk | None = None,
) -> Tuner:
    rows = toy_rows(tiny[1])
    return Tuner(
        copy.deepcopy(tiny[0]) if model is None else model,
        tiny[1],
        TuningData(train=rows[:12], val=rows[12:]),
        settings,
        seed=1,
        checkpoints=place,
        key=key,
        world=World(),
        hooks=hooks or Hooks(observe=observe),
        trunk=trunk,
    )


def check_same_weights(left: TrainingState, right: TrainingState) -> None:
    assert left.tensors.keys() == right.tensors.keys()
    for name in left.tensors:
        torch.testing.assert_close(left.tensors[name], right.tensors[name], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def uninterrupted(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> TrainingState:
    return make_tuner(tiny_llama, Location(str(tmp_path_factory.mktemp("whole")))).run()


@pytest.mark.parametrize("cut_at", [3, 6])
def test_a_resumed_run_ends_as_if_never_stopped(
    tiny_llama: TinyLlama, tmp_path: Path, uninterrupted: TrainingState, cut_at: int
) -> None:
    place = Location(str(tmp_path))

    def cut_off(figures: TuningProgress) -> None:
        if figures.step == cut_at:
            raise CutOffError

    with pytest.raises(CutOffError):
        make_tuner(tiny_llama, place, observe=cut_off).run()
    newest = load_newest(place, "key")
    assert newest is not None
    assert newest.step == (cut_at - 1) // 2 * 2
    torch.rand(5)  # what happens between the two runs draws from the same generator
    evaluated: list[int] = []
    state = make_tuner(tiny_llama, place, observe=lambda figures: evaluated.append(figures.step)).run()
    assert evaluated == [step for step in (3, 6, 7) if step > newest.step]
    check_same_weights(state, uninterrupted)
    assert (state.step, state.best_step) == (uninterrupted.step, uninterrupted.best_step)
    assert state.best_nll == pytest.approx(uninterrupted.best_nll, abs=1e-6)
    for ours, theirs in zip(state.history, uninterrupted.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_dropout_is_at_work_in_these_runs(tiny_llama: TinyLlama, tmp_path: Path, uninterrupted: TrainingState) -> None:
    settings = replace(SETTINGS, lora=LoraSettings(rank=2, dropout=0.0))
    without = make_tuner(tiny_llama, Location(str(tmp_path)), settings).run()
    moved = [name for name in uninterrupted.tensors if name.startswith("weight/")]
    assert any(not torch.allclose(without.tensors[name], uninterrupted.tensors[name], atol=1e-5) for name in moved)


def test_each_pass_of_states_steps_and_evaluations_is_a_sign_of_life(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    seen = list[str]()
    hooks = Hooks(
        alive=lambda: seen.append("pass"),
        show=lambda line: seen.append("states"),
        observe=lambda figures: seen.append("evaluated"),
        observe_step=lambda figures: seen.append("step"),
    )
    make_tuner(tiny_llama, Location(str(tmp_path)), replace(SETTINGS, log_every=1), hooks=hooks).run()
    told = [(what, len(list(of_it))) for what, of_it in groupby(seen)]
    after = [*["step"] * 3, "evaluated"]
    assert [what for what, _ in told[1::2]] == ["states", *after, *after, "step", "evaluated"]
    assert {what for what, _ in told[::2]} == {"pass"}, "before each of them there are passes"
    assert all(n >= 3 for (_, n), (then, _) in pairwise(told) if then == "step"), "five rows, two in a pass"


def test_a_finished_run_does_nothing_more(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    place = Location(str(tmp_path))
    first = make_tuner(tiny_llama, place).run()
    observed: list[TuningProgress] = []
    again = make_tuner(tiny_llama, place, observe=observed.append).run()
    assert observed == []
    check_same_weights(again, first)


def test_a_checkpoint_of_another_configuration_is_not_taken(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    place = Location(str(tmp_path))
    make_tuner(tiny_llama, place, replace(SETTINGS, steps=4), key="other").run()
    assert make_tuner(tiny_llama, place, key="key").state is None


def test_checkpoints_and_evaluations_come_when_they_should(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    place = Location(str(tmp_path))
    observed: list[TuningProgress] = []
    state = make_tuner(tiny_llama, place, observe=observed.append).run()
    assert [figures.step for figures in observed] == [3, 6, 7]
    assert [record["step"] for record in state.history] == [3, 6, 7]
    assert [step for step, _ in complete_checkpoints(place)] == [6, 7]
    assert state.best_step in (3, 6, 7)
    assert state.best_nll == min(figures.val_nll for figures in observed)


def test_micro_batches_do_not_matter(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=3)  # with dropout, which belongs to the rows
    states = [
        make_tuner(tiny_llama, Location(str(tmp_path / str(size))), replace(settings, micro_batch_size=size)).run()
        for size in (1, 2, 5)
    ]
    for state in states[1:]:
        for name in states[0].tensors:
            # AdamW divides by the root of the squares, so float32 noise in small gradients grows to 1e-3 of a step.
            torch.testing.assert_close(state.tensors[name], states[0].tensors[name], rtol=1e-3, atol=1e-5)


def test_a_notice_that_a_worker_goes_writes_one_checkpoint_at_once(
    tiny_llama: TinyLlama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(trainer, "save_checkpoint", lambda place, state, key: written.append(state.step))
    monkeypatch.setattr(trainer, "NOTICE_EVERY_S", 0.0)
    asked, said = iter([False, False, True, True, True, False, False]), list[str]()
    hooks = Hooks(checkpoint_now=lambda: next(asked), say=said.append)
    make_tuner(tiny_llama, Location(str(tmp_path)), replace(SETTINGS, checkpoint_every=7), hooks=hooks).run()
    assert written == [3, 7]  # at the notice, and at the end
    assert said[-1] == "a worker is about to be taken away: checkpoint written at step 3"


def test_layers_computed_again_give_the_same_run(
    tiny_llama: TinyLlama, tmp_path: Path, uninterrupted: TrainingState
) -> None:
    """With dropout, and with the last layer narrowed to what is read."""
    tuner = make_tuner(tiny_llama, Location(str(tmp_path)), replace(SETTINGS, gradient_checkpointing=True))
    passes = Counter[str]()
    for name, module in tuner.objective.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: passes.update([name]))
    state = tuner.run()
    assert passes["causal_lm.model.layers.0.mlp"] > 1.5 * passes["causal_lm.model.norm"]
    for name, tensor in uninterrupted.tensors.items():
        torch.testing.assert_close(state.tensors[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def learned(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuner, TrainingState]:
    """A run long enough to learn the toy rows."""
    settings = TuningSettings(
        steps=30,
        global_batch_size=8,
        micro_batch_size=8,
        lr=1e-2,
        kl_decay=0.1,
        eval_every=5,
        checkpoint_every=30,
        lora=LoraSettings(rank=4, dropout=0.0),
    )
    tuner = make_tuner(tiny_llama, Location(str(tmp_path_factory.mktemp("learned"))), settings)
    return tuner, tuner.run()


def test_the_loss_goes_down_on_a_learnable_set(learned: tuple[Tuner, TrainingState]) -> None:
    _, state = learned
    first, last = state.history[0], state.history[-1]
    assert last["query_loss"] < 0.5 * first["query_loss"]
    assert state.best_nll < 0.5 * math.log(2)
    assert last["val_auroc"] == 1.0
    assert last["divergence"] > 0


def test_the_best_weights_are_put_in_place(learned: tuple[Tuner, TrainingState], tiny_llama: TinyLlama) -> None:
    tuner, state = learned
    set_weights(tuner.objective, state.tensors, "best")
    margin = tuner.validation.margins()
    labels = np.array([row.label for row in tuner.data.val])
    assert fit_temperature(margin, labels).nll_after == pytest.approx(state.best_nll, rel=1e-4)
    texts = [f"{question(place)}\nAnswer:" for place in PLACES[6:] for _ in range(2)]
    scores = QueryScorer(tuner.peft_model.get_base_model(), tiny_llama[1]).score(texts, ["Paris", "Rome"] * 2)
    np.testing.assert_allclose(scores.logits[:, 1] - scores.logits[:, 0], margin, atol=1e-4)


def test_a_step_that_is_worse_does_not_become_the_best(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=12, lr=1e-2, warmup_steps=0, lora=LoraSettings(rank=2, dropout=0.0))
    tuner = make_tuner(tiny_llama, Location(str(tmp_path)), settings)
    turned = [replace(row, label=1 - row.label) for row in tuner.data.val]  # the more is learned, the worse
    tuner.validation.rows = turned
    state = tuner.run()
    nlls = {record["step"]: record["val_nll"] for record in state.history}
    assert nlls[12] > nlls[3]
    assert state.best_step == min(nlls, key=nlls.__getitem__) < 12
    set_weights(tuner.objective, state.tensors, "best")
    margin, labels = tuner.validation.margins(), np.array([row.label for row in turned])
    assert fit_temperature(margin, labels).nll_after == pytest.approx(state.best_nll, rel=1e-4)


def test_only_the_adapter_moves(learned: tuple[Tuner, TrainingState], tiny_llama: TinyLlama) -> None:
    tuner, _ = learned
    plain = tiny_llama[0].state_dict()
    for name, tensor in tuner.peft_model.get_base_model().state_dict().items():
        if "lora_" not in name:
            assert torch.equal(tensor, plain[name.replace(".base_layer.", ".")])
    assert all("lora_" in name for name in trainable(tuner.objective))


def test_a_loss_that_becomes_infinite_by_training_names_step_and_rows(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    """The base model's logits were finite when they were looked at; else the rows are left out: test_not_finite."""
    model = copy.deepcopy(tiny_llama[0])
    settings = replace(SETTINGS, global_batch_size=2, micro_batch_size=1, kl_decay=0.0)
    tuner = make_tuner(tiny_llama, Location(str(tmp_path)), settings, model=model)
    with torch.no_grad():
        model.model.embed_tokens.weight[only_in_france(tiny_llama[1])] = math.nan
    rows = [[tuner.data.train[index].row_id for index in tuner.order.step_rows(step)] for step in range(7)]
    broken = next(step for step in range(7) if any(name.startswith("France") for name in rows[step]))
    with pytest.raises(LossNotFiniteError) as raised:
        tuner.run()
    message = str(raised.value)
    assert f"loss or gradient of step {broken + 1} is not finite" in message
    assert f"(rows {', '.join(rows[broken])})" in message
    assert str(tmp_path) in message
    assert isinstance(raised.value, RaycalibError)
    assert all(step <= broken for step, _ in complete_checkpoints(Location(str(tmp_path))))


def only_in_france(tokenizer: PreTrainedTokenizerFast) -> int:
    """A token that only the questions about France hold."""
    of_france = set(tokenizer(question("France"))["input_ids"])
    others = {token for row in toy_rows(tokenizer) if not row.row_id.startswith("France") for token in row.query_ids}
    (token,) = of_france - others
    return token


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0)])
def test_a_missing_split_is_refused(tiny_llama: TinyLlama, n: int, m: int) -> None:
    rows = toy_rows(tiny_llama[1])
    with pytest.raises(DataError, match=f"tuning: {n} training and {m} val_select rows with a label; needs both"):
        TuningData(train=rows[:n], val=rows[:m])


def test_one_class_in_validation_has_no_auroc(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    tuner = make_tuner(tiny_llama, Location(str(tmp_path)), replace(SETTINGS, steps=1))
    tuner.validation.rows = [row for row in tuner.data.val if row.label]
    state = tuner.run()
    assert state.history[0]["val_auroc"] is None
    assert state.history[0]["val_nll"] is not None


def test_without_a_divergence_weight_no_reference_is_computed(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    tuner = make_tuner(tiny_llama, Location(str(tmp_path)), replace(SETTINGS, steps=1, kl_decay=0.0))
    assert tuner.reference.missing() == [0]
    assert tuner.run().history[0]["divergence"] == 0
