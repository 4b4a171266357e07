"""How fast a run goes and how much memory it has taken."""

import resource
import time

import torch


class Pace:
    """Counts tokens and the time that steps took."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.tokens = 0.0
        self._started = 0.0

    def start(self) -> None:
        """Before a step."""
        self._started = time.perf_counter()

    def stop(self, tokens: float) -> None:
        """After a step that read so many tokens."""
        self.seconds += time.perf_counter() - self._started
        self.tokens += tokens

    def rate(self) -> float:
        """Tokens per second since the last call."""
        rate = self.tokens / self.seconds if self.seconds else 0.0
        self.seconds = self.tokens = 0.0
        return rate


def peak_memory_gib(device: torch.device) -> float:
    """Most memory held so far: of the GPU by torch, or of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
