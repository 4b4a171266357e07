"""Common English nouns and their Spanish, French, German and Italian translations."""

from raycalib.sources.facts.family import Family, make_family, read_table

LANGUAGES = ("Spanish", "French", "German", "Italian")


def families() -> tuple[Family, ...]:
    """The families ``word_spanish``, ``word_french``, ``word_german`` and ``word_italian``."""
    rows = read_table("words")
    return tuple(
        make_family(
            f"word_{language.lower()}",
            "word",
            _phrasings(language),
            [(row["english"], row[language.lower()]) for row in rows],
        )
        for language in LANGUAGES
    )


def _phrasings(language: str) -> tuple[str, ...]:
    """The question in four wordings for one language."""
    return (
        f'What is the {language} word for "{{subject}}"?',
        f'How do you say "{{subject}}" in {language}?',
        f'Which {language} noun means "{{subject}}"?',
        f'What is the English noun "{{subject}}" called in {language}?',
    )
