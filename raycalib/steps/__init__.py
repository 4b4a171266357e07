"""One function per arrow of the diagram: each takes the outputs that it reads and returns those that it makes."""

from raycalib.stages.chains.side_by_side import together
from raycalib.steps.answers import answers
from raycalib.steps.bundles import bundles
from raycalib.steps.calibration import calibration_questions, evaluation_place, finished_training
from raycalib.steps.evaluation import Evaluation, evaluate
from raycalib.steps.features import features
from raycalib.steps.labels import labels, say_estimate
from raycalib.steps.left_over import say_left_over
from raycalib.steps.open_run import open_run
from raycalib.steps.questions import questions
from raycalib.steps.report import figures, report
from raycalib.steps.run import Run
from raycalib.steps.sweep import Swept, sweep
from raycalib.steps.tuned import Learned, tuned

__all__ = [
    "Evaluation",
    "Learned",
    "Run",
    "Swept",
    "answers",
    "bundles",
    "calibration_questions",
    "evaluate",
    "evaluation_place",
    "features",
    "figures",
    "finished_training",
    "labels",
    "open_run",
    "questions",
    "report",
    "say_estimate",
    "say_left_over",
    "sweep",
    "together",
    "tuned",
]
