"""The oracle: the same nights once more, by DuckDB, from the same deliveries and the same `conf/`.

It shares no code with `jobs/`: what it reads of ours is the catalogue (`schemas/`) and the configuration.
"""
