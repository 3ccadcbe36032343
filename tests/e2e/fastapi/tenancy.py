"""Who is asking, and a database session that is that tenant's.

The request names its tenant by a JWT's claim, the header X-Tenant or the subdomain. What is named
is only a slug; whether there is such a tenant, and whether it may work now, is for the gate to say
(tenantctl.enter), in the same transaction as the work.
"""

import contextlib
import os

import jwt
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse

# The oldest revision of a tenant's schema that this code can work with.
NEEDED_REVISION = "20261130082000"

# What the gate raises, as an answer to the client.
ANSWERS = {
    "TG001": (404, "there is no such tenant"),
    "TG002": (403, "the tenant is suspended"),
    "TG003": (503, "the tenant is not ready"),
    "TG004": (503, "the tenant is being upgraded"),
    "TG005": (500, "no tenant was entered"),
    "TG006": (421, "the tenant lives elsewhere"),
    "EX001": (402, "the plan has no room for more"),
    "42501": (402, "the plan does not include this"),
}


class Refused(Exception):
    def __init__(self, status, detail):
        super().__init__(detail)
        self.status = status
        self.detail = detail


def claimed_tenant(request, secret):
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return None
    if scheme.lower() != "bearer":
        raise Refused(401, "a bearer token is asked for")
    try:
        return jwt.decode(token, secret, algorithms=["HS256"], options={"require": ["tenant"]})[
            "tenant"
        ]
    except jwt.InvalidTokenError as error:
        raise Refused(401, "the token is not valid") from error


def subdomain(request, domain):
    host = request.headers.get("host", "").partition(":")[0].lower()
    return host[: -len(domain) - 1] or None if host.endswith("." + domain) else None


def named_tenant(request, secret, domain):
    """A token is proof, header and subdomain are only wishes: they must not contradict it, nor each
    other."""
    names = [
        claimed_tenant(request, secret),
        request.headers.get("x-tenant"),
        subdomain(request, domain),
    ]
    given = {name for name in names if name is not None}
    if not given:
        raise Refused(400, "the request names no tenant")
    if len(given) > 1:
        raise Refused(403, "the request names more than one tenant")
    return given.pop()


class TenantMiddleware(BaseHTTPMiddleware):
    """Puts the tenant's slug into request.state.tenant, and turns refusals into answers."""

    def __init__(self, app, secret, domain):
        super().__init__(app)
        self.secret = secret
        self.domain = domain

    async def dispatch(self, request: Request, call_next):
        try:
            request.state.tenant = named_tenant(request, self.secret, self.domain)
            return await call_next(request)
        except Refused as refused:
            headers = {"Retry-After": "30"} if refused.status == 503 else None
            return JSONResponse({"detail": refused.detail}, refused.status, headers)


def make_engine(url=None, **options):
    return create_async_engine(url or os.environ["DATABASE_URL"], **options)


@contextlib.asynccontextmanager
async def tenant_session(request: Request):
    """One transaction as the request's tenant. Committed when the block ends, so before the answer
    goes out: a dependency with yield would commit behind the client's back."""
    try:
        async with AsyncSession(request.app.state.engine) as session, session.begin():
            await session.execute(
                text("SELECT tenantctl.enter(:slug, :minimum)"),
                {"slug": request.state.tenant, "minimum": NEEDED_REVISION},
            )
            yield session
    except DBAPIError as error:
        answer = ANSWERS.get(getattr(error.orig, "sqlstate", None))
        if answer is None:
            raise
        raise Refused(*answer) from error
