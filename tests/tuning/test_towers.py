"""A model with a tower for images beside its decoder: the decoder alone is tuned."""

from pathlib import Path

from peft import PeftModel
import pytest
import torch

from raycalib.errors import ModelError
from raycalib.lm.adapters import attach_lora, load_adapter, save_adapter
from raycalib.lm.architecture import check_targets
from raycalib.lm.lora_settings import LoraSettings
from raycalib.storage import Location
from raycalib.tuning.batches import TuningRow, collate
from raycalib.tuning.engines import MicroBatch, TorchEngine, trainable
from raycalib.tuning.layout_check import check_layout, check_tuned_logits
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.settings import TuningSettings
from tests.lm.architectures import tiny_gemma3_with_images

ROW = TuningRow(row_id="r", query_ids=tuple(range(5, 17)), kl_ids=(*range(5, 13), 20, 21), n_target=2, label=1)
LORA = LoraSettings(rank=2, dropout=0.0)
CPU = torch.device("cpu")


def step(engine: TorchEngine) -> None:
    engine.step([MicroBatch(collate([ROW], with_kl=False), None)], 1, 1e-2)


def test_the_decoder_alone_is_adapted_and_all_of_it_is_tuned(tmp_path: Path) -> None:
    """The tower has layers of the same names; its adapters would get no gradient."""
    model = tiny_gemma3_with_images(64)
    adapted = attach_lora(model, LORA, 0)
    objective = CalibrationObjective(model, (5, 6), 0.0, "jsd")
    names = list(trainable(objective))
    assert len(names) == 2 * 2 * 2
    assert all(".language_model." in name for name in names)
    engine = TorchEngine(objective, TuningSettings(lora=LORA))
    check_layout(engine, objective, ROW, CPU)
    check_tuned_logits(engine, objective, ROW, CPU)
    for _ in range(2):
        step(engine)
    ids = torch.tensor([ROW.query_ids])
    with torch.no_grad():
        tuned = model.eval()(input_ids=ids).logits
        plain = tiny_gemma3_with_images(64)(input_ids=ids).logits
    assert not torch.allclose(tuned, plain, atol=1e-4)
    save_adapter(adapted, Location(str(tmp_path)))
    for again in (
        PeftModel.from_pretrained(tiny_gemma3_with_images(64), str(tmp_path)),
        load_adapter(tiny_gemma3_with_images(64), Location(str(tmp_path)), "oe"),
    ):
        with torch.no_grad():
            torch.testing.assert_close(again.eval()(input_ids=ids).logits, tuned)


def test_layers_that_the_tower_alone_has_are_no_targets() -> None:
    with pytest.raises(ModelError, match=r"fc1 are not all in the model, a Gemma3ForConditionalGeneration"):
        check_targets(tiny_gemma3_with_images(64), ("q_proj", "fc1"))
    check_targets(tiny_gemma3_with_images(64), ("q_proj", "lm_head"))


def test_lost_gradients_are_laid_to_bitsandbytes_only_where_it_quantizes() -> None:
    model = tiny_gemma3_with_images(64)
    attach_lora(model, LORA, 0)
    objective = CalibrationObjective(model, (5, 6), 0.0, "jsd")
    unused = torch.nn.Parameter(torch.zeros(1))
    objective.register_parameter("unused", unused)
    with pytest.raises(ModelError, match=r"no gradient reaches 1 of 9 tuned tensors .*such as unused; name other"):
        step(TorchEngine(objective, TuningSettings(lora=LORA)))
