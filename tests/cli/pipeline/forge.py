"""A forge of one's own: the comments of one pull or merge request, by the API of GitHub or GitLab, on loopback."""

import re
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from tests.gateway.loopback import FakeUpstream, plain

TOKEN = "ghs_secretTOKEN.123"


class Forge:
    """Its comments, by whom, and what it was asked. `reads_only` is a fork's token; `user` answers ``GET /user``."""

    def __init__(self, kind, *, me="github-actions[bot]", user=None, reads_only=False):
        self.kind, self.me, self.user, self.reads_only = kind, me, user, reads_only
        self.comments, self.asked, self.broken = [], [], None

    def say(self, who, body):
        self.comments.append({"id": 100 + len(self.comments), "who": who, "body": body})

    def answer(self, method, path, token, body):
        """A status and what is answered."""
        self.asked.append((method, path))
        if self.broken is not None:
            return self.broken, {"message": "broken"}
        if token != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}
        address, query = urlsplit(path).path, parse_qs(urlsplit(path).query)
        if address == "/user":
            key = "login" if self.kind == "github" else "username"
            return (200, {key: self.user}) if self.user else (403, {"message": "not by integration"})
        listed = (
            "/repos/own/shop/issues/7/comments"
            if self.kind == "github"
            else "/projects/42/merge_requests/7/notes"
        )
        if (method, address) == ("GET", listed):
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, [self.shown(one) for one in self.comments[(page - 1) * size : page * size]]
        if self.reads_only:
            return 403, {"message": "Resource not accessible by integration"}
        if (method, address) == ("POST", listed):
            self.say(self.me, body["body"])
            return 201, self.shown(self.comments[-1])
        one = self.changed(method, address)
        if one is None:
            return 404, {"message": "Not Found"}
        one["body"] = body["body"]
        return 200, self.shown(one)

    def changed(self, method, address):
        pattern = (
            r"/repos/own/shop/issues/comments/(\d+)"
            if self.kind == "github"
            else r"/projects/42/merge_requests/7/notes/(\d+)"
        )
        found = re.fullmatch(pattern, address)
        if found is None or method != ("PATCH" if self.kind == "github" else "PUT"):
            return None
        return next((one for one in self.comments if one["id"] == int(found[1])), None)

    def shown(self, one):
        who = (
            {"user": {"login": one["who"]}} if self.kind == "github" else {"author": {"username": one["who"]}}
        )
        return {"id": one["id"], "body": one["body"], **who}


@contextmanager
def serving(forge):
    """The forge's address while it serves."""

    server = FakeUpstream()

    def answer(asked):
        body = asked.json if asked.body else None
        status, said = forge.answer(asked.method, asked.place, asked.headers.get("authorization"), body)
        return plain(said, status=status)

    server.answer = answer
    try:
        yield server.base_url
    finally:
        server.close()
