"""What to do where tuning failed."""

from raycalib.run_logs import RUN_LOGS


def what_to_do(cause: str) -> str:
    """The remedy for a cause, and what becomes of the run; checkpoints suit other settings of memory."""
    goes_on = (
        "checkpoints stay, run the same command again to go on from them; what the workers printed is in "
        f"{RUN_LOGS.where}"
    )
    if "out of memory" not in cause.lower():
        return goes_on
    return (
        "give a smaller --tuning.micro-batch-size, --tuning.gradient-checkpointing, --tuning.base-bits 8, or more "
        f"workers with --tuning.zero-stage 3; --plan says what fits; {goes_on}"
    )
