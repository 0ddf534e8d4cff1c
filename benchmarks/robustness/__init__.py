"""Campaigns against everything that a command reads: altered files, kills, a full disk, single flipped bits."""  # noqa: E501
