"""A source of questions on the hub, as data: where its rows are, and how a row becomes a question."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from string import Formatter

from raycalib.errors import ConfigError
from raycalib.prompts.example import TARGET_PROMPT
from raycalib.records import PROMPT_STYLES
from raycalib.sources.hub.columns import AnswerReader, OptionsReader, TextReader

HUB_SPLITS = ("train", "validation", "test")
TARGET_FIELDS = frozenset({"option", "number"})


@dataclass(frozen=True, kw_only=True)
class StyleText:
    """The words of a source in one prompt style.

    ``{column}`` in ``context`` stands for a column of the row, or for a text that the source derives from it.

    Attributes:
        context: the question without its options; the ``choice`` style lists them below it.
        intro: first line of the few-shot header.
        outro: last line of the few-shot header.
        after_outro: what parts the header from the question.
        target_prompt: the cue before the answer.
    """

    context: str
    intro: str
    outro: str = "Now, answer the following."
    after_outro: str = "\n\n"
    target_prompt: str = TARGET_PROMPT


@dataclass(frozen=True, kw_only=True)
class OpenEndedText(StyleText):
    """The words of the ``oe`` style, with the right answer's.

    Attributes:
        target: the right answer: ``{option}`` is the right option, ``{number}`` counts it from 1; else columns.
        zero_shot_hint: stands directly before the question where there are no few-shot examples.
    """

    target: str = "{option}"
    zero_shot_hint: str = ""


@dataclass(frozen=True, kw_only=True)
class PaperReading:
    """Where the paper's code reads rows otherwise than raycalib; docs/differences.md says why.

    Attributes:
        options: its reader of options, where it is at fault.
        answer: its reader of the right option, where it is at fault.
        shuffles_options: it puts the options in a seeded order.
        refuses_repeated_options: it leaves out rows with two equal options.
    """

    options: OptionsReader | None = None
    answer: AnswerReader | None = None
    shuffles_options: bool = False
    refuses_repeated_options: bool = False


@dataclass(frozen=True, kw_only=True)
class ManualFile:
    """Rows that no hub has: they are asked for by hand and put below the data root.

    Attributes:
        instructions: how to get the file.
        columns: from the column names that its authors gave it to those that the source reads.
        cached: the folder below HF_HOME that the paper's code has it in; a csv there is found without a data root.
    """

    instructions: str
    columns: Mapping[str, str]
    cached: str


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """One source; the machinery reads this and nothing else.

    Attributes:
        name: how configurations and figures call it.
        hub_id: dataset on the hub, as ``owner/name``.
        revision: full commit, or the branch of the hub's own conversion to parquet; None is the newest.
        config: configuration of the dataset; None is its default.
        splits: from ``train``, ``validation`` and ``test`` to the hub's split; a split not named is not used.
        shots_from: the hub's split that few-shot examples are taken from.
        choice: words of the ``choice`` style; None where the source has none.
        oe: words of the ``oe`` style; None where the source has none.
        options: reads the options; None where the source has none.
        answer: reads the index of the right option; None where the source has no options.
        derived: texts made from the row, by the name that templates use.
        may_be_empty: columns of the templates that may be an empty text.
        group_by: text whose equal values make one group when figures are resampled; None: every question is its own.
        category: column and value of the rows that belong to this source, where several sources share a split.
        shuffles_options: puts the options in a seeded order, since the hub's order gives the answer away.
        default_shots: few-shot examples in evaluation where nothing else is asked for.
        evaluation_only: never trains; the paper's training mixture leaves the source out.
        not_in_mixture: styles in which the paper's training mixture leaves the source out.
        solution: text that is a worked solution: its final answer is the right one, the whole is for a judge.
        paper: where the paper's code reads rows otherwise.
        manual: how to get the rows, where the hub does not have them.
    """

    name: str
    hub_id: str
    revision: str | None = None
    config: str | None = None
    splits: Mapping[str, str]
    shots_from: str
    choice: StyleText | None = None
    oe: OpenEndedText | None = None
    options: OptionsReader | None = None
    answer: AnswerReader | None = None
    derived: Mapping[str, TextReader] = field(default_factory=dict)
    may_be_empty: tuple[str, ...] = ()
    group_by: str | None = None
    category: tuple[str, str] | None = None
    shuffles_options: bool = False
    default_shots: int = 0
    evaluation_only: bool = False
    not_in_mixture: tuple[str, ...] = ()
    solution: str | None = None
    paper: PaperReading = PaperReading()
    manual: ManualFile | None = None

    def __post_init__(self) -> None:
        problems = []
        if not self.styles:
            problems.append("has the words of no style; give choice, oe or both")
        if not self.splits or set(self.splits) - set(HUB_SPLITS):
            problems.append(f"splits: {', '.join(self.splits) or 'none'}; allowed: {', '.join(HUB_SPLITS)}")
        if (self.options is None) != (self.answer is None):
            problems.append("options and answer belong together; give both or neither")
        if self.options is None and (self.choice is not None or self.shuffles_options):
            problems.append("the choice style and shuffled options need options")
        if self.group_by is not None and self.group_by not in self.text_fields:
            problems.append(f"group_by: {self.group_by}; its texts are {', '.join(self.text_fields)}")
        if self.solution is not None and self.solution not in self.text_fields:
            problems.append(f"solution: {self.solution}; its texts are {', '.join(self.text_fields)}")
        if set(self.not_in_mixture) - set(self.styles):
            problems.append(f"not_in_mixture: {', '.join(self.not_in_mixture)}; it has {', '.join(self.styles)}")
        if self.default_shots < 0:
            problems.append(f"default_shots: {self.default_shots}; at least 0")
        if problems:
            raise ConfigError(f"source {self.name}: " + "; ".join(problems))

    @cached_property
    def styles(self) -> tuple[str, ...]:
        """The prompt styles that the source has words for."""
        return tuple(style for style in PROMPT_STYLES if getattr(self, style) is not None)

    @property
    def mixture_styles(self) -> tuple[str, ...]:
        """The prompt styles in which the paper's training mixture takes the source."""
        left_out = self.styles if self.evaluation_only else self.not_in_mixture
        return tuple(style for style in self.styles if style not in left_out)

    def shots_in(self, split: str) -> int:
        """The paper's number of few-shot examples in a split: none in training."""
        return 0 if split == "train" else self.default_shots

    def words(self, style: str) -> StyleText:
        """The words of a style.

        Raises:
            ConfigError: the source does not have the style.
        """
        if style not in self.styles:
            raise ConfigError(f"source {self.name}: it has no {style!r} prompts; allowed: {', '.join(self.styles)}")
        words: StyleText = getattr(self, style)
        return words

    @cached_property
    def text_fields(self) -> tuple[str, ...]:
        """The texts that the templates of all styles ask for, sorted."""
        templates = [self.words(style).context for style in self.styles]
        if self.oe is not None:
            templates.append(self.oe.target)
        named = {name for template in templates for _, name, _, _ in Formatter().parse(template) if name}
        return tuple(sorted(named - TARGET_FIELDS))

    @cached_property
    def asked_fields(self) -> tuple[str, ...]:
        """The columns that are the question itself: those of its shortest wording, without options and derived texts.

        That is the ``choice`` style where there is one, since some ``oe`` styles write the options into the question.
        """
        words = self.choice or self.oe
        named = {name for _, name, _, _ in Formatter().parse(words.context) if name} if words else set()
        return tuple(sorted(named - set(self.derived)))
