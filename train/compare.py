"""Whether a fitted model reads better than the one it started from: on letters held out of yours, and on built-in letters."""

from dataclasses import dataclass

import numpy as np

from .evaluation import MIN_PROBABILITY, Evaluation

# A fitted model that rehearses may read this share fewer of the built-in letters.
MAX_CHECK_DROP = 0.005
# With fewer letters held out, the interval of their accuracy is printed as well.
FEW_HELD = 100


@dataclass(frozen=True)
class Comparison:
    """What a model read before it was fitted, and after.

    start is the name of the model before. before and after are answers to your letters that are held out, check_before and
    check_after those to built-in letters; None where there are no such letters or the model does not know their classes. may_drop
    tells whether a drop on built-in letters counts.
    """

    start: str
    before: Evaluation | None = None
    after: Evaluation | None = None
    check_before: Evaluation | None = None
    check_after: Evaluation | None = None
    may_drop: bool = False

    @property
    def is_forgetful(self) -> bool:
        """Whether the fitted model reads fewer built-in letters than it may."""
        if self.may_drop or self.check_before is None or self.check_after is None:
            return False
        # A little more, because a difference of shares is rounded.
        return self.check_before.accuracy - self.check_after.accuracy > MAX_CHECK_DROP + 1e-9

    @property
    def is_better(self) -> bool:
        """Whether to keep the fitted model: it reads more of the held-out letters, or as many and is surer of them.

        Where no letter is held out it is not kept: of four UNIPEN validation writers that gave one letter of each class, three
        gained 0.6 to 3.4 points, and one lost 2.6.
        """
        if self.is_forgetful or self.before is None or self.after is None:
            return False
        gained = int(self.after.right.sum()) - int(self.before.right.sum())
        return gained > 0 or (gained == 0 and log_loss(self.after) < log_loss(self.before))

    def lines(self) -> list[str]:
        """Return what to say: both figures before and after, and which model is kept."""
        lines = []
        if self.before is not None and self.after is not None:
            mended = int((self.after.right & ~self.before.right).sum())
            spoiled = int((self.before.right & ~self.after.right).sum())
            lines.append(
                f"held-out letters of {self.after.data}: {figure(self.before)} right before, {figure(self.after)} after "
                f"({mended} mended, {spoiled} spoiled)"
            )
            lines += by_writer(self.before, self.after)
            if len(self.after.truth) < FEW_HELD:
                low, high = (100 * end for end in interval(self.after))
                lines.append(f"so few letters say little: on others like them it reads {low:.0f} to {high:.0f} % (95 % interval)")
        if self.check_before is not None and self.check_after is not None:
            lines.append(f"built-in letters: {figure(self.check_before)} right before, {figure(self.check_after)} after")
        return [*lines, self.verdict()]

    def verdict(self) -> str:
        """Return which model is kept, and why."""
        if self.is_forgetful:
            lost = f"the fitted model has forgotten more than {100 * MAX_CHECK_DROP:g} % of the built-in letters"
            return f"kept {self.start}: {lost}; a larger --rehearse keeps more of them, and --rehearse 0 lets it forget"
        if self.before is None or self.after is None:
            reason = "no letter of yours is held out, so nothing tells whether the fitted model reads them better"
            return f"kept {self.start}: {reason}; give a second one of each class, or take fitted.keras unmeasured"
        if not self.is_better:
            return f"kept {self.start}: fitting did not help; more letters may, ten of each class are a good number"
        is_tie = int(self.after.right.sum()) == int(self.before.right.sum())
        return f"kept the fitted model: it reads {'as many, and is surer of them' if is_tie else 'more'}"


def log_loss(evaluation: Evaluation) -> float:
    """Return the mean cross-entropy of the right classes."""
    right = evaluation.probabilities[np.arange(len(evaluation.truth)), evaluation.truth]
    return float(-np.log(np.maximum(right, MIN_PROBABILITY)).mean())


def figure(evaluation: Evaluation) -> str:
    """Return how many letters are right."""
    return f"{int(evaluation.right.sum())} of {len(evaluation.truth)} ({100 * evaluation.accuracy:.1f} %)"


def interval(evaluation: Evaluation) -> tuple[float, float]:
    """Return the 95 % interval (Wilson) of the accuracy, 0..1."""
    from scipy.stats import binomtest

    found = binomtest(int(evaluation.right.sum()), len(evaluation.truth)).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def by_writer(before: Evaluation, after: Evaluation) -> list[str]:
    """Return for how many writers the model became better and worse, if several are known."""
    if after.writers is None or len(np.unique(after.writers)) < 2:
        return []
    gains = [int(after.right[own].sum()) - int(before.right[own].sum()) for own in map_writers(after)]
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return [f"of {len(gains)} writers it reads {better} better and {worse} worse than before"]


def map_writers(evaluation: Evaluation) -> list[np.ndarray]:
    """Return (N,) True for the letters of each writer."""
    assert evaluation.writers is not None
    return [evaluation.writers == writer for writer in np.unique(evaluation.writers)]
