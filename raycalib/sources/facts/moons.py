"""The planets in their order from the Sun, and moons with the planet or dwarf planet they orbit."""

from raycalib.sources.facts.family import Family, make_family, read_table

_PLANETS = ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")
_BEST_KNOWN = (3, 4, 1, 2, 5, 6, 8, 7)


def families() -> tuple[Family, ...]:
    """Order of the planets; what each moon orbits."""
    return (
        make_family(
            "planet_order",
            "planet",
            (
                "Which planet is number {subject} from the Sun?",
                "Counting from the Sun, which planet is number {subject}?",
                "What is planet number {subject} of the solar system, counted from the Sun?",
                "Starting at the Sun and moving outward, which planet is number {subject}?",
            ),
            [(str(number), _PLANETS[number - 1]) for number in _BEST_KNOWN],
        ),
        make_family(
            "moon_planet",
            "moon",
            (
                "Which planet or dwarf planet does the moon {subject} orbit?",
                "The moon {subject} belongs to which planet or dwarf planet?",
                "Around which planet or dwarf planet does the moon {subject} revolve?",
                "Which planet or dwarf planet has a moon named {subject}?",
            ),
            [(row["moon"], row["orbits"]) for row in read_table("moons")],
        ),
    )
