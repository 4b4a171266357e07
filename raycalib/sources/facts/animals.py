"""Animals: the word for their young, their group, their class and their sound."""

from collections.abc import Callable, Sequence

from raycalib.sources.facts.family import MAX_DISTRACTORS, Family, make_family, read_table

# Words of one set can be right for the same animal, so none is a wrong answer where another is right.
_ALIKE: dict[str, tuple[set[str], ...]] = {
    "young": (
        {"cub", "pup", "puppy", "kit", "kitten"},
        {"calf", "pup", "fawn", "kid", "infant"},
        {"piglet", "hoglet", "porcupette", "pup"},
        {"joey", "pup", "kit", "puggle"},
        {"leveret", "kit", "kitten"},
        {"infant", "kit", "cub", "pup"},
        {"foal", "calf"},
        {"lamb", "kid"},
        {"elver", "fry", "pup"},
        {"caterpillar", "maggot", "nymph"},
        {"chick", "hatchling", "squab", "poult", "peachick", "eyas", "puffling"},
        {"chick", "hatchling", "gosling", "duckling", "cygnet", "owlet", "eaglet"},
    ),
    "group": (
        {"murder", "unkindness", "conspiracy"},
        {"troop", "mob", "conspiracy"},
        {"army", "knot", "colony"},
        {"congregation", "bask"},
        {"quiver", "rhumba"},
        {"crash", "bloat", "pod"},
        {"mischief", "plague"},
        {"shiver", "fever"},
        {"convocation", "committee"},
        {"pride", "coalition", "leap", "clowder"},
        {"herd", "flock", "mob", "troop"},
    ),
    "sound": (
        {"bark", "howl", "growl", "roar", "meow", "hiss", "laugh"},
        {"chirp", "squeak", "chatter", "buzz", "squawk"},
        {"crow", "cluck", "squawk"},
        {"honk", "quack", "hiss", "squawk", "gobble", "cluck"},
        {"caw", "croak", "squawk", "crow", "rattle"},
        {"hiss", "rattle"},
        {"chatter", "hoot", "howl", "bark", "laugh"},
        {"coo", "hoot", "chirp"},
        {"oink", "squeak"},
        {"trumpet", "roar", "growl"},
        {"bark", "honk"},
        {"neigh", "bray"},
        {"croak", "chirp"},
    ),
}
# Words that fit many animals: right as an answer, never offered as a wrong one.
_LOOSE = {"herd", "flock", "pack", "swarm", "colony"}


def _near(column: str, answers: Sequence[str]) -> Callable[[str, str], list[str]]:
    """Wrong answers of a column: words of other animals that cannot also be right."""
    offered = list(dict.fromkeys(answer for answer in answers if answer and answer not in _LOOSE))

    def near(_: str, answer: str) -> list[str]:
        alike = {answer}.union(*(words for words in _ALIKE.get(column, ()) if answer in words))
        place = offered.index(answer) if answer in offered else 0
        nearest = sorted(offered, key=lambda word: abs(offered.index(word) - place))
        return [word for word in nearest if word not in alike][:MAX_DISTRACTORS]

    return near


_PHRASINGS = {
    "young": (
        "What is a young {subject} called?",
        "What is the word for the young of the {subject}?",
        "What do you call the offspring of the {subject}?",
        "Which word names a baby {subject}?",
    ),
    "group": (
        "What is the best-known collective noun for the animal {subject}?",
        "Which collective noun is used for the animal {subject}?",
        "What is a group of this animal called: {subject}?",
        "Which word names a group of the animal {subject}?",
    ),
    "class": (
        "To which class of animals does the {subject} belong?",
        "What kind of animal is the {subject}?",
        "How is the {subject} classified in zoology?",
        "Which group of animals includes the {subject}?",
    ),
    "sound": (
        "Which sound is typical of the {subject}?",
        "What is the typical sound of the {subject} called?",
        "Which sound does the {subject} typically make?",
        "Which word names the usual call of the {subject}?",
    ),
}


def families() -> tuple[Family, ...]:
    """Young, group, class and sound of each animal."""
    rows = read_table("animals")
    built = []
    for column, phrasings in _PHRASINGS.items():
        answers = [row[column] for row in rows]
        pairs = [(row["animal"], row[column]) for row in rows]
        built.append(make_family(f"animal_{column}", "animal", phrasings, pairs, _near(column, answers)))
    return tuple(built)
