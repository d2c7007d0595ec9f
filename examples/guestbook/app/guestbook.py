"""The web application: a page to read and sign, and the same as JSON."""

import time
from dataclasses import asdict

import flask
from werkzeug.exceptions import BadRequest

from storage import LONGEST_MESSAGE, LONGEST_NAME, Entry, Guestbook


def create_app(book: Guestbook) -> flask.Flask:
    """Make the application that serves one book."""
    app = flask.Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
    app.add_template_filter(_as_day, "day")

    @app.get("/")
    def read() -> str:
        return flask.render_template(
            "book.html",
            entries=book.entries(),
            longest_name=LONGEST_NAME,
            longest_message=LONGEST_MESSAGE,
        )

    @app.post("/")
    def sign() -> flask.typing.ResponseReturnValue:
        _sign(book, flask.request.form)
        return flask.redirect("/", code=303)

    @app.get("/entries")
    def read_json() -> list[dict[str, object]]:
        return [asdict(entry) for entry in book.entries()]

    @app.post("/entries")
    def sign_json() -> flask.typing.ResponseReturnValue:
        given = flask.request.get_json()
        if not isinstance(given, dict):
            raise BadRequest("send an object with a name and a message")
        return asdict(_sign(book, given)), 201

    @app.get("/health")
    def health() -> dict[str, str]:
        book.entries(most=1)
        return {"status": "ok"}

    return app


def _sign(book: Guestbook, given: dict[str, str]) -> Entry:
    try:
        return book.sign(str(given["name"]), str(given["message"]))
    except KeyError as error:
        raise BadRequest(f"{error.args[0]} is missing") from None
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _as_day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
