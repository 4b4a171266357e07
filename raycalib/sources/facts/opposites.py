"""English words and their opposites (hot → cold)."""

from raycalib.sources.facts.family import MAX_DISTRACTORS, Family, make_family, read_table

PHRASINGS = (
    'What is the opposite of "{subject}"?',
    'Which word means the opposite of "{subject}"?',
    'What is the antonym of "{subject}"?',
    'Which word is opposite in meaning to "{subject}"?',
)


def families() -> tuple[Family, ...]:
    """The family ``word_opposite``; the word asked about is never among its own wrong answers."""
    pairs = [(row["word"], row["opposite"]) for row in read_table("opposites")]
    place = {word: index for index, (word, _) in enumerate(pairs)}

    def near(word: str, answer: str) -> list[str]:
        nearest = sorted(pairs, key=lambda pair: abs(place[pair[0]] - place[word]))
        others = dict.fromkeys(opposite for _, opposite in nearest if opposite not in (word, answer))
        return list(others)[:MAX_DISTRACTORS]

    return (make_family("word_opposite", "adjective", PHRASINGS, pairs, near),)
