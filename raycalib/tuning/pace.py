"""How fast a run goes and how much memory it has taken."""

import resource
import time

import torch


class Pace:
    """Counts rows, tokens and the time that steps took, since the last report."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.tokens = 0.0
        self.rows = 0
        self._started = 0.0

    def start(self) -> None:
        """Before a step."""
        self._started = time.perf_counter()

    def stop(self, rows: int, tokens: float) -> None:
        """After a step of so many rows that read so many tokens."""
        self.seconds += time.perf_counter() - self._started
        self.tokens += tokens
        self.rows += rows

    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def reset(self) -> None:
        """After a report."""
        self.seconds, self.tokens, self.rows = 0.0, 0.0, 0


def peak_memory_gib(device: torch.device) -> float:
    """Most memory held so far: of the GPU by torch, or of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
