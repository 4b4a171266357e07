"""The formula against what PyTorch really keeps and holds: the tuning loss's own pass over small models, on a CPU."""

from typing import Any, NamedTuple
import weakref

from deepspeed.runtime.zero.linear import zero3_linear_wrap
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedConfig, Qwen3Config

from raycalib.lm.adapters import attach_lora
from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS, ATTENTION_TARGETS, LoraSettings
from raycalib.lm.model_shape import model_shape
from raycalib.tuning.activations import FLOAT32, Activations, PassSizes
from raycalib.tuning.batches import TuningBatch, TuningRow, collate
from raycalib.tuning.objective import CalibrationObjective

KEPT_LOGITS = 5
SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
MODELS: dict[str, PreTrainedConfig] = {
    "heads": LlamaConfig(**SIZES, vocab_size=512, num_key_value_heads=4),
    "grouped": LlamaConfig(**SIZES, vocab_size=512, num_key_value_heads=2),
    "words": LlamaConfig(**SIZES, vocab_size=8192, num_key_value_heads=2),
    "qk_norm": Qwen3Config(**SIZES, vocab_size=512, num_key_value_heads=2, head_dim=32),
}
ADAPTERS = {
    "attention": LoraSettings(targets=ATTENTION_TARGETS),
    "attention, no dropout": LoraSettings(targets=ATTENTION_TARGETS, dropout=0.0),
    "all": LoraSettings(targets=ALL_LINEAR_TARGETS),
    "all, no dropout": LoraSettings(targets=ALL_LINEAR_TARGETS, dropout=0.0),
}
pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
models = pytest.mark.parametrize("model", MODELS)
adapters = pytest.mark.parametrize("adapter", ADAPTERS)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])


class Pass(NamedTuple):
    """A tuning loss, a batch for it, and the formula for both."""

    objective: CalibrationObjective
    batch: TuningBatch
    base_states: Tensor
    activations: Activations
    sizes: PassSizes

    @property
    def given(self) -> set[torch.UntypedStorage]:
        """What is there before the pass."""
        tensors = [*self.objective.parameters(), *self.objective.buffers(), self.base_states, self.batch.input_ids]
        return {tensor.untyped_storage() for tensor in tensors}


def make_pass(model: str, adapter: str, dtype: torch.dtype, checkpointing: bool = False) -> Pass:
    config, lora = MODELS[model], ADAPTERS[adapter]
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(config).to(dtype)
    objective = CalibrationObjective(attach_lora(base, lora, 0).get_base_model(), (5, 6), 1.0, "jsd")
    if checkpointing:
        base.gradient_checkpointing_enable({"use_reentrant": False})
    batch = collate(rows(), with_kl=True, seeds=range(4))
    states = objective.eval()(batch, wanted="kl_states").detach()
    objective.train()
    sizes = PassSizes(
        tokens=batch.n_tokens,
        read=len(batch.read),
        compared=len(batch.kl_at),
        branch_keys=sum(row.n_shared + row.n_branch for row in batch.rows),
    )
    shape = model_shape(config.to_dict(), model)
    return Pass(objective, batch, states, Activations(shape=shape, lora=lora, itemsize=dtype.itemsize), sizes)


def rows() -> list[TuningRow]:
    """Four rows of different lengths, 80 tokens and more."""
    draw = torch.Generator().manual_seed(1)
    found = []
    for index in range(4):
        shared = torch.randint(10, 500, (50 + 3 * index,), generator=draw).tolist()
        query, answer = (torch.randint(10, 500, (n,), generator=draw).tolist() for n in (29, 5))
        found.append(
            TuningRow(
                row_id=str(index),
                query_ids=(*shared, 7, *query),
                kl_ids=(*shared, 8, *answer),
                n_target=6,
                label=index % 2,
            )
        )
    return found


def kept(case: Pass) -> int:
    """Bytes of the storages that autograd keeps of a pass."""
    given, found = case.given, {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage not in given:
            found[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = case.objective(case.batch, case.base_states)
    assert loss.total.requires_grad
    return sum(storage.nbytes() for storage in found.values())


class Alive(TorchDispatchMode):
    """Counts the bytes of all storages that operations make, as long as they are alive."""

    def __init__(self, given: set[torch.UntypedStorage]) -> None:
        super().__init__()
        self.seen = weakref.WeakSet(given)
        self.now = self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.untyped_storage() not in self.seen:
                storage = tensor.untyped_storage()
                self.seen.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    def _gone(self, n_bytes: int) -> None:
        self.now -= n_bytes


def most_alive(case: Pass) -> int:
    """Most bytes alive at once in a pass and its way back."""
    with Alive(case.given) as alive:
        case.objective(case.batch, case.base_states).total.backward()
    return alive.most


def kept_logits(case: Pass) -> int:
    return KEPT_LOGITS * FLOAT32 * case.activations.shape.vocab_size * case.sizes.compared


@models
@adapters
@dtypes
def test_what_is_kept_is_known_to_two_percent(model: str, adapter: str, dtype: torch.dtype) -> None:
    case = make_pass(model, adapter, dtype)
    planned = case.activations.kept(case.sizes, checkpointing=False) + kept_logits(case)
    assert planned == pytest.approx(kept(case), rel=0.02)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["all kept", "checkpointing"])
@pytest.mark.parametrize("model", ["grouped", "words"])
@adapters
@dtypes
def test_the_worst_moment_is_known_to_a_sixth(
    model: str, adapter: str, dtype: torch.dtype, checkpointing: bool
) -> None:
    case = make_pass(model, adapter, dtype, checkpointing)
    planned = case.activations.kept(case.sizes, checkpointing) + case.activations.worst_moment(
        case.sizes, checkpointing
    )
    assert 0.95 < planned / most_alive(case) < 1.17


@pytest.mark.parametrize("checkpointing", [False, True], ids=["all kept", "checkpointing"])
@adapters
@dtypes
def test_linear_modules_under_zero_3_keep_their_inputs(
    adapter: str, dtype: torch.dtype, checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_pass("grouped", adapter, dtype, checkpointing)
    monkeypatch.setattr(nn.functional, "linear", zero3_linear_wrap)
    plain = case.activations
    under = Activations(shape=plain.shape, lora=plain.lora, itemsize=plain.itemsize, keeps_inputs=True)
    most = under.kept(case.sizes, checkpointing) + under.worst_moment(case.sizes, checkpointing)
    assert 0.95 < most / most_alive(case) < 1.2
    if not checkpointing:
        assert under.kept(case.sizes, False) + kept_logits(case) == pytest.approx(kept(case), rel=0.02)


@models
@adapters
@dtypes
def test_a_pass_without_gradients_is_known_to_five_percent(model: str, adapter: str, dtype: torch.dtype) -> None:
    case = make_pass(model, adapter, dtype)
    case.objective.eval()
    with torch.no_grad(), Alive(case.given) as alive:
        case.objective(case.batch, wanted="kl_states")
    assert case.activations.reading(case.batch.n_tokens) == pytest.approx(alive.most, rel=0.05)


def test_a_layer_by_hand() -> None:
    """Llama 2 7B in bfloat16 with the paper's adapter: bytes per token of a layer in the middle."""
    config = LlamaConfig(
        hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, vocab_size=32000
    )
    activations = Activations(shape=model_shape(config.to_dict(), "7b"), lora=LoraSettings(), itemsize=2)
    one = PassSizes(tokens=1, read=1, compared=0, branch_keys=0)
    norms = 2 * (4 * 4096 + 4)
    attention = 2 * 4 * 4096 + 4 * 32
    mlp = 2 * 3 * 11008
    adapters = 2 * (4 * 4096 + 4 * 4096 + 4 * 8)
    assert activations.layer(one) == norms + attention + mlp + adapters == 197_320
