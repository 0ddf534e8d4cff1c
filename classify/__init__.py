"""From stored vectors and scores to decisions: fusion, classifiers, the grid and its tables.

Never imports torch.
"""
