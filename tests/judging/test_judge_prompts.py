from raycalib.judging import answer_key_prompt, two_answers_prompt

QUESTION = "Question: What is the capital of France?\nAnswer:"


def test_every_text_stands_once_in_its_place() -> None:
    keyed = answer_key_prompt(QUESTION, "Paris", "Lyon")
    assert keyed.startswith(
        f"The problem is: {QUESTION}\n\n The correct answer for this problem is: Paris\n A student "
    )
    assert " submitted the answer: Lyon\n The student's answer must" in keyed
    both = two_answers_prompt(QUESTION, "Paris", "Lyon")
    assert both.startswith(f"The problem is: {QUESTION}\n\nStudent A submitted the answer: Paris\n Student B submitted")
    assert " Student B submitted the answer: Lyon\nYour task" in both
    for prompt in (keyed, both):
        assert [prompt.count(text) for text in (QUESTION, "Paris", "Lyon")] == [1, 1, 1]
        assert prompt.endswith("Please answer yes or no without any explanation: ")


def test_a_text_that_looks_like_a_place_is_only_a_text() -> None:
    question, target, answer = "<ground-truth> {target}", "<prediction> {answer} %s", "<question> {question} \\1"
    for prompt in (answer_key_prompt(question, target, answer), two_answers_prompt(question, target, answer)):
        assert [prompt.count(text) for text in (question, target, answer)] == [1, 1, 1]
