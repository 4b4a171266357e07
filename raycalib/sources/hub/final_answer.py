"""The short answer at the end of a worked solution."""

import re

FINAL = re.compile(r"^[ \t]*####[ \t]*(\S[^\n]*?)\s*\Z", re.MULTILINE)


def final_answer(solution: str) -> str | None:
    r"""What stands behind ``####`` in the last line; None where that is no such line.

    >>> final_answer("2 rows of 3 are 2 * 3 = 6.\n#### 6")
    '6'
    """
    found = FINAL.search(solution)
    return found[1] if found else None
