"""A tuning run's figures while it runs: a line for the terminal, event files for TensorBoard, Ray's metrics."""

from collections.abc import Mapping, Sequence
import math
import time

from tensorboardX import SummaryWriter

from raycalib.stages.boards.event_files import EventFiles
from raycalib.stages.boards.hparams import begin_hparams, end_hparams
from raycalib.stages.boards.hyperparameters import Hyperparameters
from raycalib.stages.boards.tuning_metrics import TuningMetrics
from raycalib.stages.lines.progress import end, say, show
from raycalib.stages.workers.pulse import Pulse
from raycalib.storage import Location
from raycalib.tuning.figures import StepFigures, TuningProgress, plain_figures

LINE_EVERY_S = 1.0


def combo_start(title: str) -> str:
    """How the lines of a combo begin."""
    return f"  tune {title}:"


class TuningLog:
    """Of one combo: its lines, and its event files (``EventFiles``), which are kept at each evaluation."""

    def __init__(
        self,
        place: Location,
        title: str,
        hyperparameters: Hyperparameters | None = None,
        pulse: Pulse | None = None,
        model: str = "",
    ) -> None:
        """Begins none of the files.

        Args:
            place: of the combo.
            title: how it is called.
            hyperparameters: with which it is compared with others in TensorBoard; None leaves it out there.
            pulse: learns what the combo is at; None tells nobody.
            model: that is tuned, as metrics name it.
        """
        self.pulse = pulse or Pulse("")
        self.events, self.start, self.hyperparameters = EventFiles(place), combo_start(title), hyperparameters or {}
        self.metrics = TuningMetrics(title, str(self.hyperparameters.get("combo", "")), model)
        self._shown = -LINE_EVERY_S
        self._validation = ""
        self._began: tuple[int, float] | None = None
        self._created = time.monotonic()

    def say(self, line: str) -> None:
        """A remark, a line that stays."""
        say(f"{self.start} {line}")

    def show(self, line: str) -> None:
        """What goes on; the next line replaces it."""
        self.pulse.begin(line.partition(":")[0])
        self._show(line)

    def _show(self, line: str) -> None:
        show(f"{self.start} {line}", self.start)

    def observe_step(self, figures: StepFigures) -> None:
        """A step's figures, shown once a second at most."""
        self._scalars("train", figures)
        self.metrics.observe_step(figures)
        now = time.monotonic()
        began, since = self._began = self._began or (figures.step, now)
        done = figures.step - began
        left_s = (figures.steps - figures.step) * (now - since) / done if done else None
        self.pulse.now(at=f"step {figures.step}/{figures.steps}", step=figures.step, steps=figures.steps)
        self.pulse.now(loss=figures.loss, tokens_per_s=figures.tokens_per_s, left_s=left_s)
        if now - self._shown < LINE_EVERY_S:
            return
        self._shown = now
        norm = "" if figures.grad_norm is None else f" · gradient {figures.grad_norm:.3g}"
        left = "" if left_s is None else f" · about {left_s:,.0f} s left"
        self._show(
            f"step {figures.step}/{figures.steps} · loss {figures.loss:.3f}{self._validation} · lr {figures.lr:.2g}"
            f"{norm} · {figures.tokens_per_s:,.0f} tokens/s · {figures.memory_gib:.1f} GiB{left}"
        )

    def observe(self, figures: TuningProgress) -> None:
        """An evaluation's figures, shown from now on."""
        self._scalars("val_select", figures)
        self.metrics.observe(figures)
        self._validation = f" · val NLL {figures.val_nll:.3f} · val AUROC {figures.val_auroc:.3f}"
        before = self.pulse.doing.best_nll
        is_best = math.isfinite(figures.val_nll) and (before is None or figures.val_nll < before)
        self.pulse.now(val_nll=figures.val_nll, best_nll=figures.val_nll if is_best else before)
        self.events.keep()

    def end(self, steps: int, best_step: int, best_nll: float | None) -> None:
        """The line that stays of the combo."""
        best = "no step with a finite loss" if best_nll is None else f"best val NLL {best_nll:.3f} at step {best_step}"
        self.pulse.now(step=steps, steps=steps, best_nll=best_nll)
        self.pulse.end()
        end(f"{self.start} {steps} steps · {best} · {time.monotonic() - self._created:,.0f} s", self.start)

    def stopped(self, step: int, steps: int, reason: str) -> None:
        """The line that stays of a combo that is stopped before its end."""
        self.pulse.end()
        end(f"{self.start} stopped at step {step} of {steps}: {reason}", self.start)

    def best(self, history: Sequence[Mapping[str, float | None]], best_step: int) -> None:
        """Writes the figures of the best of the evaluations, by which TensorBoard compares jobs."""
        if self.hyperparameters:
            end_hparams(self._writer, self.hyperparameters, history, best_step)

    def close(self) -> None:
        """Writes what is left."""
        self.events.close()

    @property
    def _writer(self) -> SummaryWriter:
        """Of the event files, which begin with what is tuned with."""
        is_new = not self.events.has_begun
        if is_new and self.hyperparameters:
            begin_hparams(self.events.writer, self.hyperparameters)
        return self.events.writer

    def _scalars(self, group: str, figures: StepFigures | TuningProgress) -> None:
        for name, value in plain_figures(figures).items():
            if name != "step" and value is not None:
                self._writer.add_scalar(f"{group}/{name.removeprefix('val_')}", value, figures.step)
