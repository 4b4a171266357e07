"""Which source of questions, how its rows are read, and how many of each split."""

from dataclasses import dataclass, field
import re

from raycalib.errors import ConfigError
from raycalib.sources.facts.splits import SPLITS
from raycalib.sources.names import FACTS, SourcePart, parse_source
from raycalib.sources.own.columns import ColumnNames
from raycalib.sources.parts import PartValues, parse_shots


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """Where questions come from.

    Attributes:
        name: ``facts`` (embedded), a source of docs/sources.md (``arc``, ``mmlu:anatomy``), ``all_20k_uniform`` (the
            paper's mixture), ``eval:mmlu``, ``eval:mmlu_pro``, ``file:PATH`` (your own jsonl, csv or parquet) or
            ``hub:ORG/NAME[:CONFIG]``; parts are joined by ``+``, and ``name:N`` takes at most N rows of each split.
        limits: at most so many rows per split and style, by split; a split not named is taken whole.
        data_root: local copies as ``DIR/<name>/<hub split>.{parquet,jsonl,csv}``; None asks the hub.
        k_shot: few-shot examples that a question is answered with: ``N`` for rows to train and validate on, or by part
            such as ``train=1 val=1 mmlu=5``; parts are train, val, test, heldout_families, and names of evaluation
            sets and sources. Rows to validate on have as many as those to train on where nothing is said of them; what
            nothing is said of has the source's default (5 for MMLU, 8 for gsm8k, else none).
        eval_k_shot: few-shot examples of evaluated rows whose part ``k_shot`` does not name; None is the source's
            default.
        paper_exact: read rows and mix sources as the paper's code does, faults included (docs/differences.md).
        max_bad_rows: share of a source's rows that may be unusable before the run stops.
        question_column: of your own questions; None finds it by its usual names.
        answer_column: of the right answers' texts; a list of them is several right answers.
        aliases_column: of other right answers, a list or one text.
        choices_column: of the options, a list.
        answer_index_column: of the right option's number from 0, or its letter.
        context_column: of a text that the question is about.
        task_column: what figures are broken down by.
        split_column: of a file's rows, the run's split; none of these columns is read where its name is ``none``.
    """

    name: str = FACTS
    limits: dict[str, int] = field(default_factory=dict)
    data_root: str | None = None
    k_shot: tuple[str, ...] = ()
    eval_k_shot: int | None = None
    paper_exact: bool = False
    max_bad_rows: float = 0.01
    question_column: str | None = None
    answer_column: str | None = None
    aliases_column: str | None = None
    choices_column: str | None = None
    answer_index_column: str | None = None
    context_column: str | None = None
    task_column: str | None = None
    split_column: str | None = None

    def __post_init__(self) -> None:
        problems = [
            f"source.limits[{split}]: {limit} is not allowed; at least 1"
            for split, limit in self.limits.items()
            if limit < 1
        ]
        problems += [
            f"source.limits: the split {split!r} is unknown; allowed: {', '.join(SPLITS)}"
            for split in self.limits
            if split not in SPLITS
        ]
        try:
            parse_shots(self.k_shot)
        except ConfigError as error:
            problems.append(str(error))
        if self.eval_k_shot is not None and self.eval_k_shot < 0:
            problems.append(f"source.eval_k_shot: {self.eval_k_shot} is not allowed; at least 0")
        if not 0 <= self.max_bad_rows <= 1:
            problems.append(f"source.max_bad_rows: {self.max_bad_rows} is not allowed; a share from 0 to 1")
        try:
            parse_source(self.name)
        except ConfigError as error:
            problems.append(str(error))
        if problems:
            raise ConfigError("; ".join(problems))

    @property
    def parts(self) -> tuple[SourcePart, ...]:
        """The parts of the name."""
        return parse_source(self.name)

    @property
    def shots(self) -> PartValues[int | None]:
        """The numbers of few-shot examples by part; None is the source's default."""
        return parse_shots(self.k_shot, self.eval_k_shot)

    @property
    def columns(self) -> ColumnNames:
        """The columns of your own questions that are named."""
        return ColumnNames(
            question=self.question_column,
            answer=self.answer_column,
            aliases=self.aliases_column,
            choices=self.choices_column,
            answer_index=self.answer_index_column,
            context=self.context_column,
            task=self.task_column,
            split=self.split_column,
        )

    @property
    def slug(self) -> str:
        """The name as a part of a file name."""
        pieces = ["file" if part.is_file else part.name for part in self.parts]
        return re.sub(r"[^\w-]+", "-", "-".join(pieces))[:60]
