"""Prints shell lines that put secrets from the provider's store into the environment: ``eval "$(python secret.py …)"``.

``python secret.py aws HF_TOKEN OPENAI_API_KEY`` reads ``raycalib/HF_TOKEN`` and ``raycalib/OPENAI_API_KEY`` of AWS
Secrets Manager, ``python secret.py gcp …`` reads ``raycalib-HF_TOKEN`` and so on of Secret Manager of the machine's own
project. Values go to standard output alone, which ``eval`` takes in; a secret that does not exist, or may not be read,
is said on standard error and left out.
"""

import argparse
from base64 import b64decode
import json
import shlex
import sys
from urllib.error import URLError
from urllib.request import Request, urlopen

GCP_METADATA = "http://metadata.google.internal"
GCP_SECRETS = "https://secretmanager.googleapis.com"


class NoSecretError(Exception):
    """There is no such secret, or this machine may not read it."""


def from_aws(name: str) -> str:
    """The value of ``raycalib/NAME`` in the region of the environment."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return boto3.client("secretsmanager").get_secret_value(SecretId=f"raycalib/{name}")["SecretString"]
    except ClientError as error:
        raise NoSecretError(error.response["Error"]["Code"]) from None
    except BotoCoreError as error:
        raise NoSecretError(type(error).__name__) from None


def _get(url: str, headers: dict[str, str]) -> str:
    with urlopen(Request(url, headers=headers), timeout=10) as answer:
        return answer.read().decode()


def from_gcp(name: str, metadata: str = GCP_METADATA, secrets: str = GCP_SECRETS) -> str:
    """The newest value of ``raycalib-NAME``, by the rights of the machine's service account."""
    google = {"Metadata-Flavor": "Google"}
    try:
        project = _get(f"{metadata}/computeMetadata/v1/project/project-id", google)
        token = _get(f"{metadata}/computeMetadata/v1/instance/service-accounts/default/token", google)
        bearer = {"Authorization": f"Bearer {json.loads(token)['access_token']}"}
        url = f"{secrets}/v1/projects/{project}/secrets/raycalib-{name}/versions/latest:access"
        return b64decode(json.loads(_get(url, bearer))["payload"]["data"]).decode()
    except (URLError, OSError) as error:
        raise NoSecretError(str(getattr(error, "code", type(error).__name__))) from None


STORES = {"aws": from_aws, "gcp": from_gcp}


def main() -> int:
    """The exit code: 0, also where a secret is missing, since not every run needs every one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", choices=sorted(STORES))
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    for name in arguments.names:
        try:
            value = STORES[arguments.store](name).strip()
        except NoSecretError as error:
            print(f"{name} is not set: the store answers {error}", file=sys.stderr)
        else:
            print(f"export {shlex.quote(name)}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
