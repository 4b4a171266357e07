"""Famous paintings and sculptures: title → artist."""

from raycalib.sources.facts.family import Family, make_family, read_table

PHRASINGS = (
    'Which artist created "{subject}"?',
    'Who made the artwork "{subject}"?',
    'Who is the artist behind "{subject}"?',
    'The artwork titled "{subject}" is by which artist?',
)


def families() -> tuple[Family, ...]:
    """The family ``artwork_artist``."""
    pairs = [(row["title"], row["artist"]) for row in read_table("artworks")]
    return (make_family("artwork_artist", "artwork", PHRASINGS, pairs),)
