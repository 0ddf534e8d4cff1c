"""From media to spans: which parts of a recording are labelled, each by itself."""
