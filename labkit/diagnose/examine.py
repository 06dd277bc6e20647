"""`diagnose`: whatever one has of a run, to a verdict."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from labkit.diagnose.means import of_means
from labkit.diagnose.pairs import of_pairs, per_pair
from labkit.diagnose.report import Diagnosis
from labkit.diagnose.runs import of_run
from labkit.training import Run


def diagnose(
    run_or_logs: Any,
    *,
    beta: float | None = None,
    loss_type: str | Sequence[str] | None = None,
    opposites: Iterable[int | str] = (),
    paraphrases: Iterable[int | str] = (),
    population: int | None = None,
    k: int = 5,
    gradients: bool | None = None,
) -> Diagnosis:
    """What became of the chosen answers in preference training, who gained what they lost, and what to try next.

    Says first what it rests on: L0, means from a trainer's log; L1, the log-probabilities of every pair before and after; L2,
    of every token (`DisplacementCallback` writes them); L3, checkpoints.

    Args:
        run_or_logs: a Run; anything that `Run.from_logs` reads, such as TRL's `trainer_state.json`; a table with one row for
            each pair (`chosen_logps, ref_chosen_logps, rejected_logps, ref_rejected_logps`); the folder of a
            `DisplacementCallback`.
        beta: of the run, where rewards were logged: the change is then told in nats. Evaluations of the same pairs tell it too.
        loss_type: TRL's name of the loss, or its list of names.
        opposites, paraphrases: tokens or words that say the contrary of the chosen answers, or nearly the same; a list of
            common words is asked where these do not answer.
        population: of how many training pairs a table is a sample; intervals shrink to nothing when it holds them all.
        k: how many of the words that gained are named.
        gradients: compute entanglement at the start of a Run; None: where it takes seconds.

    Returns:
        A Diagnosis: print it, or take its fields.

    Raises:
        ValueError, TypeError: nothing that can be read, or a run without pairs.

    >>> print(diagnose([{"step": s, "rewards/chosen": -0.1 * s, "rewards/rejected": -0.3 * s} for s in range(1, 50)]).verdict)
    fell
    """
    if isinstance(run_or_logs, Run) and run_or_logs.folder is not None:
        return of_run(run_or_logs, opposites=opposites, paraphrases=paraphrases, k=k, gradients=gradients)
    if isinstance(run_or_logs, (str, Path)) and probed(Path(run_or_logs)):
        from labkit.diagnose.probes import of_probes

        return of_probes(Path(run_or_logs), opposites=opposites, paraphrases=paraphrases, population=population, k=k)
    named = loss_type if loss_type is None or isinstance(loss_type, str) else "+".join(loss_type)
    run = run_or_logs if isinstance(run_or_logs, Run) else Run.from_logs(run_or_logs, beta=beta, loss_type=named)
    if found := per_pair(run.history):
        return of_pairs(run.history, found, population)
    return of_means(run.history, beta or run.beta, named or run.loss_type)


def probed(folder: Path) -> bool:
    """Whether a DisplacementCallback wrote here."""
    return (folder.expanduser() / "probe.json").exists()
