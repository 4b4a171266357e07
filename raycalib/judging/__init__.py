"""Right or wrong: grading by string, and later by a judge model."""

from raycalib.judging.string_grading import GRADERS, Grade, GraderName, grade

__all__ = ["GRADERS", "Grade", "GraderName", "grade"]
