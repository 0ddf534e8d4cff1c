"""The commands of the second stage: parse, one library call, where the results went."""
