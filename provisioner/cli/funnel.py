"""The one funnel: every error becomes words on stderr and an exit code here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from provisioner.errors import Interrupted, ProvisionError, UsageError

_verbose = False


def be_verbose(wanted: bool) -> None:
    """Show tracebacks with errors; for the rest of this process."""
    global _verbose
    _verbose = wanted


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """A verb whose errors a person can read; the code is that of the error's class."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except ProvisionError as error:
            _fail(error, bool(kwargs.get("json_")))
        except (KeyboardInterrupt, typer.Abort):  # the latter at a question
            word, name = function.__name__.rstrip("_"), kwargs.get("name") or ""
            stopped = Interrupted(
                "Interrupted. What was done is recorded; nothing needs to be cleaned by hand.",
                hint=f"to go on: provision {word} {name}".rstrip()
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
