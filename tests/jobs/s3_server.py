"""An S3 server of this machine: moto's, in a process of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import os
from pathlib import Path
import socket
import subprocess
import sys
import time
from urllib.request import Request, urlopen

import fsspec

from tests.jobs.processes import kill_family

BUCKET = "runs"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}


class S3Server:
    """Where it answers, and what a process needs to find it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @property
    def environment(self) -> Mapping[str, str]:
        """What boto, s3fs and Arrow read."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": self.endpoint}

    def files(self) -> fsspec.AbstractFileSystem:
        """The server's files, as they are now."""
        return fsspec.filesystem(
            "s3",
            endpoint_url=self.endpoint,
            key=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            secret=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            client_kwargs={"region_name": CREDENTIALS["AWS_DEFAULT_REGION"]},
            skip_instance_cache=True,
            use_listings_cache=False,
        )


@contextmanager
def s3_server(log: Path, start_within_s: float = 60) -> Iterator[S3Server]:
    """A server with an empty bucket, which ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **CREDENTIALS})
    server = S3Server(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + start_within_s
        while True:
            try:
                urlopen(Request(f"{server.endpoint}/{BUCKET}", method="PUT"), timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text(errors="replace")[-2000:]
                assert time.monotonic() < deadline, "the S3 server does not answer"
                time.sleep(0.3)
        yield server
    finally:
        kill_family(process)
