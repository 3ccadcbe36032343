"""Notes in shared rows, projects in hybrid tiers, invoices in a schema per tenant.

No query here says whose rows it means: that is settled when the session begins.
"""

import os

from fastapi import FastAPI, Request
from pydantic import BaseModel, constr, conint
from sqlalchemy import BigInteger, Column, Identity, Text, select
from sqlalchemy.orm import declarative_base

from tenancy import TenantMiddleware, make_engine, tenant_session

Base = declarative_base()


class Note(Base):
    __tablename__ = "notes"
    __table_args__ = {"schema": "shared"}
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    body = Column(Text, nullable=False)


# Without a schema: found in the entered tenant's search_path.
class Project(Base):
    __tablename__ = "projects"
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    name = Column(Text, nullable=False)


class Invoice(Base):
    __tablename__ = "invoices"
    id = Column(BigInteger, Identity(always=True), primary_key=True)
    customer = Column(Text, nullable=False)
    cents = Column(BigInteger, nullable=False)


class NewNote(BaseModel):
    body: constr(min_length=1)


class NewProject(BaseModel):
    name: constr(min_length=1)


class NewInvoice(BaseModel):
    customer: constr(min_length=1)
    cents: conint(gt=0)


async def add(request, row):
    async with tenant_session(request) as session:
        session.add(row)
        await session.flush()
        return {"id": row.id}


async def read(request, model):
    columns = [column for column in model.__table__.columns]
    async with tenant_session(request) as session:
        rows = await session.execute(select(*columns).order_by(model.id))
        return [dict(row) for row in rows.mappings()]


def make_app(engine=None, secret=None, domain="example.test"):
    app = FastAPI(title="tenantctl example")
    app.state.engine = engine or make_engine()
    app.add_middleware(
        TenantMiddleware, secret=secret or os.environ["JWT_SECRET"], domain=domain
    )

    @app.post("/notes", status_code=201)
    async def add_note(request: Request, note: NewNote):
        return await add(request, Note(**note.dict()))

    @app.get("/notes")
    async def read_notes(request: Request):
        return await read(request, Note)

    @app.post("/projects", status_code=201)
    async def add_project(request: Request, project: NewProject):
        return await add(request, Project(**project.dict()))

    @app.get("/projects")
    async def read_projects(request: Request):
        return await read(request, Project)

    @app.post("/invoices", status_code=201)
    async def add_invoice(request: Request, invoice: NewInvoice):
        return await add(request, Invoice(**invoice.dict()))

    @app.get("/invoices")
    async def read_invoices(request: Request):
        return await read(request, Invoice)

    return app
