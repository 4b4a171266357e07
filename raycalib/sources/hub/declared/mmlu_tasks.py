"""The 57 tasks of MMLU in their four categories, and the 14 categories of MMLU-Pro."""

STEM = "STEM"
HUMANITIES = "Humanities"
SOCIAL_SCIENCES = "Social Sciences"
OTHER = "Other"

TASKS_BY_CATEGORY = {
    STEM: (
        "abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science "
        "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
        "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
        "high_school_mathematics high_school_physics high_school_statistics machine_learning"
    ),
    HUMANITIES: (
        "formal_logic high_school_european_history high_school_us_history high_school_world_history "
        "international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory "
        "professional_law world_religions"
    ),
    SOCIAL_SCIENCES: (
        "econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics "
        "high_school_microeconomics high_school_psychology human_sexuality professional_psychology public_relations "
        "security_studies sociology us_foreign_policy"
    ),
    OTHER: (
        "business_ethics clinical_knowledge college_medicine global_facts human_aging management marketing "
        "medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology"
    ),
}

MMLU_TASKS: dict[str, str] = dict(
    sorted((task, category) for category, tasks in TASKS_BY_CATEGORY.items() for task in tasks.split())
)
"""From task to category."""

MMLU_PRO_CATEGORIES = (
    "biology",
    "business",
    "chemistry",
    "computer_science",
    "economics",
    "engineering",
    "health",
    "history",
    "law",
    "math",
    "other",
    "philosophy",
    "physics",
    "psychology",
)
