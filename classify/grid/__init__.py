"""The grid: every cell on every fold, prepared, computed in parallel and resumed."""
