"""Which knobs are tried next: TPE, as a function of the seed, the trial and those before it."""

from typing import TYPE_CHECKING, Any

from longtail.keyed import fold

if TYPE_CHECKING:
    import optuna


def sampler_of(seed: int) -> "optuna.samplers.BaseSampler":
    """Multivariate TPE (Bergstra et al. 2011) whose draws are keyed by the trial's number.

    A sampler with a stream of its own would begin it anew in every process that goes on with a
    study, or shares it, and try the same knobs again.
    """
    import optuna

    from longtail.experiments.tune.storage import quiet

    def tpe(trial: "optuna.trial.FrozenTrial", *purpose: str) -> "optuna.samplers.BaseSampler":
        key = int(fold(seed, "tune", trial.number, *purpose))
        with quiet():
            return optuna.samplers.TPESampler(seed=key, multivariate=True, constant_liar=True)

    class Keyed(optuna.samplers.BaseSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return tpe(trial).infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return tpe(trial).sample_relative(study, trial, search_space)

        def sample_independent(
            self, study: Any, trial: Any, param_name: str, param_distribution: Any
        ) -> Any:
            # Of one seed, all knobs of a random trial would get the same quantile.
            sampler = tpe(trial, param_name)
            return sampler.sample_independent(study, trial, param_name, param_distribution)

    return Keyed()
