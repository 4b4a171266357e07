"""Choosing some of many rows by a number drawn from each row's content: the same ones in whatever order they come."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raycalib.sources.drawing.mixture import even_quotas
from raycalib.sources.drawing.row_ids import RowIds
from raycalib.sources.drawing.streams import Candidate, Stream
from raycalib.sources.names import SourcePart

Place = tuple[int, str]
"""Number of a stream, and a split of the run."""

KeyArray = np.ndarray


class Keys:
    """Draws the key of each candidate; equal rows get different ones."""

    def __init__(self, seed: int) -> None:
        self._seed = str(seed)
        self._ids = RowIds()

    def of(self, candidate: Candidate) -> int:
        """A number below 2**64."""
        return int(self._ids.of("choose", self._seed, *candidate.stream.content(candidate)), 16)


@dataclass(frozen=True)
class Selection:
    """The largest key that is taken, by stream and split; what is not named is taken whole."""

    largest: Mapping[Place, int]

    def limits(self, stream: int) -> bool:
        """Whether any row of the stream may be left out."""
        return any(place[0] == stream for place in self.largest)

    def takes(self, stream: int, split: str, key: int) -> bool:
        """Whether a row is taken."""
        return key <= self.largest.get((stream, split), key)


def select(streams: Sequence[Stream], parts: Sequence[SourcePart], limits: Mapping[str, int], seed: int) -> Selection:
    """Goes once through the streams that a limit touches and finds where to cut.

    Args:
        streams: all streams of a style.
        parts: the parts of the source's name, with their limits.
        limits: at most so many rows of a split, over all streams.
        seed: of the keys.
    """
    if not limits and not any(part.limit for part in parts) and all(stream.even_total is None for stream in streams):
        return Selection({})
    keys = _all_keys(streams, parts, limits, seed)
    kept = dict(keys)
    _even_streams(kept, streams)
    for index, part in enumerate(parts):
        for split in {place[1] for place in kept}:
            _cut(kept, [p for p in kept if p[1] == split and streams[p[0]].part == index], part.limit)
    for split, limit in limits.items():
        _cut(kept, [place for place in kept if place[1] == split], limit)
    return Selection({place: int(found.max()) if len(found) else -1 for place, found in kept.items()})


def _all_keys(
    streams: Sequence[Stream], parts: Sequence[SourcePart], limits: Mapping[str, int], seed: int
) -> dict[Place, KeyArray]:
    keys = Keys(seed)
    found: dict[Place, array[int]] = defaultdict(lambda: array("Q"))
    for index, stream in enumerate(streams):
        if not limits and parts[stream.part].limit is None and stream.even_total is None:
            continue
        for event in stream.events():
            if isinstance(event, Candidate):
                found[index, event.split].append(keys.of(event))
    return {place: np.frombuffer(drawn, dtype=np.uint64) for place, drawn in found.items()}


def _even_streams(kept: dict[Place, KeyArray], streams: Sequence[Stream]) -> None:
    """Cuts the streams that give a total together to quotas that are as even as can be."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, stream in enumerate(streams):
        if stream.even_total is not None:
            groups[stream.part, stream.even_total].append(index)
    for (_, total), indexes in groups.items():
        sizes = {str(index): sum(len(kept[place]) for place in kept if place[0] == index) for index in indexes}
        for name, quota in even_quotas(sizes, total).items():
            _cut(kept, [place for place in kept if place[0] == int(name)], quota)


def _cut(kept: dict[Place, KeyArray], places: Iterable[Place], limit: int | None) -> None:
    """Leaves the ``limit`` smallest keys of all the places together."""
    listed = list(places)
    if limit is None or sum(len(kept[place]) for place in listed) <= limit:
        return
    together = np.concatenate([kept[place] for place in listed])
    largest = np.partition(together, limit - 1)[limit - 1] if limit else -1
    for place in listed:
        kept[place] = kept[place][kept[place] <= largest]
