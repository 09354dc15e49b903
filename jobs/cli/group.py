"""Which commands there are, and an answer for those that the specification names and nobody has built."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from jobs.errors import Usage

NOT_BUILT = {"quarantine", "forget", "report"}


class Commands(TyperGroup):
    """Typer's group of commands, which also knows what is still to come."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] in NOT_BUILT:
            raise Usage(f"`clm {args[0]}` is not built yet. `clm --help` lists what is.")
        return super().parse_args(ctx, args)
