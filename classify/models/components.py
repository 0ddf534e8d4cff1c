"""Rows as their principal components, fitted on the rows that a classifier is fitted on."""

from __future__ import annotations

from classify.models.specification import Codes, Estimator, Matrix


def on_components(estimator: Estimator, components: int) -> Estimator:
    """Return an estimator that sees rows through their principal components, where any are asked.

    Args:
        estimator: What is fitted on them, not fitted yet.
        components: How many; 0 gives the estimator itself.
    """
    return OnComponents(estimator, components) if components else estimator


class OnComponents:
    """An estimator over the first principal components of the rows that it is fitted on.

    Rows with no more columns than that are taken as they are. The components are found by a
    randomised decomposition with a fixed seed (Halko, Martinsson and Tropp 2011).

    Args:
        estimator: What is fitted on them.
        components: How many.
    """

    def __init__(self, estimator: Estimator, components: int) -> None:
        self.estimator, self.components = estimator, components

    def fit(self, X: Matrix, y: Codes) -> OnComponents:
        """Fit on rows (n, D) and codes (n,)."""
        from sklearn.decomposition import PCA

        self.pca = None
        if X.shape[1] > self.components:
            count = min(self.components, len(X))
            self.pca = PCA(count, svd_solver="randomized", random_state=0)
            X = self.pca.fit_transform(X)
        self.estimator.fit(X, y)
        return self

    def values(self, X: Matrix) -> Matrix:
        """Return what the estimator gives for rows (n, D)."""
        return self.estimator.values(X if self.pca is None else self.pca.transform(X))
