"""Clouds on loopback: they give credentials as the real ones do, and check requests as the real ones do."""

import datetime
import json
import time
from urllib.parse import unquote

import jwt
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.gateway.loopback import ANSWER, plain

SECRET = "wJalrXUtnFEMI/secret-word"


class Cloud:
    """Answers on a `FakeUpstream`: `issue` to whoever asks for credentials, `check` to whoever asks a model."""

    def __init__(self, upstream) -> None:
        self.url = upstream.base_url
        self.lives_s = 3600.0
        self.number = 0
        self.hangs_s = 0.0
        self.fails = False
        self.refused = []
        upstream.answer = self.answer

    def answer(self, seen):
        if self.is_source(seen):
            if self.fails:
                return plain({"error": "access_denied", "quoted": SECRET}, status=500)
            self.number += 1
            return plain(self.issue(seen), delay=self.hangs_s)
        why = self.check(seen)
        if why is not None:
            self.refused.append(why)
            return plain({"error": {"message": why}}, status=403)
        return plain(ANSWER)


class Aws(Cloud):
    """A container's credentials, and Bedrock, which checks signatures by botocore's own computation of them."""

    region, service = "eu-central-1", "bedrock"
    known: dict[str, tuple[str, str, float]]

    def environment(self):
        self.known = {}
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/credentials",
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nowhere",
            "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        }

    def is_source(self, seen):
        return seen.path == "/credentials"

    def issue(self, seen):
        key, token, ends = f"AKID{self.number}", f"session-{self.number}", time.time() + self.lives_s
        self.known[key] = (SECRET + str(self.number), token, ends)
        expiration = datetime.datetime.fromtimestamp(ends, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "AccessKeyId": key,
            "SecretAccessKey": SECRET + str(self.number),
            "Token": token,
            "Expiration": expiration,
        }

    def check(self, seen):
        """As https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html has it."""
        said = seen.headers.get("authorization", "")
        if not said.startswith("AWS4-HMAC-SHA256 "):
            return "not signed"
        parts = dict(part.strip().split("=", 1) for part in said.removeprefix("AWS4-HMAC-SHA256 ").split(","))
        key, _, scope = parts["Credential"].partition("/")
        if key not in self.known:
            return "UnrecognizedClient"
        secret, token, ends = self.known[key]
        if time.time() > ends:
            return "ExpiredToken"
        if seen.headers.get("x-amz-security-token") != token:
            return "InvalidToken"
        at = seen.headers["x-amz-date"]
        if scope != f"{at[:8]}/{self.region}/{self.service}/aws4_request":
            return f"wrong scope {scope}"
        names = parts["SignedHeaders"].split(";")
        if not {"host", "x-amz-date"} <= set(names):
            return "host and date must be signed"
        signed = {name: seen.headers[name] for name in names}
        url = f"http://{seen.headers['host']}{seen.place}"
        request = AWSRequest(method=seen.method, url=url, data=seen.body, headers=signed)
        request.context["timestamp"] = at
        auth = SigV4Auth(Credentials(key, secret, token), self.service, self.region)
        canonical = auth.canonical_request(request)
        if auth.signature(auth.string_to_sign(request, canonical), request) != parts["Signature"]:
            return "SignatureDoesNotMatch"
        return None


class Bearer(Cloud):
    """A cloud of access tokens."""

    def __init__(self, upstream) -> None:
        super().__init__(upstream)
        self.tokens = {}

    def new_token(self):
        token = f"ya29.{SECRET}-{self.number}"
        self.tokens[token] = time.time() + self.lives_s
        return token

    def check(self, seen):
        token = seen.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            return "unknown token"
        return None if time.time() < self.tokens[token] else "expired"


class Google(Bearer):
    """A service account's token endpoint, which checks what the account signs."""

    def write_account(self, folder):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public = key.public_key()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        account = {
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "1",
            "private_key": pem,
            "client_email": "gateway@p.iam.gserviceaccount.com",
            "token_uri": f"{self.url}/token",
        }
        path = folder / "account.json"
        path.write_text(json.dumps(account))
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}

    def is_source(self, seen):
        return seen.path == "/token"

    def issue(self, seen):
        form = dict(part.split("=", 1) for part in seen.body.decode().split("&"))
        # google-auth signs for Google's own address, whatever the account's file says.
        audience = "https://oauth2.googleapis.com/token"
        claims = jwt.decode(form["assertion"], self.public, algorithms=["RS256"], audience=audience)
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        return {"access_token": self.new_token(), "expires_in": self.lives_s, "token_type": "Bearer"}


class Azure(Bearer):
    """The managed identity of an App Service, which is asked on loopback there, too."""

    def environment(self):
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": "header-of-the-service"}

    def is_source(self, seen):
        return seen.path == "/msi/token"

    def issue(self, seen):
        assert seen.headers["x-identity-header"] == "header-of-the-service"
        assert "resource=https://cognitiveservices.azure.com" in unquote(seen.place)
        return {
            "access_token": self.new_token(),
            "expires_on": str(int(time.time() + self.lives_s)),
            "resource": "https://cognitiveservices.azure.com",
            "token_type": "Bearer",
        }


@pytest.fixture
def cloud(request, upstream, tmp_path, monkeypatch):
    """The cloud of the parameter, with its environment set."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    made = {"aws": Aws, "google": Google, "azure": Azure}[request.param](upstream)
    made.name = request.param
    variables = made.write_account(tmp_path) if request.param == "google" else made.environment()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return made
