"""Right or wrong: grading by string, and later by a judge model."""

from raycalib.judging.judge_prompts import SYSTEM_PROMPT, answer_key_prompt, two_answers_prompt
from raycalib.judging.string_grading import GRADERS, Grade, GraderName, grade

__all__ = [
    "GRADERS",
    "SYSTEM_PROMPT",
    "Grade",
    "GraderName",
    "answer_key_prompt",
    "grade",
    "two_answers_prompt",
]
