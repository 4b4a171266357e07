from raycalib.prompts import NO_LABEL, QUERY_SUFFIX, QUERY_VERSION, YES_LABEL, Example, query_text


def test_exact_text() -> None:
    example = Example(context="Question: What is the capital of France?", target="Paris")
    assert query_text(example.text(), "Paris") == (
        "Question: What is the capital of France?\n"
        "Answer: Paris\n"
        "\n"
        "Is the proposed answer correct?\n"
        "Choices:\n"
        "(i): no\n"
        "(ii): yes\n"
        "Answer:"
    )


def test_labels_and_version_are_an_interface() -> None:
    assert (NO_LABEL, YES_LABEL, QUERY_VERSION) == ("i", "ii", "roman-choice-1")


def test_an_empty_answer_leaves_no_space_before_the_query() -> None:
    assert query_text("Question: Who?\nAnswer:", "") == "Question: Who?\nAnswer:" + QUERY_SUFFIX
