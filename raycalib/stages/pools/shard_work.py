"""One stage while its shards are made: what is missing of it, what came of its shards, and its manifest at the end."""

from collections.abc import Mapping
import json
from typing import Any

from raycalib.hashing import stable_seed
from raycalib.run_logs import RUN_LOGS
from raycalib.stages.lines.progress import say
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageError, StageOutput, drop_damaged_shards, finished, stage_key, stage_place
from raycalib.stages.pools.bounds import UNSCORED, Tally, check_bounds, what_next
from raycalib.stages.pools.close_rows import list_close_rows
from raycalib.stages.pools.parked import add_figures, parked_names
from raycalib.stages.pools.read_back import ReadBack, read_back
from raycalib.stages.pools.shard_map import ShardTarget
from raycalib.stages.pools.spec import ShardStage
from raycalib.storage import Location, Manifest, find_shards, read_schema, write_manifest


class ShardWork:
    """A stage and its source.

    Attributes:
        missing: indices of the shards that are to be made.
        output: of the stage, once it is finished.
        error: why it could not be; the first cause.
    """

    def __init__(self, stage: ShardStage, source: StageOutput, out: Location) -> None:
        """Looks for what an earlier run left, says what is done again, and removes what is damaged."""
        self.stage, self.source = stage, source
        self.key = stage_key(stage.name, stage.identity, [source.key])
        self.place = stage_place(out, stage.name, stage.directory, self.key)
        self.missing = list[int]()
        self.output = finished(self.place, self.key)
        self.error: StageError | None = None
        self._causes: dict[int, str] = {}
        self._n_parked, self._n_settled, self._tally = 0, 0, Tally()
        if self.output is not None:
            self._hold_to_bounds(self.output)
        else:
            self._find_missing()

    def _find_missing(self) -> None:
        title, n_shards = self.stage.title, len(self.source.shards)
        for name in drop_damaged_shards(self.place, self.key):
            say(f"  {title}: {(self.place / name).uri} is gone or damaged and is made again")
        there = find_shards(self.place)
        if not there:
            say_why_again(self.place, title, self.stage.identity, (self.source.key,))
        self.missing = self._in_own_order([index for index in range(n_shards) if index not in there])
        if len(self.missing) < n_shards:
            say(f"  {title}: {n_shards - len(self.missing)} of {n_shards} shards are there, doing the rest")

    def _in_own_order(self, shards: list[int]) -> list[int]:
        """The shards, begun at another one for each model where a server is asked.

        Models that are at work side by side give many questions the same answer. In the same order they would ask about
        it at the same moment and pay for each; begun elsewhere, each finds the replies that the others were given.
        """
        if not self.stage.waits_for_server or not shards:
            return shards
        first = stable_seed("shards", self.stage.variant) % len(shards)
        return [*shards[first:], *shards[:first]]

    @property
    def target(self) -> ShardTarget:
        """What a worker is told of it."""
        stage = self.stage
        return ShardTarget(
            self.source.place, self.place, stage.schema, stage.keeps_figures, stage.task, stage.name, stage.variant
        )

    @property
    def outcome(self) -> StageOutput | StageError:
        """What became of it, once it is over."""
        if self.error is not None:
            return self.error
        assert self.output is not None, "it is over"
        return self.output

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be made of it in this run."""
        return self.output is not None or self.error is not None

    def take(self, status: Mapping[str, Any]) -> None:
        """Counts one shard; where most rows of the first ones are bad the others are not to be done."""
        if status["cause"]:
            self._causes[int(status["shard"])] = str(status["cause"])
        self._n_parked += int(status["parked"])
        self._n_settled += 1
        self._tally.join(Tally(**json.loads(status["tally"])))
        if not self.is_settled and (problem := self._tally.early_problem(self.stage.bounds)):
            self.error = StageError(
                f"{self.stage.title}: stopped after {self._tally.shards} of {len(self.missing)} shards: {problem}; "
                f"{what_next(self._tally, self.place)}"
            )

    @property
    def is_settled(self) -> bool:
        """Whether each of the missing shards has come to something."""
        return self._n_settled >= len(self.missing)

    def blame(self, cause: str) -> None:
        """Keeps a cause that is of no shard."""
        self._causes.setdefault(-1, cause)

    def close(self, details: Mapping[str, Any]) -> None:
        """Writes the manifest where all shards are there and good enough; else keeps what is wrong.

        Args:
            details: what the manifest keeps of this run.
        """
        stage, shards = self.stage, find_shards(self.place)
        failed = [name for index, name in enumerate(self.source.shards) if index not in shards]
        if failed:
            self.error = self._not_made(failed)
            return
        ordered = tuple(shards[index] for index in range(len(self.source.shards)))
        found = read_back(stage, self.place, ordered)
        if stage.keeps_figures:
            for name in parked_names(self.place):
                add_figures(found.figures, read_schema(self.place, name))
        manifest = Manifest(
            stage=stage.name,
            key=self.key,
            config=dict(stage.identity),
            inputs=(self.source.key,),
            shards=ordered,
            counts=self._said_counts(found),
            details={**details, **stage.details, **found.figures},
        )
        output = StageOutput(place=self.place, manifest=manifest, was_done=False)
        if other := finished(self.place, self.key):  # another job made the same meanwhile, and what it named counts
            self.output = other
            return
        self._hold_to_bounds(output)
        if self.error is None:
            write_manifest(self.place, manifest)
            self.output = output

    def _hold_to_bounds(self, output: StageOutput) -> None:
        try:
            check_bounds(output, self.stage.title, self.stage.bounds)
        except StageError as error:
            self.error = error

    def _not_made(self, failed: list[str]) -> StageError:
        """What is missing, and why."""
        title = self.stage.title
        cause = next(iter(self._causes.values()), f"its worker died each time; the cause is in {RUN_LOGS.where}")
        if self._n_parked:
            return StageError(
                f"{title}: {self._n_parked:,} rows are parked, the others are kept: {cause}; "
                "run the same command again to do only these, or with --judge.give-up to leave those unscored that "
                "are asked and get no reply"
            )
        names = ", ".join(failed[:5]) + (" …" if len(failed) > 5 else "")
        return StageError(
            f"{title}: {len(failed)} of {len(self.source.shards)} shards failed ({names}): {cause}; "
            "run the same command again to retry only these"
        )

    def _said_counts(self, found: ReadBack) -> dict[str, int]:
        """Rows in, out, failed and cut, after saying what a user should know of them."""
        stage = self.stage
        if found.cut:
            say(
                f"  {stage.title}: {found.cut:,} rows were longer than the model can read and lost the left of their "
                "context"
            )
        counts = {"in": self.source.manifest.counts.get("out", 0), "out": found.rows, "errors": found.errors}
        if UNSCORED in stage.schema.names:
            counts["unscored"] = found.unscored
        if stage.cut_column:
            counts["cut_on_the_left"] = found.cut
        if stage.margin_column:
            counts["close"] = list_close_rows(self.place, found.close, stage.title)
        return counts
