"""The HTTP application: decisions on rows of features or on a symbol's session, and what is deployed."""

import asyncio
import contextlib
import datetime as dt
import html
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from bq.core import secrets
from bq.core.errors import BadParameters, BQError
from bq.core.log import log
from bq.core.settings import Settings
from bq.jobs.http.deployed import Deployed, Serving
from bq.jobs.http.metrics import TYPE, Metrics
from bq.jobs.http.sessions import Sessions
from bq.serving import scoring
from bq.strategies.contract import Strategy

EVERY = 0.5  # seconds between two looks at what is deployed
AT_ONCE = 64  # rows that are decided on the loop itself: a thread costs more
MOST = 200_000  # rows of a request
JSON = "application/json"
Number = float | None
Text = str | None


class Features(BaseModel):
    """Rows of one session. Columns by name: a value for one row, or a list with one for each row; null: not known."""

    model_config = ConfigDict(extra="forbid", strict=True)
    features: dict[str, list[Number] | list[Text] | float | str | None] = Field(min_length=1)


class Event(BaseModel):
    """A symbol on a session that the server has bars of."""

    model_config = ConfigDict(extra="forbid")
    symbol: str = Field(min_length=1, max_length=40)
    session: dt.date


BODY = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": {"oneOf": [Features.model_json_schema(), Event.model_json_schema()]}}},
    }
}


def answer(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Content as JSON; what is not finite becomes null."""
    return Response(to_json(content, inf_nan_mode="null"), status, media_type=JSON)


def fault(sentence: str, status: HTTPStatus) -> Response:
    """What was wrong, in a sentence without secrets."""
    return answer({"error": secrets.redacted(sentence)[0]}, status)


def build(strategy: Strategy, settings: Settings, *, counted: Metrics | None = None) -> FastAPI:
    """The application for one namespace. Models are loaded before it answers, and again when others are deployed."""
    deployed, counted = Deployed(strategy, settings), counted or Metrics()
    counted.decides(deployed.now)

    app = FastAPI(
        title=f"ButterQuant Workbench · {settings.namespace}",
        description="Decisions of the deployed model, or of the rule score where none is. One namespace a server.",
        version="1",
        lifespan=partial(_following, deployed, counted),
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    _faults(app)
    _decisions(app, deployed, Sessions(strategy, settings), counted)
    _state(app, deployed, counted)
    return app


@contextlib.asynccontextmanager
async def _following(deployed: Deployed, counted: Metrics, app: FastAPI) -> AsyncIterator[None]:
    """Look at what is deployed as long as the application runs."""

    async def follow() -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                if await asyncio.to_thread(deployed.refresh):
                    counted.swaps.inc()
                    counted.decides(deployed.now)
            except (BQError, OSError) as error:
                log.error("what is deployed cannot be looked at, the models of before go on: %s", error)

    following = asyncio.create_task(follow())
    yield
    following.cancel()


def _decisions(app: FastAPI, deployed: Deployed, sessions: Sessions, counted: Metrics) -> None:
    """What decides, and what stands behind it."""
    strategy, settings = deployed.strategy, deployed.settings

    @app.post("/v1/score", openapi_extra=BODY, summary="Decide on rows of features, or on a symbol's session")
    async def score(request: Request) -> Response:
        asked, serving = _asked(await request.body()), deployed.now
        if isinstance(asked, Event):
            found = await asyncio.to_thread(sessions.decided, asked.symbol, asked.session, serving)
            return answer(_who(serving, settings) | {"decisions": found.to_dicts()})
        columns, single = _columns(asked)
        rows = len(next(iter(columns.values())))
        if rows > MOST:
            return fault(
                f"features: must have at most {MOST:,} rows, but have {rows:,}.", HTTPStatus.UNPROCESSABLE_ENTITY
            )
        if rows <= AT_ONCE:
            made = scoring.score(columns, strategy, settings, serving.models)
        else:
            made = await asyncio.to_thread(scoring.score, columns, strategy, settings, serving.models)
        counted.rows.labels(made.tier.label).inc(rows)
        if made.outside_support:
            counted.outside.inc(sum(map(bool, made.outside_support)))
        content = _who(serving, settings) | _shown(made, single=single)
        return answer(content) if rows <= AT_ONCE else await asyncio.to_thread(answer, content)

    @app.get("/v1/explain", summary="What stands behind the decisions on a symbol's session")
    async def explain(symbol: Annotated[str, Query(max_length=40)], session: dt.date) -> Response:
        serving = deployed.now
        found = await asyncio.to_thread(sessions.explained, symbol, session, serving)
        return answer(_who(serving, settings) | {"explanations": found})


def _state(app: FastAPI, deployed: Deployed, counted: Metrics) -> None:
    """Who decides, whether the server can, what it counted, and what can be asked."""
    strategy, settings = deployed.strategy, deployed.settings

    @app.get("/v1/champion", summary="The model that decides, and what it asks of a row")
    async def champion() -> Response:
        serving = deployed.now
        model = serving.model
        known = (
            {}
            if model is None
            else {
                "trained_through": model.trained_through,
                "trained_events": model.bundle.trained_events,
                "source": model.bundle.source,
                "feature_set": model.bundle.features,
                "classes": model.bundle.classes,
            }
        )
        needed = list(scoring.needed(model, strategy))
        return answer(_who(serving, settings) | known | {"columns": needed, "fault": serving.fault})

    @app.get("/healthz", summary="The process answers")
    async def healthz() -> Response:
        return answer({"status": "ok"})

    @app.get("/readyz", summary="Every deployed model can answer; none deployed is ready too")
    async def readyz() -> Response:
        why = deployed.now.fault
        return fault(why, HTTPStatus.SERVICE_UNAVAILABLE) if why else answer({"status": "ready"})

    @app.get("/docs", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(_page(app))

    @app.get("/metrics", summary="Counters, for Prometheus")
    async def measured() -> Response:
        return Response(counted.text(), media_type=TYPE)


def _asked(body: bytes) -> Features | Event:
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadParameters(f"the body must be JSON, but is not: {error}.") from None
    of_event = isinstance(content, dict) and not content.keys().isdisjoint(Event.model_fields)
    return (Event if of_event else Features).model_validate(content)


def _who(serving: Serving, settings: Settings) -> dict[str, Any]:
    """Whose answer it is: in every one."""
    tier, model = serving.models.first
    named = {"namespace": str(settings.namespace), "tier": tier.value, "model": model.model_id if model else None}
    return named | {"model_digest": serving.digest}


def _columns(asked: Features) -> tuple[dict[str, list[Any]], bool]:
    """Columns as lists, and whether they are of one row that was given without lists."""
    single = not any(isinstance(value, list) for value in asked.features.values())
    return {name: [value] if not isinstance(value, list) else value for name, value in asked.features.items()}, single


def _shown(made: scoring.Answer, *, single: bool) -> dict[str, Any]:
    columns = {name: getattr(made, name) for name in COLUMNS}
    if single:
        columns = {name: None if values is None else values[0] for name, values in columns.items()}
    return {"classes": made.classes, "threshold": made.threshold, "most_a_session": made.most_a_session, **columns}


def _page(app: FastAPI) -> str:
    """What can be asked, on a page that loads nothing."""
    schema = app.openapi()
    asked = [
        f"<h2>{method.upper()} {html.escape(path)}</h2><p>{html.escape(one['summary'])}</p>{_schema(one)}"
        for path, methods in schema["paths"].items()
        for method, one in methods.items()
    ]
    style = (
        "body{font:16px/1.5 system-ui;max-width:50em;margin:2em auto;padding:0 1em}pre{overflow:auto;font-size:13px}"
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(app.title)}</title><style>{style}</style><h1>{html.escape(app.title)}</h1>"
        f"<p>{html.escape(app.description)} The schema for programs: <a href=/openapi.json>/openapi.json</a>.</p>"
        + "".join(asked)
    )


def _schema(one: dict[str, Any]) -> str:
    asked = one.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema") or one.get("parameters")
    return f"<pre>{html.escape(to_json(asked, indent=2).decode())}</pre>" if asked else ""


COLUMNS = ("expected", "probabilities", "predicted_class", "should_trade", "outside_support")


def _faults(app: FastAPI) -> None:
    """Whatever is wrong with a request is one sentence."""

    @app.exception_handler(ValidationError)
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: ValidationError | RequestValidationError) -> Response:
        return fault(_sentence(error.errors()), HTTPStatus.UNPROCESSABLE_ENTITY)

    @app.exception_handler(BQError)
    async def refused(request: Request, error: BQError) -> Response:
        return fault(str(error), HTTPStatus.UNPROCESSABLE_ENTITY)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return fault(error.detail, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        known = ", ".join(sorted(route.path for route in app.routes if hasattr(route, "path")))
        status = HTTPStatus(error.status_code)
        return fault(f"{request.method} {request.url.path}: {status.phrase.lower()}; there are {known}.", status)


def _sentence(errors: Any) -> str:
    """The first fault of a request, and where it is."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part != "query" and not str(part).startswith("list["))
    return f"{where or 'the body'}: {first['msg'][0].lower()}{first['msg'][1:]}; see /openapi.json."
