"""What the three commands have in common: exit codes, one-line errors, help that shows examples."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from embeddings_store.atomic import no_room
from embeddings_store.errors import ProjectError, UsageError, did_you_mean
from embeddings_store.interrupts import interrupts_counted
from embeddings_store.reading import as_one_line, printable, visible

INTERRUPTED = 130
UNKNOWN_OPTION = "unrecognized arguments: "  # argparse's words
EXIT_CODES = (
    "exit status: 0 done; 2 usage; 3 data or store problem; 4 finished, but some clips failed "
    "(listed); 130 interrupted (run the same command again to go on)"
)


class OneLineParser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command line; a list of all options would hide it."""

    def error(self, message: str) -> NoReturn:
        """End with status 2, with the nearest option where one is not known."""
        hint = ""
        if message.startswith(UNKNOWN_OPTION):
            first = message.removeprefix(UNKNOWN_OPTION).split()[0].partition("=")[0]
            hint = did_you_mean(first, self.options())
        line = f"{self.prog}: {message}{hint or ';'} see {self.prog} --help"
        self.exit(UsageError.exit_code, as_one_line(visible(line)) + "\n")

    def options(self) -> list[str]:
        """Return every option, those of sub-commands too."""
        found = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [name for command in action.choices.values() for name in command.options()]
        return found


def parser(program: str, description: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Make a parser whose help ends with examples and the exit codes.

    Args:
        program: The command's name.
        description: What it does, one sentence.
        examples: Complete command lines.
    """
    return OneLineParser(
        prog=program,
        description=description,
        epilog=_epilog(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    description: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a sub-command in the same form.

    Args:
        commands: What ``add_subparsers`` returned.
        name: The sub-command's name.
        description: What it does, one sentence; its line in the list of commands, too.
        examples: Complete command lines.
    """
    return commands.add_parser(
        name,
        help=description,
        description=description,
        epilog=_epilog(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_columns_option(command: argparse._ActionsContainer, tables: str) -> None:
    """Add ``--columns``.

    Args:
        command: A parser, or a group of its options.
        tables: Which tables it is about, for the help.
    """
    command.add_argument(
        "--columns",
        default="",
        metavar="OLD=NEW,...",
        help=f"what columns of {tables} are called here: file=audio,emotion=label; "
        "file=audio,file=id takes the paths as ids too",
    )


def guarded(run: Callable[[], int], program: str) -> int:
    """Run a command's body and turn what went wrong into one line on stderr and an exit code.

    A bug is no :class:`ProjectError` and keeps its traceback. After Ctrl-C the run counts as
    interrupted however it ended: libraries swallow the exception, or turn it into another.
    """
    with interrupts_counted() as interrupt:
        try:
            with _without_library_warnings():
                status = run()
        except KeyboardInterrupt:
            interrupt.came = True
        except Exception as error:
            if not interrupt.came:
                return _explained(error, program)
        if not interrupt.came:
            return status
        with contextlib.suppress(KeyboardInterrupt):  # a second one has nothing left to stop
            print(
                f"\n{program}: interrupted; what was finished is safe, the same command goes on "
                "from there",
                file=sys.stderr,
            )
        return INTERRUPTED


def _explained(error: Exception, program: str) -> int:
    """Say in one line what went wrong, and return the exit code; raise what is a bug."""
    if isinstance(error, ProjectError):
        message = "; ".join([f"{program}: {error}", *getattr(error, "__notes__", [])])
        print(as_one_line(visible(message)), file=sys.stderr)  # it may quote what is in a file
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe (head, less) has gone; what is still buffered must not raise again
        # when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    room = no_room(error)
    if isinstance(error, OSError) and error.filename and error.strerror and room is None:
        # What the disk says of a path is no bug: a name that is too long, a folder that is closed.
        print(
            f"{program}: {printable(error.filename)}: {error.strerror}; check the path and its "
            "permissions",
            file=sys.stderr,
        )
        return ProjectError.exit_code
    if room:
        what, advice = room
        print(
            f"{program}: {what} ({error}); what was finished before is safe. {advice} and run the "
            "same command again",
            file=sys.stderr,
        )
        return ProjectError.exit_code
    raise error


@contextlib.contextmanager
def _without_library_warnings() -> Iterator[None]:
    """Show no warning of Python's: what a user should know, we say in our own lines.

    A filter that turns warnings into errors still does. Nor is shown what Arrow cannot raise: it
    reads a row that is no text, to say that it is a row too long.
    """
    shown, unraisable = warnings.showwarning, sys.unraisablehook
    warnings.showwarning = lambda *_args, **_more: None
    sys.unraisablehook = lambda raised: None if _is_of_arrow(raised) else unraisable(raised)
    try:
        yield
    finally:
        warnings.showwarning, sys.unraisablehook = shown, unraisable


def _is_of_arrow(raised: sys.UnraisableHookArgs) -> bool:
    trace = raised.exc_traceback
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith("pyarrow/")


def _epilog(examples: Sequence[str]) -> str:
    shown = "\n".join(f"  {example}" for example in examples)
    return f"examples:\n{shown}\n\n{EXIT_CODES}"
