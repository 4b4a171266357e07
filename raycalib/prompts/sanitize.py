"""From what a model generated to its answer: the first line, by the paper's rule."""


def sanitize(output: str) -> str:
    r"""The first line of an output, after blank lines are collapsed and ``:`` joined to the next line.

    Strips the result, which the paper's code does when it reads its own files back.

    >>> sanitize("\n\nParis\nFrance")
    'Paris'
    >>> sanitize("The answer is:\nParis")
    'The answer is:Paris'
    """
    text = output.strip().replace("\n\n", "\n").replace(":\n", ":").strip("\n")
    return text.split("\n")[0].strip()
