"""The verb `prewarm`."""

from __future__ import annotations

from provisioner.cli.options import Config, Json, Name


def prewarm(name: Name = None, config: Config = None, json_: Json = False) -> None:
    """Start everybody's server now, so that nobody waits for theirs."""
    from provisioner.cli import opening, output
    from provisioner.errors import Refused
    from provisioner.models import ServerState
    from provisioner.workflow.launch import kind_of
    from provisioner.workflow.prewarm import document, refuse_failures
    from provisioner.workflow.prewarm import prewarm as start

    tools, record = opening.known(name, config)
    server = tools.provider.find(record.id)
    if server is None or server.state is not ServerState.RUNNING:
        raise Refused(
            f"The machine of {record.name!r} does not run", hint=f"provision status {record.name}"
        )
    warmed = start(tools, record, server, kind=kind_of(record, server))
    refuse_failures(warmed, record.name)
    if json_:
        output.print_json(document(warmed, record.name))
    else:
        started = [warm.seconds for warm in warmed if warm.seconds]
        slowest = f", the slowest after {max(started):.1f} s" if started else ""
        tools.reporter.note(f"{len(warmed)} servers run; {len(started)} were started now{slowest}")
