"""No file of cluster/ holds a secret or lets the world in; secrets come from the provider's store when Ray starts."""

from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
from pathlib import Path
import re
import subprocess
import threading
from typing import Any

import boto3
import moto
import pytest

from cluster import secret
from tests.cluster.cluster_files import RENTED, TEXTS, load

VALUE = 'it\'s a $(key) with "signs" & spaces'
LIKE_SECRETS = {
    "an AWS key": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "a key of OpenAI": r"\bsk-[A-Za-z0-9_-]{16,}",
    "a token of the hub": r"\bhf_[A-Za-z0-9]{16,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    "a key of Google": r"\bAIza[A-Za-z0-9_-]{30,}|\bya29\.[A-Za-z0-9_-]+",
    "a web token": r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a value": r"(?i)\b(password|secret_access_key|api_key|auth_token|hf_token)\b\s*[:=]\s*[\"']?[A-Za-z0-9+/_-]{12,}",
    "long hexadecimal digits": r"\b[0-9a-f]{40,}\b",
}
WORLD = re.compile(r"0\.0\.0\.0|::/0")


def looks_like(text: str) -> list[str]:
    """The kinds of secret that a text seems to hold."""
    return [kind for kind, pattern in LIKE_SECRETS.items() if re.search(pattern, text)]


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "A1B2" * 4,
        "export OPENAI_API_KEY=sk-" + "proj-Ab12" * 3,
        "HF_TOKEN: hf_" + "aB3d" * 6,
        "-----BEGIN RSA PRIVATE " + "KEY-----",
        "password: correct-horse-battery",
        "RAY_AUTH_TOKEN: " + "0a" * 32,
    ],
)
def test_what_looks_like_a_secret_is_found(text: str) -> None:
    assert looks_like(text)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_file_looks_as_if_it_held_one(path: Path) -> None:
    assert looks_like(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_nothing_is_open_to_the_world(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if WORLD.search(line)]
    out = "DestinationCidrBlock: 0.0.0.0/0, GatewayId: !Ref Gateway"  # the machines' own way to the internet
    assert [line for line in lines if out not in line] == []
    assert len(lines) == (1 if path.name == "aws-account.yaml" else 0)


@pytest.mark.parametrize("name", RENTED)
def test_the_judges_key_is_read_on_the_head_alone(name: str) -> None:
    config = load(name)
    head, worker = (" ".join(config[f"{role}_start_ray_commands"]) for role in ("head", "worker"))
    assert f"secret.py {name} HF_TOKEN OPENAI_API_KEY)" in head
    assert f"secret.py {name} HF_TOKEN)" in worker
    elsewhere = {key: value for key, value in config.items() if key != "head_start_ray_commands"}
    assert "OPENAI_API_KEY" not in json.dumps(elsewhere)


def exported(lines: str, name: str) -> str:
    """What a shell holds in that variable once it has taken in the lines."""
    script = f'eval "$1"; printf %s "${name}"'
    return subprocess.run(["bash", "-c", script, "-", lines], text=True, capture_output=True, check=True, env={}).stdout


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """What the script prints, and what it says on standard error."""
    monkeypatch.setattr("sys.argv", ["secret.py", *arguments])
    assert secret.main() == 0
    return capsys.readouterr()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_secrets_of_aws(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        boto3.client("secretsmanager").create_secret(Name="raycalib/HF_TOKEN", SecretString=f"{VALUE}\n")
        out, err = call(monkeypatch, capsys, "aws", "HF_TOKEN", "OPENAI_API_KEY")
    assert exported(out, "HF_TOKEN") == VALUE
    assert err == "OPENAI_API_KEY is not set: the store answers ResourceNotFoundException\n"
    assert "OPENAI_API_KEY" not in out


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Metadata and secrets of a project that has one secret."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers = {
                "/computeMetadata/v1/project/project-id": "some-project",
                "/computeMetadata/v1/instance/service-accounts/default/token": '{"access_token": "short-lived"}',
            }
            payload = json.dumps({"payload": {"data": b64encode(VALUE.encode()).decode()}})
            secrets = {"/v1/projects/some-project/secrets/raycalib-HF_TOKEN/versions/latest:access": payload}
            known = answers if self.headers["Metadata-Flavor"] == "Google" else {}
            known = secrets if self.headers["Authorization"] == "Bearer short-lived" else known
            self.send_response(200 if self.path in known else 404)
            self.end_headers()
            self.wfile.write(known.get(self.path, "").encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setitem(secret.STORES, "gcp", lambda name: secret.from_gcp(name, address, address))
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


def test_secrets_of_google(google: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = call(monkeypatch, capsys, "gcp", "HF_TOKEN", "OPENAI_API_KEY")
    assert exported(out, "HF_TOKEN") == VALUE
    assert err == "OPENAI_API_KEY is not set: the store answers 404\n"
