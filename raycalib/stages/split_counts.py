"""How many questions each split has, said before anything is generated from them."""

from collections.abc import Mapping, Sequence

from raycalib.sources.facts.splits import SPLITS, TEST, TRAIN, VAL_CALIBRATE, VAL_SELECT

TOO_FEW = {
    TRAIN: (50, "to tune on"),
    VAL_SELECT: (20, "to choose a step on"),
    VAL_CALIBRATE: (50, "to fit a temperature on"),
    TEST: (20, "to take figures from"),
}
"""Rows of a style below which a split is of little use, and for what."""


def split_line(counts: Mapping[str, int], styles: Sequence[str]) -> str:
    """Rows of each split, by style where they differ.

    Args:
        counts: of a manifest of questions: by split and style.
        styles: of the run.

    >>> split_line({"train/oe": 800, "test/oe": 1200}, ["oe"])
    '800 train, 1,200 test'
    >>> split_line({"train/oe": 8, "train/choice": 8}, ["oe", "choice"])
    'of each style 8 train'
    >>> split_line({"train/oe": 8, "train/choice": 9}, ["oe", "choice"])
    'oe 8 train; choice 9 train'
    >>> split_line({"mmlu/oe": 9, "test/oe": 2}, ["oe"])
    '2 test, 9 mmlu'
    """
    by_style = {style: _of_style(counts, style) for style in styles}
    if len(styles) == 1:
        return by_style[styles[0]]
    if len(set(by_style.values())) == 1:
        return f"of each style {by_style[styles[0]]}"
    return "; ".join(f"{style} {line}" for style, line in by_style.items())


def _of_style(counts: Mapping[str, int], style: str) -> str:
    named = [name.removesuffix(f"/{style}") for name in counts if name.endswith(f"/{style}")]
    splits = dict.fromkeys([*SPLITS, *named])
    return ", ".join(f"{n:,} {split}" for split in splits if (n := counts.get(f"{split}/{style}", 0)))


def few_lines(counts: Mapping[str, int], styles: Sequence[str]) -> list[str]:
    """What to say of splits with few rows.

    >>> few_lines({"train/oe": 8, "val_select/oe": 20, "val_calibrate/oe": 60, "test/oe": 90}, ["oe"])
    ['8 oe questions in train are few to tune on, 50 are the least that says something']
    """
    return [
        f"{n:,} {style} questions in {split} are few {purpose}, {least} are the least that says something"
        for style in styles
        for split, (least, purpose) in TOO_FEW.items()
        if 0 < (n := counts.get(f"{split}/{style}", 0)) < least
    ]
