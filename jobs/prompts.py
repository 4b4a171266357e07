"""Shows exactly what a model will read: few-shot examples, question, options and answer of a source's rows.

python jobs/prompts.py --dataset arc --style oe --split train --k-shot 1 --limit 3
python jobs/prompts.py --dataset eval:mmlu --split test --query-header mmlu=as-answered --limit 1
python jobs/prompts.py --dataset mmlu:anatomy mmlu:virology --split test --data-root /data/questions --json
python jobs/prompts.py --dataset file:questions.csv --style choice --question-column query
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
import os
import sys
from typing import Literal

from raycalib.cli import run_job, simple_config
from raycalib.errors import ConfigError
from raycalib.printable import printable_json, printable_line, printable_lines
from raycalib.prompts import Example, query_text
from raycalib.records import Row
from raycalib.sources import DrawTally, RefusedRow, SourceSettings, describe_source
from raycalib.sources.drawing.preview import preview_questions
from raycalib.sources.facts.splits import TRAIN
from raycalib.sources.parts import AS_ANSWERED, parse_query_header, parse_shots
from raycalib.sources.unmet import UnmetTargets
from raycalib.stages.workers.rows import queried_text

Style = Literal["oe", "choice"]
Split = Literal["train", "validation", "test", "val_select", "val_calibrate", "heldout_families"]
DESCRIPTION = """Shows exactly what a model will read, with the answer behind it.

The text of a row is its few-shot examples (--k-shot), the question, with its options in the choice style, the cue, and
the answer after one space. Rows that cannot be asked are named on standard error, each with its reason. Characters
that would steer a terminal are spelled out, such as \\x1b; --json gives them as JSON does, exact to the letter.
--query-header also shows the uncertainty query: the question whether the answer, here the right one, is correct.

  --dataset arc obqa                     sources of docs/sources.md; several are shown one after the other
  --dataset mmlu:anatomy                 one task; eval:mmlu is all 57
  --dataset file:questions.csv           your own questions; the columns found are named on standard error
  --data-root DIR                        no network: DIR/arc/train.parquet, DIR/mmlu/anatomy/test.csv, ...
  --json                                 one JSON object per row and nothing else on standard output"""


@dataclass(frozen=True, kw_only=True)
class PromptsConfig:
    """What to show.

    Attributes:
        dataset: names of sources: facts, arc, mmlu:anatomy, all_20k_uniform, eval:mmlu, file:PATH, hub:ORG/NAME, …
        style: prompt style: oe (open-ended) or choice (lettered options).
        split: train, validation and test are the dataset's own; the others are splits of a run.
        k_shot: few-shot examples: N for every row shown, or by part such as train=1 val=1 mmlu=5, as a run takes them;
            else the source's default (5 for MMLU, 8 for gsm8k, else none).
        eval_k_shot: few-shot examples of rows that are evaluated and whose part k_shot does not name.
        query_header: none or as-answered: show the uncertainty query too, without or with the few-shot examples that
            the row is answered with; by part such as mmlu=as-answered.
        seed: of few-shot examples, orders of options and splits.
        limit: rows to show of each dataset; None is all.
        data_root: local copies, DIR/<name>/<hub split>.{parquet,jsonl,csv}; None asks the hub.
        paper_exact: read rows as the paper's code does, faults included.
        json: one JSON object per row: source, split, row_id, style, prompt, context, target_prompt, target, aliases,
            solution, text; with query_header also query.
        question_column: of your own questions; None finds it by its usual names.
        answer_column: of the right answers' texts; a list of them is several right answers.
        aliases_column: of other right answers, a list or one text.
        choices_column: of the options, a list.
        answer_index_column: of the right option's number from 0, or its letter.
        context_column: of a text that the question is about.
    """

    dataset: tuple[str, ...] = ("facts",)
    style: Style = "oe"
    split: Split = "train"
    k_shot: tuple[str, ...] = ()
    eval_k_shot: int | None = None
    query_header: tuple[str, ...] = ()
    seed: int = 137
    limit: int | None = None
    data_root: str | None = None
    paper_exact: bool = False
    json: bool = False
    question_column: str | None = None
    answer_column: str | None = None
    aliases_column: str | None = None
    choices_column: str | None = None
    answer_index_column: str | None = None
    context_column: str | None = None

    def settings(self, name: str) -> SourceSettings:
        """The settings of one of the datasets."""
        for_all = parse_shots([text for text in self.k_shot if "=" not in text]).value_for(TRAIN, name)
        return SourceSettings(
            name=name,
            data_root=self.data_root,
            k_shot=self.k_shot,
            eval_k_shot=for_all if self.eval_k_shot is None else self.eval_k_shot,
            paper_exact=self.paper_exact,
            question_column=self.question_column,
            answer_column=self.answer_column,
            aliases_column=self.aliases_column,
            choices_column=self.choices_column,
            answer_index_column=self.answer_index_column,
            context_column=self.context_column,
        )


def main(arguments: Sequence[str]) -> None:
    """Prints the rows of one dataset after the other."""
    config = simple_config(PromptsConfig, arguments, DESCRIPTION)
    if config.limit is not None and config.limit < 1:
        raise ConfigError(f"limit: {config.limit} is not allowed; at least 1")
    if config.seed < 0:
        raise ConfigError(f"seed: {config.seed} is not allowed; at least 0")
    parse_query_header(config.query_header)
    for settings in [config.settings(name) for name in config.dataset]:
        show(settings, config)


def show(settings: SourceSettings, config: PromptsConfig) -> None:
    """Prints the rows of one dataset."""
    for line in describe_source(settings, config.seed):
        complain(line)
    tally, unmet, n_shown = DrawTally(), UnmetTargets(), 0
    try:
        for row in islice(questions(settings, config, tally), config.limit):
            query = query_about(row, config.query_header)
            print(as_json(row, query) if config.json else as_text(row, query))
            unmet.add(row)
            n_shown += 1
    except ConfigError as error:  # the source does not have the style
        complain(" ".join(str(error).split()))
        return
    for line in unmet.lines():
        complain(line)
    refused = tally.refused.total()
    if refused:
        complain(f"{settings.name}: {refused:,} rows refused, {n_shown:,} shown")
    if not n_shown:
        complain(f"{settings.name}: no {config.style} questions in split {config.split}")


def questions(settings: SourceSettings, config: PromptsConfig, tally: DrawTally) -> Iterator[Row]:
    """The questions; the first refused rows go to standard error."""
    n_refused = 0
    for drawn in preview_questions(settings, config.style, config.split, config.seed, tally):
        if not isinstance(drawn, RefusedRow):
            yield drawn
        elif (n_refused := n_refused + 1) <= 10:
            complain(f"{drawn.place} {drawn}")


def answered(row: Row) -> str:
    """All that the model reads, and the right answer."""
    names = ("prompt", "context", "target_prompt", "target")
    return Example(**{name: row[name] for name in names}).answered(row["target"])


def query_about(row: Row, query_header: Sequence[str]) -> str | None:
    """The uncertainty query about the right answer; None where it is not asked for."""
    if not query_header:
        return None
    header = parse_query_header(query_header).value_for(row["split"], row["source"])
    return query_text(queried_text(row, header == AS_ANSWERED), row["target"])


def as_json(row: Row, query: str | None) -> str:
    """One line of JSON; read back, it is the row to the letter."""
    names = ("source", "split", "row_id", "style", "prompt", "context", "target_prompt", "target")
    others = {"aliases": row.get("aliases") or [], "solution": row.get("solution")}
    asked = {} if query is None else {"query": query}
    return printable_json({**{name: row[name] for name in names}, **others, "text": answered(row), **asked})


def as_text(row: Row, query: str | None) -> str:
    """A heading, and the text below it; what would steer a terminal is spelled out."""
    right = " or ".join(repr(text) for text in (row["target"], *(row.get("aliases") or ())))
    heading = f"{row['source']} · {row['split']} · {row['style']} · {row['row_id']} · answer {right}"
    asked = "" if query is None else f"\n── the uncertainty query about this answer\n{printable_lines(query)}\n"
    return f"── {printable_line(heading)}\n{printable_lines(answered(row))}\n{asked}"


def complain(line: str) -> None:
    """Prints to standard error."""
    print(printable_line(line), file=sys.stderr)


def command() -> None:
    """The job as a program."""
    try:
        run_job(main)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    command()
