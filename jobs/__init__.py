"""The night's jobs and what carries them: lake, ledger, runner, command line."""
