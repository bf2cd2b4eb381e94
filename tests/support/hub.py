"""A stand-in of the Hugging Face Hub on loopback: repositories in memory behind HTTP.

It answers the requests of huggingface_hub that create repositories, upload files (small files in
the commit, large files through LFS), describe revisions, list files and download them.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_of_the_tests"
LFS_FROM = 4096
"""Smallest size in bytes of the files that are uploaded through LFS."""
KINDS = {"models": "", "datasets": "datasets/"}


class Hub:
    """The repositories, and the requests that were made."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}  # by commit
        self.branches: dict[tuple[str, str], dict[str, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.requests: list[str] = []
        self.url = ""

    def add(self, kind: str, name: str) -> None:
        """Make an empty repository."""
        self.files[kind, name], self.branches[kind, name] = {}, {}
        self.commit(kind, name, "main", {})

    def commit(self, kind: str, name: str, branch: str, files: dict[str, bytes]) -> str:
        """Add files to a branch, and return the commit."""
        branches = self.branches[kind, name]
        before = self.files[kind, name].get(branches.get(branch, ""), {})
        after = before | files
        listed = [[path, hashlib.sha1(data).hexdigest()] for path, data in sorted(after.items())]
        made = hashlib.sha1(json.dumps([name, branches.get(branch), listed]).encode()).hexdigest()
        self.files[kind, name][made], branches[branch] = after, made
        return made

    def add_folder(self, name: str, folder: Path) -> str:
        """Make a data set of the files of a folder, and return its commit."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        if ("datasets", name) not in self.files:
            self.add("datasets", name)
        return self.commit("datasets", name, "main", files)


class _Answer(Exception):
    def __init__(self, status: int, body: object = b"", **headers: str) -> None:
        self.status, self.headers = status, headers
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.content = self.rfile.read(size)
        path = urlsplit(self.path).path  # a revision with slashes is quoted
        self.hub.requests.append(f"{self.command} {unquote(path)}")
        try:
            self._route(path)
        except _Answer as answer:
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass

    def _route(self, path: str) -> None:
        if path.startswith("/lfs/"):
            self._upload(path.removeprefix("/lfs/"))
        if path == "/api/validate-yaml":
            raise _Answer(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            self._create()
        if path.endswith(".git/info/lfs/objects/batch"):
            self._batch()
        if found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind = "datasets" if found[1] else "models"
            self._resolve(kind, found[2], unquote(found[3]), unquote(found[4]))
        found = re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(\w+)(?:/(.+))?)?", path)
        if not found:
            raise _Answer(404, {"error": f"no route {path}"})
        kind, name, action, rest = found.groups()
        rest = rest and unquote(rest)
        if action in ("preupload", "commit", "branch"):
            self._need_token()
        if action == "preupload":
            self._preupload()
        if action == "commit":
            self._commit(kind, name, rest)
        if action == "branch":
            self.hub.branches[kind, name][rest] = self._find(kind, name, "main")
            raise _Answer(201, {})
        if action in (None, "revision"):
            self._describe(kind, name, rest or "main")
        if action == "tree":
            self._tree(kind, name, rest)
        raise _Answer(404, {"error": f"no route {path}"})

    def _need_token(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Answer(401, {"error": "Invalid credentials"})

    def _find(self, kind: str, name: str, revision: str) -> str:
        if (kind, name) not in self.hub.files:
            raise _Answer(404, {"error": "no such repository"}, X_Error_Code="RepoNotFound")
        if name in self.hub.gated:
            raise _Answer(403, {"error": "gated"}, X_Error_Code="GatedRepo")
        commit = self.hub.branches[kind, name].get(revision, revision)
        if commit not in self.hub.files[kind, name]:
            raise _Answer(404, {"error": "no such revision"}, X_Error_Code="RevisionNotFound")
        return commit

    def _create(self) -> None:
        self._need_token()
        asked = json.loads(self.content)
        name = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
        kind = "datasets" if asked.get("type") == "dataset" else "models"
        page = {"url": f"{self.hub.url}/{KINDS[kind]}{name}"}
        if (kind, name) in self.hub.files:
            raise _Answer(409, page)
        self.hub.add(kind, name)
        raise _Answer(200, page)

    def _preupload(self) -> None:
        raise _Answer(
            200,
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["size"] >= LFS_FROM else "regular",
                        "shouldIgnore": False,
                    }
                    for file in json.loads(self.content)["files"]
                ]
            },
        )

    def _batch(self) -> None:
        objects = [
            {
                **each,
                "actions": {"upload": {"href": f"{self.hub.url}/lfs/{each['oid']}", "header": {}}},
            }
            for each in json.loads(self.content)["objects"]
        ]
        raise _Answer(200, {"transfer": "basic", "objects": objects})

    def _upload(self, oid: str) -> None:
        if hashlib.sha256(self.content).hexdigest() != oid:
            raise _Answer(400, {"error": "another content"})
        self.hub.blobs[oid] = self.content
        raise _Answer(200)

    def _commit(self, kind: str, name: str, branch: str) -> None:
        self._find(kind, name, branch)
        files = {}
        for line in map(json.loads, self.content.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        commit = self.hub.commit(kind, name, branch, files)
        page = f"{self.hub.url}/{KINDS[kind]}{name}/commit/{commit}"
        raise _Answer(200, {"commitUrl": page, "commitOid": commit})

    def _describe(self, kind: str, name: str, revision: str) -> None:
        commit = self._find(kind, name, revision)
        siblings = [
            {"rfilename": path, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
            for path, data in sorted(self.hub.files[kind, name][commit].items())
        ]
        raise _Answer(200, {"_id": "0", "id": name, "sha": commit, "siblings": siblings,
                            "private": False, "tags": [], "downloads": 0, "likes": 0})  # fmt: skip

    def _tree(self, kind: str, name: str, rest: str) -> None:
        commit = self._find(kind, name, rest)
        listed = []
        for path, data in sorted(self.hub.files[kind, name][commit].items()):
            entry = {"type": "file", "path": path, "size": len(data),
                     "oid": hashlib.sha1(data).hexdigest()}  # fmt: skip
            if len(data) >= LFS_FROM:
                oid = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": oid, "size": len(data), "pointerSize": 130}
            listed.append(entry)
        raise _Answer(200, listed)

    def _resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        commit = self._find(kind, name, revision)
        data = self.hub.files[kind, name][commit].get(path)
        if data is None:
            raise _Answer(
                404, {"error": "no such file"}, X_Error_Code="EntryNotFound", X_Repo_Commit=commit
            )
        algorithm = hashlib.sha1 if len(data) < LFS_FROM else hashlib.sha256
        etag = algorithm(data).hexdigest()
        raise _Answer(200, data, X_Repo_Commit=commit, ETag=f'"{etag}"')


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    """Answer requests on loopback, and let huggingface_hub send its requests there.

    Args:
        folder: Folder of the hub's cache.
    """
    from huggingface_hub import close_session, constants, hf_api

    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(hf_api.api, "endpoint", hub.url)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its servers have no stand-in
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
        patch.delenv("HF_TOKEN", raising=False)
        try:
            yield hub
        finally:
            close_session()  # else its open connection is answered still
            server.shutdown()
            server.server_close()
            thread.join()
