"""What runs of other lengths share under ``wsd``: the states that they left where their decays began."""

from collections.abc import Callable
from dataclasses import dataclass

from raycalib.storage import Location
from raycalib.tuning.checkpoint import TrainingState, load_newest, save_checkpoint


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """The beginning of runs that differ in their steps and in the share of their decay alone.

    Attributes:
        place: where its states lie, in the format of checkpoints; all of them are kept.
        key: of all that decides them.
    """

    place: Location
    key: str

    def keep(self, state: TrainingState) -> None:
        """Leaves a state for longer runs.

        Raises:
            StorageError: it cannot be written.
        """
        save_checkpoint(self.place, state, self.key, kept=None)

    def newest(self, until: int, say: Callable[[str], None]) -> TrainingState | None:
        """The newest whole state that is not beyond a step, or None; ``say`` is told of those that are damaged.

        Raises:
            StorageError: the place cannot be read.
        """
        return load_newest(self.place, self.key, say, until)


def first_state(
    checkpoints: Location, key: str, trunk: Trunk | None, branch: int, say: Callable[[str], None]
) -> TrainingState | None:
    """What a run goes on from, or None: its newest checkpoint; without one, its trunk's newest state.

    That becomes its own first checkpoint, so that whoever asks how far the run is sees it.

    Args:
        checkpoints: the run's own.
        key: of the run.
        trunk: of the run, if it has one.
        branch: step after which the run is no longer its trunk.
        say: is told of what is damaged, and of a state that is taken over, a line each.

    Raises:
        StorageError: a place cannot be read or written.
    """
    own = load_newest(checkpoints, key, say)
    if own is not None or trunk is None:
        return own
    state = trunk.newest(branch, say)
    if state is not None:
        save_checkpoint(checkpoints, state, key)
        say(f"its first {state.step} steps are those of a run of another length")
    return state
