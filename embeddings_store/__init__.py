"""The vocabulary and the files that extraction and classification share; needs neither torch nor scikit-learn."""
