"""The vocabulary and the files that extraction and classification share.

Needs neither torch nor scikit-learn.
"""
