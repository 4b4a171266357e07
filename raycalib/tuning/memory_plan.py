"""What tuning needs of a GPU's memory, of its host's and of the disk, by arithmetic alone.

Nothing is loaded and no GPU is asked. What cannot be derived is assumed, in the constants below.
"""

from dataclasses import dataclass, replace

from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.model_shape import ModelShape
from raycalib.tuning.activations import FLOAT32, Activations, PassSizes

GIB = 2**30

CUDA_BYTES = round(0.75 * GIB)
"""Assumed: the CUDA context, loaded kernels and cuBLAS's workspace."""
NCCL_BYTES = round(0.25 * GIB)
"""Assumed: buffers of the communication between GPUs."""
PROCESS_BYTES = GIB
"""Assumed: Python, PyTorch and Ray of a worker on a CPU."""
RESERVE = 0.1
"""Assumed: share of a pass's memory that the allocator holds and cannot give out."""

ZERO3_LIVE, ZERO3_AHEAD = 1_000_000_000, 50_000_000
"""Parameters that ZeRO-3 may keep whole at a time, and those that it fetches ahead."""

BLOCK_4BIT = 64
"""Weights that share a float32 scale in four bits."""
READING_TOKENS = {True: 8192, False: 2048}
"""Tokens of a pass without gradients, for the reference and for validation, on a GPU and on a CPU."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """What memory depends on.

    Attributes:
        shape: of the model.
        lora: of its adapter.
        itemsize: bytes of a number of the base model: 2 for bfloat16 and float16, 4 for float32.
        base_bits: of a weight in the layers' linear modules: 16 (as ``itemsize`` says), 8 or 4.
        micro_batch_size: rows per pass of one worker.
        tokens_per_row: of a row in a pass.
        answer_tokens: of a row's true answer.
        rows: of the data.
        compares: whether the loss has the divergence from the base model.
        reference_itemsize: bytes of a number of the stored reference states.
        workers: of the training run.
        zero_stage: DeepSpeed's.
        gradient_checkpointing: layers are computed again on the way back.
        offload_optimizer: AdamW's state lies in the host's memory.
        offload_parameters: the model lies in the host's memory.
        on_gpu: workers have a GPU each.
    """

    shape: ModelShape
    lora: LoraSettings
    itemsize: int = 2
    base_bits: int = 16
    micro_batch_size: int = 4
    tokens_per_row: int = 300
    answer_tokens: int = 12
    rows: int = 20_000
    compares: bool = True
    reference_itemsize: int = 2
    workers: int = 1
    zero_stage: int = 0
    gradient_checkpointing: bool = False
    offload_optimizer: bool = False
    offload_parameters: bool = False
    on_gpu: bool = True

    @property
    def n_adapter(self) -> int:
        """Parameters of the adapter."""
        return self.shape.n_lora_parameters(self.lora.rank, self.lora.targets)

    @property
    def tokens(self) -> int:
        """Of one pass."""
        return self.micro_batch_size * self.tokens_per_row

    @property
    def pass_sizes(self) -> PassSizes:
        """Sizes of one pass; the branches see at most all tokens again."""
        compared = self.micro_batch_size * self.answer_tokens if self.compares else 0
        return PassSizes(
            tokens=self.tokens,
            read=compared + self.micro_batch_size,
            compared=compared,
            branch_keys=self.tokens if self.compares else 0,
        )


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Bytes that one worker takes.

    Attributes:
        weights: of the frozen base model on this worker's device.
        gathered: of what ZeRO-3 holds whole for a while, and of a weight that is spelled out from few bits.
        adapter: its weights, gradients and AdamW's state.
        buckets: through which gradients are reduced.
        kept: of a pass, for the way back.
        worst_moment: beside it, or what a pass without gradients takes beyond both.
        runtime: CUDA, its libraries and those for communication.
        reserve: what the allocator holds and cannot give out.
        host: of the host's memory while training, for what is offloaded.
        host_at_start: of the host's memory while weights are loaded. Where ZeRO-3 splits them they are mapped from
            their files: the workers of a machine share them, and the room is given back where others need it.
        disk: of the reference states, of all workers together.
    """

    weights: int
    gathered: int
    adapter: int
    buckets: int
    kept: int
    worst_moment: int
    runtime: int
    reserve: int
    host: int
    host_at_start: int
    disk: int

    @property
    def total(self) -> int:
        """Of the worker's GPU, or of the host where it has none."""
        parts = (self.weights, self.gathered, self.adapter, self.buckets)
        return sum(parts) + self.kept + self.worst_moment + self.runtime + self.reserve


def memory_plan(run: PlannedRun) -> MemoryPlan:
    """What one worker of a run takes.

    Raises:
        ModelError: an adapter on modules that are not of the model's layers.
    """
    adapter, optimizer = _adapter_bytes(run)
    activations = Activations(shape=run.shape, lora=run.lora, itemsize=run.itemsize, keeps_inputs=run.zero_stage == 3)
    kept = activations.kept(run.pass_sizes, run.gradient_checkpointing)
    worst = activations.worst_moment(run.pass_sizes, run.gradient_checkpointing)
    worst = max(worst, activations.reading(READING_TOKENS[run.on_gpu]) - kept)
    base, parts = base_bytes(run), run.workers if run.zero_stage == 3 else 1
    states = run.rows * run.answer_tokens * run.shape.hidden_size * run.reference_itemsize
    return MemoryPlan(
        weights=0 if run.offload_parameters else base // parts,
        gathered=_gathered_bytes(run),
        adapter=adapter + (0 if run.offload_optimizer else optimizer),
        buckets=FLOAT32 * run.n_adapter if run.workers > 1 else 0,
        kept=kept,
        worst_moment=worst,
        runtime=CUDA_BYTES + (NCCL_BYTES if run.workers > 1 else 0) if run.on_gpu else PROCESS_BYTES,
        reserve=round(RESERVE * (kept + worst)),
        host=(base // parts if run.offload_parameters else 0) + (optimizer if run.offload_optimizer else 0),
        host_at_start=run.shape.n_parameters * run.itemsize if run.on_gpu else 0,
        disk=states if run.compares else 0,
    )


def base_bytes(run: PlannedRun) -> int:
    """The frozen base model, whole. In 8 bits each output has a float32 scale, in 4 bits each 64 weights."""
    n_few = run.shape.n_linear_weights if run.base_bits < 16 else 0
    scales = {8: run.shape.n_linear_outputs, 4: n_few // BLOCK_4BIT}.get(run.base_bits, 0)
    return (run.shape.n_parameters - n_few) * run.itemsize + n_few * run.base_bits // 8 + scales * FLOAT32


def _adapter_bytes(run: PlannedRun) -> tuple[int, int]:
    """Weights and gradients, and what ZeRO may offload: AdamW's moments, and its own copy of the weights.

    PEFT keeps an adapter in float32 whatever the base model is, so plain AdamW needs no such copy; ZeRO makes one.
    """
    numbers, parts = run.n_adapter * FLOAT32, run.workers if run.zero_stage else 1
    moments, copy = 2 * numbers // parts, numbers // parts if run.zero_stage else 0
    gradients = numbers // run.workers if run.zero_stage >= 2 else numbers
    return numbers + gradients, moments + copy


def _gathered_bytes(run: PlannedRun) -> int:
    whole = 0
    if run.base_bits < 16:
        whole = max(size_in * size_out for size_in, size_out in run.shape.linears.values())
    if run.zero_stage == 3:
        whole = min(run.shape.n_parameters, ZERO3_LIVE + ZERO3_AHEAD)
    return whole * run.itemsize


def longest_row(run: PlannedRun, memory: int) -> int:
    """Tokens of a row up to which a pass of such rows fits into so many bytes; 0 where none does."""
    low, high = 0, 1 << 20
    while low < high:
        middle = (low + high + 1) // 2
        if memory_plan(replace(run, tokens_per_row=middle)).total <= memory:
            low = middle
        else:
            high = middle - 1
    return low
