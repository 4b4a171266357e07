"""Figures of Greek mythology: the Greek name → the Roman counterpart."""

from raycalib.sources.facts.family import Family, make_family, read_table

PHRASINGS = (
    "What is the Roman counterpart of {subject} from Greek mythology?",
    "By what name was the Greek {subject} known to the Romans?",
    "Which figure of Roman mythology corresponds to the Greek {subject}?",
    "What is the Roman name of the mythological figure whom the Greeks called {subject}?",
)


def families() -> tuple[Family, ...]:
    """The family ``deity_roman``."""
    pairs = [(row["greek"], row["roman"]) for row in read_table("mythology")]
    return (make_family("deity_roman", "deity", PHRASINGS, pairs),)
