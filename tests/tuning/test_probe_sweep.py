import numpy as np
import pytest
import torch

from raycalib.errors import LossNotFiniteError
from raycalib.tuning import probe_sweep
from raycalib.tuning.probe_data import ProbeData, prepare_probe_data
from raycalib.tuning.probe_fit import fit_probe
from raycalib.tuning.probe_sweep import ProbeTrial, fit_probes
from raycalib.tuning.settings import ProbeSettings
from tests.tuning.probe_sets import separable

TRIALS = [
    ProbeTrial(settings=ProbeSettings(steps=steps, batch_size=16, lr=lr, eval_every=10), seed=seed)
    for steps, lr, seed in ((20, 1e-2, 0), (20, 1e-2, 1), (40, 1e-3, 0), (20, 1e-2, 0))
]


def test_each_fit_is_that_of_its_trial_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[ProbeData] = []

    def counted(*sets: np.ndarray) -> ProbeData:
        prepared.append(prepare_probe_data(*sets))
        return prepared[-1]

    monkeypatch.setattr(probe_sweep, "prepare_probe_data", counted)
    sets = (*separable(0, 100), *separable(1, 50))
    fits = fit_probes(*sets, TRIALS)
    assert len(prepared) == 1
    assert len(fits) == len(TRIALS)
    for fitted, trial in zip(fits, TRIALS, strict=True):
        alone = fit_probe(*sets, trial.settings, trial.seed)
        assert fitted.history == alone.history
        for name, value in fitted.probe.state_dict().items():
            assert torch.equal(value, alone.probe.state_dict()[name]), name
    assert fits[0].history == fits[3].history
    assert len({fitted.best_nll for fitted in fits}) == 3


def test_a_rate_that_is_too_high_is_named() -> None:
    high = ProbeTrial(settings=ProbeSettings(steps=20, lr=1e38))
    with pytest.raises(LossNotFiniteError, match=r"step 2 is not finite at probe.lr 1e\+38"):
        fit_probes(*separable(0, 100), *separable(1, 50), [TRIALS[0], high])
