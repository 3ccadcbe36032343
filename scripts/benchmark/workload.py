"""Revisions, and the SQL that psql gets for them."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import Failure

CHECKOUT = Path(__file__).resolve().parents[2]
MARKER = re.compile(r"^-- migrate:(up|down)\b(.*)\n?", re.MULTILINE)
# What a statement may hide a semicolon in, or a semicolon.
TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|\bE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
                   r"|\$(\w*)\$.*?\$\1\$|;", re.DOTALL | re.IGNORECASE)
LIGHT = {
    "versions/0001_accounts.sql": """\
-- migrate:up
CREATE TABLE accounts (
  id bigint PRIMARY KEY, name text NOT NULL, email text, locale text, created_at timestamptz);
-- migrate:down
DROP TABLE accounts;
""",
    "versions/0002_customers.sql": """\
-- migrate:up
CREATE TABLE customers (
  id bigint PRIMARY KEY, name text NOT NULL, phone text, city text, country text, note text);
CREATE TABLE orders (
  id bigint PRIMARY KEY, customer_id bigint, total numeric, placed_at timestamptz, state text);
-- migrate:down
DROP TABLE orders;
DROP TABLE customers;
""",
    "next/0003_customer_segment.sql": """\
-- migrate:up
ALTER TABLE customers ADD COLUMN segment text;
CREATE INDEX customers_segment_idx ON customers (segment);
-- migrate:down
DROP INDEX customers_segment_idx;
ALTER TABLE customers DROP COLUMN segment;
""",
}


@dataclass(frozen=True)
class Revision:
    number: int
    slug: str
    transactional: bool
    up: str
    down: str


# --- folders -----------------------------------------------------------------------------------


def write_workload(source, folder):
    """versions/ and next/ under `folder`: of the folder `source`, or light."""
    if source == "light":
        for name, text in LIGHT.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    else:
        for name in ("versions", "next"):
            shutil.copytree(source / name, folder / name)


def read_revisions(folder):
    """In order."""
    revisions = []
    for path in folder.glob("*.sql"):
        number, slug = re.fullmatch(r"(\d+)_(.*)\.sql", path.name).groups()
        text = path.read_text(encoding="utf-8")
        markers = list(MARKER.finditer(text))
        if not markers or markers[0][1] != "up":
            raise Failure(f"{path}: no -- migrate:up")
        ends = [marker.start() for marker in markers[1:]] + [len(text)]
        sections = [text[marker.end():end].strip() for marker, end in zip(markers, ends)]
        revisions.append(Revision(int(number), slug, "transaction:false" not in markers[0][2],
                                  sections[0], sections[1] if len(sections) > 1 else ""))
    if not revisions:
        raise Failure(f"{folder}: no revisions")
    return sorted(revisions, key=lambda revision: revision.number)


# --- for psql ----------------------------------------------------------------------------------


def statement(section):
    """The section with a semicolon behind it."""
    return f"{section}\n;\n"


def one_message(script):
    """The same statements for psql, sent as one message: \\; does not send, the last ; does."""
    script = script.rstrip().rstrip(";").rstrip()
    return TOKEN.sub(lambda found: "\\;" if found[0] == ";" else found[0], script) + "\n;\n"


def transaction(schema, section, row):
    return (f"BEGIN;\nSET LOCAL search_path = {schema}, pg_temp;\n{statement(section)}"
            f"{row};\nCOMMIT;\n")


def upgrade_sql(schema, revisions, in_one_message=False):
    """What a floor runs for one schema: a transaction per revision, with its version row."""
    parts = []
    for revision in revisions:
        row = f"INSERT INTO {schema}.floor_version (revision) VALUES ({revision.number})"
        if revision.transactional:
            script = transaction(schema, revision.up, row)
            parts.append(script)
        else:
            parts.append(f"SET search_path = {schema}, pg_temp;\n{statement(revision.up)}"
                         f"RESET search_path;\n{row};\n")
    if not in_one_message:
        return "".join(parts)
    if not all(revision.transactional for revision in revisions):
        raise Failure("transaction:false cannot be part of a floor of one message")
    return one_message("".join(parts))


def downgrade_sql(schema, revision):
    row = f"DELETE FROM {schema}.floor_version WHERE revision = {revision.number}"
    return transaction(schema, revision.down, row)
