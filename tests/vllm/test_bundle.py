"""A bundle's adapter in vLLM: the LoRA loader takes it as it lies, and says of answers what raycalib says.

``RAYCALIB_BUNDLE`` names a bundle of one's own (``runs/demo/bundles/llama2-7b-oe``); else one is made of the embedded
model, with an adapter that was not tuned.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("vllm", reason="needs vLLM: make test-vllm")
pytest.importorskip("peft", reason="needs PEFT: make test-vllm")

from raycalib.bundles.base import base_record, base_source
from raycalib.bundles.bundle import open_bundle
from raycalib.bundles.calibrated_model import CalibratedModel
from raycalib.bundles.record import BundleRecord, CalibrationRecord, MethodRecord, TrainedOn
from raycalib.bundles.save import MethodFiles, save_bundle
from raycalib.lm.adapters import attach_lora, save_adapter
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.names import EMBEDDED_ROOT, find_model
from raycalib.prompts import QUERY_VERSION, query_text
from raycalib.sources.facts.questions import fact_questions
from raycalib.storage import Location
from raycalib.tuning.temperature import Temperature

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(1200)]
N_ANSWERS, CLOSE = 40, 1e-3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bundle of the embedded model."""
    if given := os.environ.get("RAYCALIB_BUNDLE"):
        return str(Path(given).absolute())
    folder, source = tmp_path_factory.mktemp("bundle"), find_model("llama2:7b", EMBEDDED_ROOT)
    adapted = attach_lora(load_causal_lm(source, "float32"), LoraSettings(rank=8, dropout=0.0), 0)
    with torch.no_grad():
        torch.manual_seed(0)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    save_adapter(adapted, Location(str(folder / "adapter")))
    none = np.zeros(0)
    record = BundleRecord(
        key="0123456789abcdef",
        base=base_record(source),
        style="oe",
        query_version=QUERY_VERSION,
        label_tokens=query_label_tokens(load_tokenizer(source)),
        dtype="float32",
        max_new_tokens=16,
        max_tokens=512,
        default="lora_prompt",
        methods={
            "lora_prompt": MethodRecord(
                calibration=CalibrationRecord(kind="temperature", reason="", n=0, nll_before=None, nll_after=None)
            )
        },
        trained_on=TrainedOn(source="facts", grader="exact", k_shot=False, rows={}),
    )
    files = MethodFiles(
        adapter=Location(str(folder / "adapter")),
        temperature=Temperature(log_temperature=0.0, n=0, nll_before=float("nan"), nll_after=float("nan")),
        log_odds=none,
        labels=none.astype(np.int64),
    )
    save_bundle(Location(str(folder / "bundle")), record, {"lora_prompt": files})
    return str(folder / "bundle")


def test_vllm_loads_the_adapter_and_is_as_sure(bundle: str) -> None:
    import vllm
    from vllm.lora.request import LoRARequest

    opened = open_bundle(bundle)
    rows = fact_questions("oe", "test", 137, N_ANSWERS)
    questions = [row["context"].removeprefix("Question: ") for row in rows]
    answers = [row["target"] for row in rows]
    temperature = opened.temperature("lora_prompt")
    assert temperature is not None
    ours = [
        each.p_correct for each in CalibratedModel(opened, device="cpu", dtype="float32").confidence(questions, answers)
    ]
    source, no_yes = base_source(opened.record.base), list(opened.record.label_tokens)
    tokenizer = load_tokenizer(source)
    texts = [
        query_text(f"Question: {question}\nAnswer:", answer)
        for question, answer in zip(questions, answers, strict=True)
    ]
    llm = vllm.LLM(
        model=source.path,
        dtype="float32",
        max_model_len=512,
        enforce_eager=True,
        enable_lora=True,
        max_lora_rank=64,
        generation_config="vllm",
        seed=0,
    )
    asked = vllm.SamplingParams(temperature=0.0, max_tokens=1, logprob_token_ids=no_yes)
    prompts = [{"prompt_token_ids": list(tokenizer(text)["input_ids"])} for text in texts]
    done = llm.generate(prompts, asked, lora_request=LoRARequest("calibrated", 1, bundle), use_tqdm=False)
    plain = llm.generate(prompts, asked, use_tqdm=False)

    def confidences(outputs: list) -> list[float]:  # type: ignore[type-arg]
        found = [output.outputs[0].logprobs[0] for output in outputs]
        margins = np.array([each[no_yes[1]].logprob - each[no_yes[0]].logprob for each in found])
        return temperature.confidence(margins).tolist()

    theirs = confidences(done)
    print(f"largest difference {np.abs(np.array(theirs) - np.array(ours, dtype=float)).max():.2e} of {len(ours)}")
    assert theirs == pytest.approx(ours, abs=CLOSE)
    assert confidences(plain) != pytest.approx(ours, abs=CLOSE), "the adapter changes something"
