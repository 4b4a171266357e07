"""Famous operas, ballets and concert works: title → composer."""

from raycalib.sources.facts.family import Family, make_family, read_table

PHRASINGS = (
    'Who composed "{subject}"?',
    'Which composer wrote "{subject}"?',
    'Who wrote the musical work "{subject}"?',
    'By which composer is "{subject}"?',
)


def families() -> tuple[Family, ...]:
    """The family ``music_composer``."""
    pairs = [(row["title"], row["composer"]) for row in read_table("music")]
    return (make_family("music_composer", "music", PHRASINGS, pairs),)
