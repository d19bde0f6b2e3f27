"""The one funnel: every error becomes words on stderr and an exit code here."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from provisioner.errors import Interrupted, ProvisionError, UsageError

_verbose = False


def be_verbose(wanted: bool) -> None:
    """Show tracebacks with errors; for the rest of this process."""
    global _verbose
    _verbose = wanted


def verb(function: Callable[..., None], word: str = "") -> Callable[..., None]:
    """A verb whose errors a person can read; the code is that of the error's class.

    `word` is what is typed for it, where that is not the function's name.
    """
    word = word or function.__name__.rstrip("_")

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except ProvisionError as error:
            _fail(error, bool(kwargs.get("json_")))
        except (KeyboardInterrupt, typer.Abort):  # the latter at a question
            name = kwargs.get("name") or kwargs.get("workshop") or ""
            stopped = Interrupted(
                "Interrupted. What was done is recorded; nothing needs to be cleaned by hand.",
                hint=f"to go on: {_again(word, kwargs)}"
                + f"\nto end it: provision teardown {name}".rstrip(),
            )
            _fail(stopped, bool(kwargs.get("json_")))
        except typer.Exit:
            raise
        except OSError as error:  # a full disk, a folder that may not be written
            words = f"{error.filename or 'The system'}: {error.strerror or error}"
            _fail(UsageError(words), bool(kwargs.get("json_")))
        except Exception as error:
            if _verbose:
                raise
            bug = ProvisionError(
                f"A bug of provision's, not of yours: {type(error).__name__}: {error}",
                hint="run it again with `provision --verbose …` and report the traceback",
            )
            _fail(bug, bool(kwargs.get("json_")))

    return run


PASSED_ON = {"email": "--email", "roster": "--roster", "workshop": "--workshop"}
"""What the verbs about people were given, and how it is typed."""


def _again(word: str, given: dict[str, Any]) -> str:
    """What finishes an interrupted command, as it is typed."""
    words = ["provision", *word.split()]
    words += [given["name"]] if given.get("name") else []
    if word.startswith("users "):
        words += [*(given.get("names") or ()), *(given.get("usernames") or ())]
        for key, option in PASSED_ON.items():
            words += [option, str(given[key])] if given.get(key) else []
        words += ["--discard-home"] if given.get("discard_home") else []
    return shlex.join(words)


def _fail(error: ProvisionError, as_json: bool) -> NoReturn:
    from provisioner.cli import output

    if _verbose and error.exit_code != Interrupted.exit_code:
        output.stderr.print_exception()
    output.print_error(error)
    if as_json:
        output.print_json(
            {
                **error.document,
                "error": error.message,
                "details": list(error.details),
                "hint": error.hint,
                "exit_code": error.exit_code,
            }
        )
    raise typer.Exit(error.exit_code)
