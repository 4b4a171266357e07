r"""Puts a run's bundle, and the labelled answers that it was tuned on, on the hub.

python jobs/publish.py --run runs/demo --combo llama2:7b/oe --to org/llama2-7b-oe --dry-run    # files, sizes and card
HF_TOKEN=… python jobs/publish.py --run runs/demo --combo llama2:7b/oe --to org/llama2-7b-oe
"""

from collections.abc import Sequence
from dataclasses import dataclass

from raycalib.cli import run_job, simple_config
from raycalib.errors import ConfigError
from raycalib.printable import printable_lines

DESCRIPTION = """Puts a run's bundle, and the labelled answers that it was tuned on, on the hub.

The bundle goes to --to as a model: adapter, classifiers, temperatures, calibration rows' log-odds, raycalib.json and a
card; the labelled answers to a data set of the same name with -labelled behind it (--no-data leaves them out). What is
not the bundle's stays here, and so do paths of this machine. The token comes from the environment alone (HF_TOKEN).

  --dry-run    shows the files, their sizes and the card, and sends nothing"""


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """What is published, and where to.

    Attributes:
        run: directory of the run, or an fsspec URI.
        combo: whose bundle, as llama2:7b/oe.
        to: repository of the hub, as org/name.
        data: the labelled answers, too.
        licence: of the base model by the hub's name, such as apache-2.0; else what is known of it.
        private: others may not see it.
        dry_run: show what would be sent, and send nothing.
    """

    run: str = ""
    combo: str = ""
    to: str = ""
    data: bool = True
    licence: str = ""
    private: bool = False
    dry_run: bool = False


def main(arguments: Sequence[str]) -> None:
    """Publishes, or shows what would be published."""
    config = simple_config(PublishConfig, arguments, DESCRIPTION)
    for name in ("run", "combo", "to"):
        if not getattr(config, name):
            raise ConfigError(f"{name}: name it by --{name}")
    from raycalib.bundles.card import CARD
    from raycalib.bundles.publish import Publication, check_publishable, file_lines, find_bundle, folders, publish
    from raycalib.storage import Location

    run = Location(config.run)
    bundle = find_bundle(run, config.combo)
    labelled = run / "labelled" / bundle.record.trained_on.labelled if config.data else None
    publication = Publication(
        bundle=bundle, to=config.to, labelled=labelled, licence=config.licence, private=config.private
    )
    if not config.dry_run:
        for address in publish(publication):
            print(f"Published: {address}")
        return
    check_publishable(publication)
    with folders(publication) as found:
        print("\n".join(file_lines(found)))
        print(f"\n{printable_lines((found[0][2] / CARD).read_text('utf-8'))}")


def command() -> None:
    """The job as a program."""
    run_job(main)


if __name__ == "__main__":
    command()
