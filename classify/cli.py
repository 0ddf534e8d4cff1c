"""The command ``run-fusion-grid``: every fusion and classifier over the stored vectors of one corpus, as tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from embeddings_store.commandline import guarded

PROGRAM = "run-fusion-grid"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def _run(argv: Sequence[str] | None) -> int:
    # imported here because it takes a second or two, in which Ctrl-C must not print a traceback either
    from classify.grid import run_grid, survey
    from classify.options import build_parser, config_from
    from classify.prepare import RESULT
    from classify.show import console_for_output, show_results, show_survey
    from embeddings_store.manifest import Manifest
    from embeddings_store.protocol_options import listing

    arguments = build_parser().parse_args(argv)
    if arguments.list_protocols:
        print(listing(Manifest.load(arguments.store / arguments.corpus) if arguments.corpus else None))
        return 0
    config, console = config_from(arguments), console_for_output()
    if arguments.dry_run:
        show_survey(survey(config), console)
        return 0
    result = run_grid(config, lambda message: print(f"{PROGRAM}: {message}", file=sys.stderr))
    if not arguments.quiet:
        show_results(result, console)
    claim = result.prepared.claim
    stamp = "" if claim == RESULT else f" ({claim.upper()}, no result)"
    print(f"{len(result.table.rows)} rows (cells x folds){stamp} in {config.out}: "
          f"{', '.join(path.name for path in result.files)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
