"""Does the premise entail the hypothesis? ANLI in three rounds, SNLI, and CB of SuperGLUE."""

from raycalib.sources.hub.columns import fixed, number
from raycalib.sources.hub.declaration import HubSource, OpenEndedText, StyleText
from raycalib.sources.hub.declared.super_glue import SUPER_GLUE, SUPER_GLUE_REVISION

UNSURE = "It's impossible to say"
ABOUT_ENTAILMENT = "The following are questions (with premise, hypothesis, and answers) about entailment."
CHOICE = StyleText(
    context="Premise:\n{premise}\n\nHypothesis:\n{hypothesis}",
    intro="The following are questions (with multiple-choice answers) about entailment.",
)
OE = OpenEndedText(
    context="Read the following premise and answer if the hypothesis is true. "
    f'Respond with only "Yes", "No", or "{UNSURE}" answer and no additional text.\n'
    "{premise}\nHypothesis: {hypothesis}",
    intro=ABOUT_ENTAILMENT,
)

SNLI = HubSource(
    name="snli",
    hub_id="stanfordnlp/snli",
    revision="cdb5c3d5eed6ead6e5a341c8e56e669bb666725b",
    splits={"train": "train", "validation": "validation", "test": "test"},
    shots_from="train",
    choice=CHOICE,
    oe=OE,
    options=fixed("Yes", UNSURE, "No"),
    answer=number("label"),
    group_by="premise",
)


def anli(adversarial_round: int) -> HubSource:
    """One round of ANLI; its dev rows serve as few-shot examples only."""
    return HubSource(
        name=f"anli_r{adversarial_round}",
        hub_id="facebook/anli",
        revision="8e4813d81f46d313dac7892e1c28076917cfcdf9",
        splits={"train": f"train_r{adversarial_round}", "test": f"test_r{adversarial_round}"},
        shots_from=f"dev_r{adversarial_round}",
        choice=CHOICE,
        oe=OE,
        options=fixed("Yes", UNSURE, "No"),
        answer=number("label"),
        group_by="premise",
    )


CB = HubSource(
    name="cb",
    hub_id=SUPER_GLUE,
    revision=SUPER_GLUE_REVISION,
    config="cb",
    splits={"train": "train", "validation": "validation"},
    shots_from="train",
    choice=StyleText(context=CHOICE.context, intro=ABOUT_ENTAILMENT),
    oe=OpenEndedText(
        context="Read the following premise and answer if the hypothesis is true. "
        f'Respond only with "Yes", "No", or "{UNSURE}" and no additional text.\n'
        "{premise}\nHypothesis: {hypothesis}.",
        intro=ABOUT_ENTAILMENT,
    ),
    options=fixed("Yes", "No", UNSURE),
    answer=number("label"),
    group_by="premise",
)

SOURCES = (anli(1), anli(2), anli(3), SNLI, CB)
