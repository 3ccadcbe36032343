"""A database with tenants as tenantctl makes them, and the application in front of it.

Run by scripts/test --examples, which provides the server (PGHOST, PGPORT) and TENANTCTL_BIN.
"""

import asyncio
import os
import pathlib
import subprocess
import sys

import httpx
import jwt
import psycopg
import pytest

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER))

import main  # noqa: E402
from tenancy import make_engine  # noqa: E402

SECRET = "only for these tests, and long enough"
DATABASE = "fastapi_example"

ENTERPRISES = ("acme", "globex")
STARTERS = ("initech", "hooli")


class Operator:
    """Who runs tenantctl and psql: the owner of everything."""

    def tenantctl(self, *arguments):
        answer = subprocess.run(
            [os.environ["TENANTCTL_BIN"], *arguments, "--quiet"], cwd=FOLDER, text=True,
            capture_output=True, env={**os.environ, "PGDATABASE": DATABASE}, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def execute(self, sql, *values, database=DATABASE):
        with psycopg.connect(dbname=database, autocommit=True) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def set_state(self, slug, state):
        self.execute("UPDATE tenantctl.tenant SET state = %s WHERE slug = %s", state, slug)


class Client:
    """Speaks to the application as a browser would, each call a request of its own."""

    def __init__(self, loop, app):
        self.loop = loop
        self.transport = httpx.ASGITransport(app=app)

    def call(self, method, path, tenant=None, json=None, **headers):
        if tenant:
            headers["X-Tenant"] = tenant
        return self.loop.run_until_complete(self.send(method, path, json, headers))

    async def send(self, method, path, json, headers):
        host = headers.pop("Host", "example.test")
        async with httpx.AsyncClient(transport=self.transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, json=json, headers=headers)

    def bodies(self, tenant):
        return [note["body"] for note in self.call("GET", "/notes", tenant).json()]

    def together(self, calls):
        async def send_all():
            return await asyncio.gather(*(self.send(*call) for call in calls))

        return self.loop.run_until_complete(send_all())


def token(tenant, secret=SECRET, **more):
    return "Bearer " + jwt.encode({"tenant": tenant, **more}, secret, algorithm="HS256")


@pytest.fixture(scope="session")
def operator():
    operator = Operator()
    operator.execute(f"DROP DATABASE IF EXISTS {DATABASE}", database="postgres")
    operator.execute(f"CREATE DATABASE {DATABASE}", database="postgres")
    operator.execute("DROP ROLE IF EXISTS example_app", database="postgres")
    operator.execute("CREATE ROLE example_app LOGIN", database="postgres")
    # Where no tenant is entered, no unqualified name means anything.
    operator.execute(f"ALTER ROLE example_app IN DATABASE {DATABASE} SET search_path = ''")
    operator.tenantctl("registry", "init")
    operator.tenantctl("gate", "install", "--runtime-role", "example_app")
    operator.tenantctl("upgrade", "--scope", "shared")
    operator.tenantctl("tenant", "create", *ENTERPRISES, "--tier", "enterprise")
    operator.tenantctl("tenant", "create", *STARTERS, "--tier", "starter",
                       "--isolation", "rows", "--home", "starter")
    return operator


@pytest.fixture(autouse=True)
def clean(operator):
    operator.execute("UPDATE tenantctl.tenant SET state = 'ready'")
    for table in ("shared.notes", "starter.projects", "acme.projects", "globex.projects",
                  "starter.invoices", "acme.invoices", "globex.invoices"):
        operator.execute(f"TRUNCATE {table}")


@pytest.fixture(scope="session")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def serve(loop, **pool):
    url = (f"postgresql+asyncpg://example_app@/{DATABASE}"
           f"?host={os.environ['PGHOST']}&port={os.environ['PGPORT']}")
    engine = make_engine(url, **pool)
    yield Client(loop, main.make_app(engine, SECRET))
    loop.run_until_complete(engine.dispose())


@pytest.fixture
def client(operator, loop):
    """One connection for all requests: each finds what the one before left."""
    yield from serve(loop, pool_size=1, max_overflow=0)


@pytest.fixture
def busy_client(operator, loop):
    yield from serve(loop, pool_size=4, max_overflow=0)


@pytest.fixture
def application(operator):
    """The application's own role at the database, without the application."""
    with psycopg.connect(dbname=DATABASE, user="example_app") as connection:
        yield connection
