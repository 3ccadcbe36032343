import os

import asyncpg
import psycopg
import pytest

from conftest import DATABASE, ENTERPRISES, STARTERS, token

EVERYBODY = ENTERPRISES + STARTERS


def names(answer):
    return [row["name"] for row in answer.json()]


# --- who is asking ---------------------------------------------------------------------------


def test_header_subdomain_and_token_name_the_tenant(client):
    client.call("POST", "/notes", "acme", {"body": "one"})
    assert client.bodies("acme") == ["one"]
    for headers in ({"Host": "acme.example.test"}, {"Authorization": token("acme")}):
        assert [n["body"] for n in client.call("GET", "/notes", **headers).json()] == ["one"]


def test_a_token_cannot_be_talked_out_of_its_tenant(client):
    asked = client.call("GET", "/notes", "globex", Authorization=token("acme"))
    assert asked.status_code == 403
    asked = client.call("GET", "/notes", Host="globex.example.test", Authorization=token("acme"))
    assert asked.status_code == 403


def test_a_token_that_is_not_ours_is_refused(client):
    for bad in (token("acme", secret="another secret, long enough too"), "Bearer x", "Basic x",
                token("acme", exp=1)):
        assert client.call("GET", "/notes", Authorization=bad).status_code == 401


def test_no_tenant_is_no_default_tenant(client):
    assert client.call("GET", "/notes").status_code == 400
    assert client.call("GET", "/notes", Host="example.test").status_code == 400


# --- who may come in -------------------------------------------------------------------------


@pytest.mark.parametrize("slug", ["nobody", "public", "starter", "ACME", "acme'; --", "pg_catalog"])
def test_unknown_tenants_are_not_found(client, slug):
    assert client.call("GET", "/notes", slug).status_code == 404


@pytest.mark.parametrize("state, status", [("suspended", 403), ("provisioning", 503),
                                           ("archived", 503), ("deleting", 503)])
def test_a_tenant_that_may_not_work_is_told_so_and_others_go_on(client, operator, state, status):
    client.call("POST", "/notes", "acme", {"body": "kept"})
    operator.set_state("acme", state)
    assert client.call("GET", "/notes", "acme").status_code == status
    assert client.call("POST", "/notes", "acme", {"body": "lost"}).status_code == status
    assert client.bodies("globex") == []
    operator.set_state("acme", "ready")
    assert client.bodies("acme") == ["kept"]


def test_a_tenant_that_is_too_old_waits_for_its_upgrade(client, operator):
    operator.tenantctl("downgrade", "-1", "--schema", "acme", "--yes")
    try:
        answer = client.call("GET", "/notes", "acme")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert client.call("GET", "/notes", "globex").status_code == 200
    finally:
        operator.tenantctl("upgrade-all")
    assert client.call("GET", "/invoices", "acme").status_code == 200


# --- what they see ---------------------------------------------------------------------------


def test_each_tenant_sees_its_own_rows_over_one_connection(client):
    for slug in EVERYBODY:
        assert client.call("POST", "/notes", slug, {"body": slug}).status_code == 201
        assert client.call("POST", "/projects", slug, {"name": slug}).status_code == 201
    for _ in range(3):
        for slug in EVERYBODY:
            assert client.bodies(slug) == [slug]
            assert names(client.call("GET", "/projects", slug)) == [slug]


def test_a_refused_tenant_leaves_nothing_in_the_connection(client, operator):
    client.call("POST", "/notes", "acme", {"body": "acme"})
    operator.set_state("globex", "suspended")
    for _ in range(3):
        assert client.bodies("acme") == ["acme"]
        assert client.call("GET", "/notes", "globex").status_code == 403
        assert client.call("GET", "/notes", "nobody").status_code == 404
        assert client.bodies("hooli") == []


def test_many_requests_at_once_do_not_mix(busy_client):
    writes = [("POST", "/notes", {"body": slug}, {"X-Tenant": slug}) for slug in EVERYBODY] * 10
    assert {answer.status_code for answer in busy_client.together(writes)} == {201}
    reads = [("GET", "/notes", None, {"X-Tenant": slug}) for slug in EVERYBODY] * 5
    for (_, _, _, headers), answer in zip(reads, busy_client.together(reads)):
        assert [note["body"] for note in answer.json()] == [headers["X-Tenant"]] * 10


def test_invoices_stand_in_the_schema_of_their_tenant(client, operator):
    invoice = {"customer": "Ada", "cents": 100}
    assert client.call("POST", "/invoices", "acme", invoice).status_code == 201
    assert operator.execute("SELECT count(*) FROM acme.invoices") == [(1,)]
    assert client.call("GET", "/invoices", "globex").json() == []
    for slug in STARTERS:
        assert client.call("GET", "/invoices", slug).status_code == 402
        assert client.call("POST", "/invoices", slug, invoice).status_code == 402


def test_enterprises_have_projects_of_their_own_and_starters_share_a_table(client, operator):
    for slug in EVERYBODY:
        client.call("POST", "/projects", slug, {"name": slug})
    for schema, count in (("acme", 1), ("globex", 1), ("starter", 2)):
        assert operator.execute(f"SELECT count(*) FROM {schema}.projects") == [(count,)]


def test_a_starter_has_three_projects_however_fast_it_clicks(busy_client):
    clicks = [("POST", "/projects", {"name": f"p{i}"}, {"X-Tenant": "hooli"}) for i in range(8)]
    answers = [answer.status_code for answer in busy_client.together(clicks)]
    assert sorted(answers) == [201] * 3 + [402] * 5
    assert busy_client.call("POST", "/projects", "initech", {"name": "p"}).status_code == 201
    for i in range(5):
        assert busy_client.call("POST", "/projects", "acme", {"name": f"p{i}"}).status_code == 201


# --- past the application --------------------------------------------------------------------


def test_without_a_tenant_the_database_shows_nothing_and_takes_nothing(client, application):
    client.call("POST", "/notes", "acme", {"body": "secret"})
    assert application.execute("SELECT * FROM shared.notes").fetchall() == []
    for sql in ("INSERT INTO shared.notes (body) VALUES ('x')", "SELECT * FROM projects",
                "SELECT tenantctl.require_tenant()"):
        with pytest.raises(psycopg.Error):
            application.execute(sql)
        application.rollback()


def test_a_tenant_cannot_write_or_move_rows_to_another(client, operator, application):
    client.call("POST", "/notes", "acme", {"body": "acme"})
    client.call("POST", "/notes", "globex", {"body": "globex"})
    other = operator.execute("SELECT id FROM tenantctl.tenant WHERE slug = 'globex'")[0][0]
    for sql in ("INSERT INTO shared.notes (tenant_id, body) VALUES (%s, 'planted')",
                "UPDATE shared.notes SET tenant_id = %s"):
        application.execute("SELECT tenantctl.enter('acme')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute(sql, (other,))
        application.rollback()
    application.execute("SELECT tenantctl.enter('acme')")
    assert application.execute("DELETE FROM shared.notes").rowcount == 1
    application.commit()
    assert client.bodies("globex") == ["globex"]


def test_row_level_security_binds_the_owner_too(operator):
    tables = operator.execute(
        "SELECT relnamespace::regnamespace::text, relrowsecurity, relforcerowsecurity FROM pg_class "
        "WHERE relkind = 'r' AND relname IN ('notes', 'projects') ORDER BY 1")
    assert tables == [(schema, True, True) for schema in ("acme", "globex", "shared", "starter")]


def test_the_application_owns_nothing_and_cannot_look_into_the_registry(application):
    for sql in ("SELECT * FROM tenantctl.tenant", "CREATE TABLE acme.x ()",
                "ALTER TABLE shared.notes DISABLE ROW LEVEL SECURITY"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute(sql)
        application.rollback()


# --- signing up ------------------------------------------------------------------------------


def claim_by_asyncpg(loop, slug):
    async def claim():
        connection = await asyncpg.connect(user="example_app", database=DATABASE,
                                           host=os.environ["PGHOST"], port=os.environ["PGPORT"])
        try:
            await connection.execute("SELECT tenantctl.claim($1)", slug)
            return "claimed"
        except asyncpg.PostgresError as error:
            return error.sqlstate
        finally:
            await connection.close()

    return loop.run_until_complete(claim())


def test_a_sign_up_takes_a_tenant_out_of_the_pool(operator, application, client, loop):
    operator.tenantctl("gate", "install", "--claim-role", "example_app")
    with pytest.raises(psycopg.Error) as refused:
        application.execute("SELECT tenantctl.claim('umbrella')")
    application.rollback()
    assert refused.value.sqlstate == "TG007"
    operator.tenantctl("tenant", "pool", "--keep", "1")
    application.execute("SELECT tenantctl.claim('umbrella', 'Umbrella Inc')")
    application.commit()
    try:
        client.call("POST", "/notes", "umbrella", {"body": "first"})
        assert client.bodies("umbrella") == ["first"]
        assert claim_by_asyncpg(loop, "soylent") == "TG007"
    finally:
        operator.tenantctl("tenant", "drop", "umbrella", "--yes", "--purge")
