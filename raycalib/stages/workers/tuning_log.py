"""A tuning run's figures while it runs: a line for the terminal, event files for TensorBoard."""

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
import time

from tensorboardX import SummaryWriter

from raycalib.stages.lines.progress import end, say, show
from raycalib.storage import Location
from raycalib.tuning.figures import StepFigures, TuningProgress, plain_figures

LINE_EVERY_S = 1.0
FOLDER = "tensorboard"


def combo_start(title: str) -> str:
    """How the lines of a combo begin."""
    return f"  tune {title}:"


class TuningLog:
    """Of one combo; its event files lie in ``tensorboard/`` beside the checkpoints.

    On an object store they are written to a local directory and copied at each evaluation.
    """

    def __init__(self, place: Location, title: str) -> None:
        self.place, self.start = place / FOLDER, combo_start(title)
        self._shown = -LINE_EVERY_S
        self._validation = ""
        self._began: tuple[int, float] | None = None
        self._created = time.monotonic()
        self._local: TemporaryDirectory[str] | None = None

    def say(self, line: str) -> None:
        """A remark, a line that stays."""
        say(f"{self.start} {line}")

    def show(self, line: str) -> None:
        """What goes on; the next line replaces it."""
        show(f"{self.start} {line}", self.start)

    def observe_step(self, figures: StepFigures) -> None:
        """A step's figures, shown once a second at most."""
        self._scalars("train", figures)
        now = time.monotonic()
        began, since = self._began = self._began or (figures.step, now)
        if now - self._shown < LINE_EVERY_S:
            return
        self._shown = now
        norm = "" if figures.grad_norm is None else f" · gradient {figures.grad_norm:.3g}"
        done = figures.step - began
        left = f" · about {(figures.steps - figures.step) * (now - since) / done:,.0f} s left" if done else ""
        self.show(
            f"step {figures.step}/{figures.steps} · loss {figures.loss:.3f}{self._validation} · lr {figures.lr:.2g}"
            f"{norm} · {figures.tokens_per_s:,.0f} tokens/s · {figures.memory_gib:.1f} GiB{left}"
        )

    def observe(self, figures: TuningProgress) -> None:
        """An evaluation's figures, shown from now on."""
        self._scalars("val_select", figures)
        self._validation = f" · val NLL {figures.val_nll:.3f} · val AUROC {figures.val_auroc:.3f}"
        self._keep()

    def end(self, steps: int, best_step: int, best_nll: float | None) -> None:
        """The line that stays of the combo."""
        best = "no step with a finite loss" if best_nll is None else f"best val NLL {best_nll:.3f} at step {best_step}"
        end(f"{self.start} {steps} steps · {best} · {time.monotonic() - self._created:,.0f} s", self.start)

    def close(self) -> None:
        """Writes what is left."""
        if "_writer" in vars(self):
            self._keep()
            self._writer.close()
        if self._local is not None:
            self._local.cleanup()

    @cached_property
    def _writer(self) -> SummaryWriter:
        if self.place.is_local:
            return SummaryWriter(str(self.place.local_path))
        self._local = TemporaryDirectory(prefix="raycalib-tensorboard-")
        return SummaryWriter(self._local.name)

    def _scalars(self, group: str, figures: StepFigures | TuningProgress) -> None:
        for name, value in plain_figures(figures).items():
            if name != "step" and value is not None:
                self._writer.add_scalar(f"{group}/{name.removeprefix('val_')}", value, figures.step)

    def _keep(self) -> None:
        self._writer.flush()
        if self._local is not None:
            for file in Path(self._local.name).iterdir():
                self.place.write_bytes(file.name, file.read_bytes())
