"""The page's sentences, a module for each thing they are about; figures are from the run's files."""
