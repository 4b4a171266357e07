"""Famous books and plays: title → author."""

from raycalib.sources.facts.family import Family, make_family, read_table

PHRASINGS = (
    'Who wrote "{subject}"?',
    'Who is the author of "{subject}"?',
    'By whom was "{subject}" written?',
    'Which author wrote the work titled "{subject}"?',
)


def families() -> tuple[Family, ...]:
    """The family ``book_author``."""
    pairs = [(row["title"], row["author"]) for row in read_table("books")]
    return (make_family("book_author", "book", PHRASINGS, pairs),)
