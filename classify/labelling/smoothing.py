"""Labels of neighbouring windows made steadier, by one of two rules that learn nothing.

===============  ===============================================================================
rule             what it does
===============  ===============================================================================
``none``         every window for itself
``hysteresis``   the label of the window before stays, until another class is more probable than
                 it by ``margin`` at least; probabilities stay as they are
``transitions``  a hidden Markov model: from one window to the next the class stays with
                 probability ``stay``, and is else drawn anew as often as each was in training. A
                 window's probabilities become those given all windows of the file, by forwards
                 and backwards passes (Rabiner 1989, doi:10.1109/5.18626, section III); what a
                 window says is its probability over the class' share in training (Bourlard and
                 Morgan 1994). With ``stay`` 0 nothing changes.
===============  ===============================================================================

Windows without an answer keep none. Under ``transitions`` they say nothing and count as a step;
under ``hysteresis`` the label before them goes on behind them. Windows that overlap are no
independent witnesses: with them ``transitions`` is surer than it may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import UsageError, unknown_name

Probabilities = NDArray[np.float64]
Codes = NDArray[np.int64]
NONE, HYSTERESIS, TRANSITIONS = "none", "hysteresis", "transitions"
RULES = (NONE, HYSTERESIS, TRANSITIONS)


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How neighbouring windows steady each other.

    Attributes:
        rule: One of :data:`RULES`.
        margin: By how much another class must be more probable, in [0, 1]; for ``hysteresis``.
        stay: How probable it is that the next window has the same class, in [0, 1); for
            ``transitions``.
    """

    rule: str = NONE
    margin: float = 0.2
    stay: float = 0.8

    def __post_init__(self) -> None:
        """Check all.

        Raises:
            UsageError: There is no such rule, or a number is outside its range.
        """
        if self.rule not in RULES:
            unknown_name("smoothing", self.rule, RULES)
        if not 0 <= self.margin <= 1:
            raise UsageError(f"a margin of {self.margin:g} is no difference of probabilities: 0..1")
        if not 0 <= self.stay < 1:
            raise UsageError(f"a stay of {self.stay:g} is no probability below 1")

    def describe(self) -> str:
        """Return the rule with its number, or nothing where nothing is smoothed.

        >>> Smoothing("transitions", stay=0.9).describe()
        'transitions, stay 0.9'
        """
        numbers = {HYSTERESIS: f"margin {self.margin:g}", TRANSITIONS: f"stay {self.stay:g}"}
        return f"{self.rule}, {numbers[self.rule]}" if self.rule in numbers else ""


def smooth(
    labels: Codes, probabilities: Probabilities, priors: Probabilities, smoothing: Smoothing
) -> tuple[Codes, Probabilities]:
    """Return steadier labels (n,) and probabilities (n, C) of the windows of one recording.

    Args:
        labels: Of the windows in their order (n,).
        probabilities: Of every class (n, C); ``nan`` where there is no answer.
        priors: Share of each class in training (C,).
        smoothing: How.

    >>> p = np.array([[0.9, 0.1], [0.45, 0.55], [0.9, 0.1], [0.1, 0.9]])
    >>> even = np.array([0.5, 0.5])
    >>> smooth(p.argmax(axis=1), p, even, Smoothing("hysteresis"))[0].tolist()
    [0, 0, 0, 1]
    >>> smooth(p.argmax(axis=1), p, even, Smoothing("transitions"))[0].tolist()
    [0, 0, 0, 1]
    """
    answered = np.asarray(~np.isnan(probabilities).any(axis=1))
    if smoothing.rule == NONE or not answered.any():
        return labels, probabilities
    if smoothing.rule == HYSTERESIS:
        return _hysteresis(labels, probabilities, answered, smoothing.margin), probabilities
    chances = np.full_like(probabilities, np.nan)
    passed = _forwards_and_backwards(probabilities, answered, priors, smoothing.stay)
    chances[answered] = passed[answered]
    found = labels.copy()
    found[answered] = chances[answered].argmax(axis=1)
    return found, chances


def _hysteresis(
    labels: Codes, chances: Probabilities, answered: NDArray[np.bool_], margin: float
) -> Codes:
    found, standing = labels.copy(), -1
    for at in np.flatnonzero(answered).tolist():
        own = int(labels[at])
        if standing < 0 or chances[at, own] - chances[at, standing] >= margin:
            standing = own
        found[at] = standing
    return found


def _forwards_and_backwards(
    chances: Probabilities, answered: NDArray[np.bool_], priors: Probabilities, stay: float
) -> Probabilities:
    """Return the probabilities (n, C) given all windows.

    The matrix of transitions is ``stay`` times the identity, plus what is left for the priors; so
    a step costs C and not C squared, and the priors are what it comes to rest at.
    """
    says = np.ones_like(chances)
    says[answered] = chances[answered] / priors
    forwards, backwards = np.empty_like(says), np.empty_like(says)
    before = priors
    for at in range(len(says)):
        joint = says[at] * (stay * before + (1 - stay) * priors * before.sum())
        before = forwards[at] = _scaled(joint, priors)
    after = np.ones(len(priors))
    for at in reversed(range(len(says))):
        backwards[at] = after
        joined = says[at] * after
        after = stay * joined + (1 - stay) * (priors @ joined)
        after = _scaled(after, np.ones(len(priors)))
    both = forwards * backwards
    return np.asarray(both / both.sum(axis=1, keepdims=True))


def _scaled(values: Probabilities, otherwise: Probabilities) -> Probabilities:
    """Return values that sum to 1; ``otherwise`` where windows contradict each other wholly."""
    total = values.sum()
    return np.asarray(values / total if total > 0 else otherwise / otherwise.sum())
