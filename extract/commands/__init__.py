"""The commands of extraction: parse, one library call, where the results went."""
