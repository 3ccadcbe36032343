"""The parts of scripts/bench.

workload   revisions and the SQL that psql gets for them
machine    processes measured, the private server asked
sides      tenantctl and the floors, each with a database of its own
fleet      one fleet, step by step; the light fleet of scale as well
peers      other tools with the same SQL
network    the same steps through a delaying proxy
memory     what a backend keeps per schema
clones     100,000 schemas made on the server
report     medians, ratios, aims
"""


class Failure(Exception):
    """What stops a run, in one message."""
