"""Right or wrong: grading by string, and by a judge model."""

from raycalib.judging.grade import Grade
from raycalib.judging.judge_prompts import SYSTEM_PROMPT, answer_key_prompt, two_answers_prompt
from raycalib.judging.prompt_versions import JUDGE_PROMPTS, JudgePromptName, judge_prompt
from raycalib.judging.right_answer import shown_right_answer
from raycalib.judging.string_grading import (
    GRADERS,
    STRING_GRADERS,
    STRING_RULES_VERSION,
    GraderName,
    StringGraderName,
    grade,
)
from raycalib.judging.verdicts import parse_verdict

__all__ = [
    "GRADERS",
    "JUDGE_PROMPTS",
    "STRING_GRADERS",
    "STRING_RULES_VERSION",
    "SYSTEM_PROMPT",
    "Grade",
    "GraderName",
    "JudgePromptName",
    "StringGraderName",
    "answer_key_prompt",
    "grade",
    "judge_prompt",
    "parse_verdict",
    "shown_right_answer",
    "two_answers_prompt",
]
