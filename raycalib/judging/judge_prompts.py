"""What a judge model is asked, in the paper's words (llm/datasets/llm_utils_oe.py of its repository).

A text goes into its place in one step, so that one which looks like another's place ("<prediction>") is only a text.
"""

SYSTEM_PROMPT = "You are an automated grading assistant helping a teacher grade student answers."


def answer_key_prompt(question: str, target: str, answer: str) -> str:
    r"""Asks whether a proposed answer means the same as the right one, yes or no.

    Args:
        question: as the model read it, with its answer cue.
        target: the right answer.
        answer: the proposed answer.

    >>> answer_key_prompt("Question: 2 + 2?\nAnswer:", "4", "four")[:42]
    'The problem is: Question: 2 + 2?\nAnswer:\n\n'
    """
    return (
        f"The problem is: {question}\n\n The correct answer for this problem is: {target}\n"
        f" A student submitted the answer: {answer}\n"
        " The student's answer must be correct and specific but not overcomplete (for example, if they provide two "
        "different answers, they did not get the question right). However, small differences in formatting should not "
        "be penalized (for example, 'New York City' is equivalent to 'NYC'). Did the student provide an equivalent "
        "answer to the ground truth? Please answer yes or no without any explanation: "
    )


def two_answers_prompt(question: str, first: str, second: str) -> str:
    """Asks whether two proposed answers mean the same, yes or no.

    Args:
        question: as the model read it, with its answer cue.
        first: a proposed answer.
        second: another.
    """
    return (
        f"The problem is: {question}\n\nStudent A submitted the answer: {first}\n"
        f" Student B submitted the answer: {second}\n"
        "Your task is to evaluate if these two answers are equivalent, so the teacher can group matching answers "
        "together. Small differences in formatting should not be a reason to mark the answers as different. Did the "
        "two students provide equivalent answers? Please answer yes or no without any explanation: "
    )
