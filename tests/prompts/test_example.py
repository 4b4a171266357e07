from raycalib.prompts import Example, choice_context, open_ended_context


def test_text_is_header_context_and_cue() -> None:
    example = Example(prompt="Answer shortly.\n\n", context="Question: Where?", target="Here")
    assert example.text() == "Answer shortly.\n\nQuestion: Where?\nAnswer:"


def test_text_and_answered_text_are_stripped_at_the_ends() -> None:
    example = Example(prompt="\n ", context="Question: Where?", target="Here", target_prompt="\nAnswer: \n")
    assert example.text() == "Question: Where?\nAnswer:"
    assert example.answered("Here \n") == "Question: Where?\nAnswer: \n Here"


def test_the_answer_follows_after_one_space() -> None:
    example = Example(context="Question: Where?", target="Here")
    assert example.answered("Here") == example.text() + " Here"


def test_an_empty_answer_adds_nothing() -> None:
    example = Example(context="Question: Where?", target="Here")
    assert example.answered("") == example.text()


def test_open_ended_context() -> None:
    assert open_ended_context("Who?") == "Question: Who?"


def test_choice_context_letters_up_to_ten_options() -> None:
    written = "Question:\nWho?\n\nChoices:\n  (a): A. B.\n  (b): C: D"
    assert choice_context("Who?", ["A. B.", "C: D"]) == written
    ten = choice_context("Who?", [str(number) for number in range(10)])
    assert ten.endswith("\n  (i): 8\n  (j): 9")
