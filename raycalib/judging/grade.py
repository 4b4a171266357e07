"""What grading gives, whoever grades."""

from typing import NamedTuple


class Grade(NamedTuple):
    """1 correct, 0 not, None unscored with the reason."""

    query_label: int | None
    unscored_reason: str | None = None
