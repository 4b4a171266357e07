"""A small server on this machine that speaks as much of the hub's API as publishing and fetching use."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import re
from threading import Thread
from typing import Any

COMMIT = "c0ffee" * 6 + "c0ff"


class Hub:
    """What was put on it: by ``kind/org/name`` the files and their content; and the tokens that came."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.tokens: set[str] = set()
        self.private: dict[str, bool] = {}
        self.url = ""
        self.refuses = False


class Handler(BaseHTTPRequestHandler):
    """One request."""

    hub: Hub

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        self._answer(self._posted(self.rfile.read(int(self.headers.get("Content-Length") or 0))))

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.blobs[hashlib.sha256(content).hexdigest()] = content
        self._answer({})

    def do_GET(self) -> None:
        self._answer(self._got())

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, found: Any) -> None:
        body = b"" if found is None else found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(404 if found is None else 403 if found == {"error": "no"} else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _posted(self, body: bytes) -> Any:
        self.hub.tokens.add(self.headers.get("Authorization", ""))
        if self.hub.refuses:
            return {"error": "no"}
        if self.path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if self.path == "/api/repos/create":
            values = json.loads(body)
            name = f"{values.get('type', 'model')}/{values['organization']}/{values['name']}"
            self.hub.repositories.setdefault(name, {})
            self.hub.private[name] = values.get("private") is True or values.get("visibility") == "private"
            kind, _, repository = name.partition("/")
            return {"url": f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{repository}"}
        if match := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)/preupload/main", self.path):
            return {"files": [_mode(each["path"]) for each in json.loads(body)["files"]]}
        if self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.hub.url}/blobs/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return {"transfer": "basic", "objects": objects}
        if match := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)/commit/main", self.path):
            self._commit(self.hub.repositories[f"{match[1]}/{match[2]}"], body)
            kind = "datasets/" if match[1] == "dataset" else ""
            address = f"{self.hub.url}/{kind}{match[2]}/commit/{COMMIT}"
            return {"commitUrl": address, "commitOid": COMMIT, "pullRequestUrl": None}
        return None

    def _commit(self, files: dict[str, bytes], body: bytes) -> None:
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "lfsFile":
                files[entry["value"]["path"]] = self.hub.blobs[entry["value"]["oid"]]

    def _got(self) -> Any:
        path = self.path.partition("?")[0]
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", path):
            files = self.hub.repositories.get(f"model/{match[1]}")
            if files is None:
                return None
            return {"id": match[1], "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
            files = self.hub.repositories.get(f"model/{match[1]}", {})
            return [{"type": "file", "path": name, "size": len(content), "oid": "0"} for name, content in files.items()]
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            return self.hub.repositories.get(f"model/{match[1]}", {}).get(match[2])
        return None


def _mode(path: str) -> dict[str, Any]:
    mode = "lfs" if path.endswith((".safetensors", ".parquet", ".png")) else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}


@contextmanager
def hub_server() -> Iterator[Hub]:
    """The server at work."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfHub", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
