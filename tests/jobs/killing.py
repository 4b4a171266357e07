"""Kill -9 of a command with all that it started."""

import subprocess

import psutil


def kill_family(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and its descendants, and waits until they are gone."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=30)
    process.wait(timeout=30)
