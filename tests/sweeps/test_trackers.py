"""What trackers need is looked for before a sweep starts."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.sweep import main
from raycalib.errors import ConfigError
from raycalib.sweeps import trackers
from raycalib.sweeps.settings import SweepSettings
from raycalib.sweeps.trackers import require_trackers

SECRET = "sk-planted-7f3a9c1e5b"
CELLS = ["--recipe", "smoke", "--axis", "kl_decay=0,1"]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages are there; no key, no server, nobody is logged in."""
    variables = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL", "MLFLOW_TRACKING_URI")
    for name in (*variables, "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    installed(monkeypatch, "mlflow", "wandb", "sqlalchemy", "alembic")
    return tmp_path


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: SimpleNamespace() if name in names else None)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_package_that_is_missing_is_a_line_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    with pytest.raises(ConfigError, match=rf"trackers: {name} needs .* pip install 'raycalib\[{name}\]'"):
        main([*CELLS, "--trackers", name])
    require_trackers((), "runs/x")


def test_a_plan_needs_no_tracker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    installed(monkeypatch)
    main([*CELLS, "--trackers", "wandb", "mlflow", "--plan"])
    assert "trials" in capsys.readouterr().out


def test_an_unknown_tracker_is_refused_with_those_that_are_allowed() -> None:
    with pytest.raises(ConfigError, match="trackers: 'comet' is unknown; allowed: mlflow, wandb"):
        SweepSettings(trackers=("comet",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"mlflow.*wandb"):
        main([*CELLS, "--trackers", "comet"])


def test_mlflow_on_an_object_store_wants_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    require_trackers(["mlflow"], "runs/x")
    with pytest.raises(ConfigError, match="s3://bucket/sweep is none; name a server by MLFLOW_TRACKING_URI"):
        require_trackers(["mlflow"], "s3://bucket/sweep")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    require_trackers(["mlflow"], "s3://bucket/sweep")


def test_a_database_wants_its_packages_and_a_server_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "mlflow", "sqlalchemy")
    with pytest.raises(ConfigError, match=r"mlflow's database needs alembic: pip install 'raycalib\[mlflow\]'"):
        require_trackers(["mlflow"], "runs/x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    require_trackers(["mlflow"], "runs/x")


def test_wandb_wants_a_key_or_to_be_offline(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(server: str) -> None:
        with pytest.raises(ConfigError, match=f"no key for {server}; set WANDB_API_KEY .* or set WANDB_MODE=offline"):
            require_trackers(["wandb"], "runs/x")

    refused("https://api.wandb.ai")
    for name, value in (("WANDB_API_KEY", SECRET), ("WANDB_MODE", "offline")):
        with monkeypatch.context() as given:
            given.setenv(name, value)
            require_trackers(["wandb"], "runs/x")
    (environment / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {SECRET}\n")
    (environment / ".netrc").chmod(0o600)
    require_trackers(["wandb"], "runs/x")
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example:8080")
    refused("https://wandb.example:8080")
