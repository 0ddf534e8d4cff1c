"""Which sets of views are fused, so that the share of each view can be told: all, or a sample.

The Shapley value of a view needs the worth of every set of views, and 13 views have 8,191. Up to
:data:`EXACT_VIEWS` all are fused and the value is exact. Beyond that it is estimated: views join
one after the other in :data:`PERMUTATIONS` random orders, what a view adds where it joins is
averaged, and the spread over the orders gives the standard error (Castro et al. 2009).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from classify.systems.definitions import sets_of

EXACT_VIEWS = 6  # 63 sets
PERMUTATIONS, PERMUTATION_SEED = 12, 0


def orders_of(views: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the orders in which views join; the same for the same views, however they stand.

    >>> len(orders_of(["text", "audio"])), len(set(orders_of(list("abcdefgh"))))
    (12, 12)
    """
    generator = np.random.default_rng(PERMUTATION_SEED)
    names = sorted(views)
    return [
        tuple(names[place] for place in generator.permutation(len(names)))
        for _ in range(PERMUTATIONS)
    ]


def view_sets(views: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the sets of views that are fused, small ones first, each in the given order.

    Args:
        views: The views.

    >>> view_sets(["b", "a"])
    [('b',), ('a',), ('b', 'a')]
    >>> len(view_sets([f"audio.L{n}" for n in range(13)]))
    135
    """
    if len(views) <= EXACT_VIEWS:
        return sets_of(views)
    begun = {
        frozenset(order[:size]) for order in orders_of(views) for size in range(1, len(views) + 1)
    }
    in_order = [tuple(view for view in views if view in chosen) for chosen in begun]
    places = {view: place for place, view in enumerate(views)}
    return sorted(in_order, key=lambda chosen: (len(chosen), [places[view] for view in chosen]))
