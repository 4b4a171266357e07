"""Irregular English verbs: the past tense, and the past participle where it differs from it."""

from raycalib.sources.facts.family import Family, make_family, read_table

PAST_PHRASINGS = (
    'What is the past tense of the verb "{subject}"?',
    'What is the simple past form of "to {subject}"?',
    'Which form of the verb "{subject}" is its simple past?',
    'How is the verb "{subject}" written in the simple past?',
)
PARTICIPLE_PHRASINGS = (
    'What is the past participle of the verb "{subject}"?',
    'What is the past participle of "to {subject}"?',
    'Which form of the verb "{subject}" is its past participle?',
    'Which form of the verb "{subject}" follows "have" in the perfect tense?',
)
# Some dictionaries accept these verbs' regular past, or one irregular form in the place of the other.
ACCEPTED_REGULAR = frozenset({"awake", "burst", "cost", "creep", "fly", "ring", "string", "tread", "wake", "wind"})
ACCEPTED_SWAP = frozenset({"awake", "drink", "sing", "wake"})


def families() -> tuple[Family, ...]:
    """The families ``verb_past`` and ``verb_participle``."""
    rows = read_table("verbs")
    past = {row["verb"]: row["past"] for row in rows}
    participle = {row["verb"]: row["participle"] for row in rows}
    return (
        make_family("verb_past", "verb", PAST_PHRASINGS, past.items(), lambda verb, _: _near(verb, participle)),
        make_family(
            "verb_participle",
            "verb",
            PARTICIPLE_PHRASINGS,
            participle.items(),
            lambda verb, _: _near(verb, past),
        ),
    )


def _near(verb: str, other_form: dict[str, str]) -> list[str]:
    """Wrong forms of the same verb: its other irregular form, its regular form, its base."""
    forms = [] if verb in ACCEPTED_SWAP else [other_form[verb]]
    if verb not in ACCEPTED_REGULAR and verb != "be":
        forms.append(_regular(verb))
    return [*forms, verb]


def _regular(verb: str) -> str:
    """The form that the verb would have if it were regular."""
    vowels = "aeiou"
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in vowels:
        return verb[:-1] + "ied"
    if len(verb) > 2 and verb[-1] not in "aeiouwxy" and verb[-2] in vowels and verb[-3] not in vowels:
        return verb + verb[-1] + "ed"
    return verb + "ed"
