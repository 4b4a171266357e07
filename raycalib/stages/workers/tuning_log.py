"""A tuning run's figures while it runs: lines for the terminal, event files for TensorBoard."""

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
import time

from tensorboardX import SummaryWriter

from raycalib.stages.progress import say
from raycalib.storage import Location
from raycalib.tuning.figures import StepFigures, TuningProgress, plain_figures

LINE_EVERY_S = 10.0
FOLDER = "tensorboard"


class TuningLog:
    """Of one combo; its event files lie in ``tensorboard/`` beside the checkpoints.

    On an object store they are written to a local directory and copied at each evaluation.
    """

    def __init__(self, place: Location, title: str) -> None:
        self.place, self.title = place / FOLDER, title
        self._said = 0.0
        self._local: TemporaryDirectory[str] | None = None

    def say(self, line: str) -> None:
        """A line in the terminal."""
        say(f"  tune {self.title}: {line}")

    def observe_step(self, figures: StepFigures) -> None:
        """A step's figures; a line of them every ten seconds at most."""
        self._scalars("train", figures)
        if time.monotonic() - self._said < LINE_EVERY_S:
            return
        self._said = time.monotonic()
        norm = "" if figures.grad_norm is None else f" · gradient {figures.grad_norm:.3g}"
        self.say(
            f"step {figures.step}/{figures.steps} · loss {figures.loss:.3f} · lr {figures.lr:.2g}{norm} · "
            f"{figures.tokens_per_s:,.0f} tokens/s · {figures.memory_gib:.1f} GiB"
        )

    def observe(self, figures: TuningProgress) -> None:
        """An evaluation's figures, with a line."""
        self._scalars("val_select", figures)
        self.say(
            f"step {figures.step}/{figures.steps} · query loss {figures.query_loss:.3f} · "
            f"KL {figures.divergence:.4f} · val NLL {figures.val_nll:.3f} · val AUROC {figures.val_auroc:.3f} · "
            f"val ECE {figures.val_ece:.3f}"
        )
        self._keep()

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
