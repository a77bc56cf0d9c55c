"""A model hub on a port of this machine, with as much of its HTTP interface as huggingface_hub's own client uses.

What it answers is what huggingface.co does (its OpenAPI description, git-lfs's batch interface, and what the client
expects): repositories are made, files go as base64 in a commit's lines or by git-lfs where they are large or binary,
reads are by revision, and every answer about a repository names the commit. Tokens are asked for to write.
"""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_of_this_test"
_LARGE = 10 * 2**20


class Hub:
    """What a hub holds: by repository its commits, each a tree of paths; blobs of git-lfs by their hash."""

    def __init__(self):
        self.repos, self.blobs = {}, {}
        self.url = ""
        self.broken = 0
        """A status that every request is answered with, 0 for none."""

    def tree(self, repo, revision="main"):
        commits = self.repos[repo]["commits"]
        found = commits[-1] if revision == "main" else next(c for c in commits if c["id"] == revision)
        return found["id"], found["tree"]

    def commit(self, repo, tree):
        digest = hashlib.sha1(repr((len(self.repos[repo]["commits"]), sorted(tree))).encode()).hexdigest()  # noqa: S324
        self.repos[repo]["commits"].append({"id": digest, "tree": tree})
        return digest

    def put(self, repo, path, data):
        """Change a file behind everybody's back."""
        self.commit(repo, {**self.tree(repo)[1], path: data})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, status, data=b"", **headers):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status, code, words):
        self._say(status, {"error": words}, X_Error_Code=code, X_Error_Message=words)

    def _route(self):
        hub, body, path = self.server.hub, self._body(), unquote(urlsplit(self.path).path)
        if hub.broken:
            return self._refuse(hub.broken, "Broken", "this hub is out of order")
        writes = self.command in ("POST", "PUT") and not path.startswith("/lfs/")
        if writes and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._refuse(401, "", "Invalid credentials in Authorization header")
        parts = path.strip("/").split("/")
        if path == "/api/repos/create" or parts[0] == "lfs":
            return self._lfs(parts, body) if parts[0] == "lfs" else self._create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        return self._about_repo(parts, body)

    def _about_repo(self, parts, body):
        hub, api = self.server.hub, parts[:2] == ["api", "models"]
        repo = "/".join(parts[2:4] if api else parts[:2])
        if repo not in hub.repos or (hub.repos[repo]["private"] and not self.headers.get("Authorization")):
            return self._refuse(401 if not self.headers.get("Authorization") else 404, "RepoNotFound", "not found")
        rest = parts[4:] if api else parts[2:]
        try:
            return self._of_repo(repo, rest, body)
        except StopIteration:
            return self._refuse(404, "RevisionNotFound", "no such revision")

    do_GET = do_HEAD = do_POST = do_PUT = _route  # noqa: N815

    def _create(self, asked):
        hub = self.server.hub
        name = f"{asked.get('organization') or 'someone'}/{asked['name']}"
        if name in hub.repos:
            return self._say(409, {"error": "You already created this model repo", "url": f"{hub.url}/{name}"})
        hub.repos[name] = {"private": asked.get("visibility") == "private" or bool(asked.get("private")), "commits": []}
        hub.commit(name, {".gitattributes": b"*.onnx filter=lfs diff=lfs merge=lfs -text\n"})
        return self._say(200, {"url": f"{hub.url}/{name}", "name": name, "id": "1"})

    def _of_repo(self, repo, rest, body):
        hub = self.server.hub
        if rest and rest[0] == "preupload":
            modes = [(one, one["size"] > _LARGE or one["path"].endswith(".onnx")) for one in json.loads(body)["files"]]
            found = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if large else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for one, large in modes
            ]
            return self._say(200, {"files": found})
        if rest and rest[0] == "commit":
            return self._commit(repo, body)
        if rest and rest[0] == "resolve":
            return self._file(repo, unquote(rest[1]), "/".join(rest[2:]))
        if rest and rest[0] == "tree":
            commit, tree = hub.tree(repo, rest[1])
            query = parse_qs(urlsplit(self.path).query)
            entries = [self._entry(path, data) for path, data in sorted(tree.items())]
            assert query.get("recursive")
            return self._say(200, entries, X_Repo_Commit=commit)
        commit, tree = hub.tree(repo, rest[1] if rest else "main")
        siblings = [{"rfilename": path, "size": len(data)} for path, data in sorted(tree.items())]
        about = {"id": repo, "modelId": repo, "sha": commit, "private": False, "siblings": siblings, "tags": []}
        return self._say(200, {**about, "downloads": 0, "likes": 0})

    def _entry(self, path, data):
        return {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": path}  # noqa: S324

    def _commit(self, repo, body):
        hub = self.server.hub
        _, tree = hub.tree(repo)
        tree, lines = dict(tree), [json.loads(line) for line in body.splitlines()]
        assert lines[0]["key"] == "header"
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                tree[value["path"]] = hub.blobs[value["oid"]]
            else:
                assert line["key"] == "deletedFile"
                del tree[value["path"]]
        digest = hub.commit(repo, tree)
        url = f"{hub.url}/{repo}/commit/{digest}"
        return self._say(200, {"success": True, "commitUrl": url, "commitOid": digest, "hookOutput": ""})

    def _batch(self, asked):
        hub = self.server.hub
        assert "basic" in asked["transfers"]
        found = []
        for one in asked["objects"]:
            actions = {"upload": {"href": f"{hub.url}/lfs/put/{one['oid']}"},
                       "verify": {"href": f"{hub.url}/lfs/verify/{one['oid']}"}}  # fmt: skip
            found.append({**one, **({} if one["oid"] in hub.blobs else {"actions": actions})})
        return self._say(200, {"transfer": "basic", "objects": found})

    def _lfs(self, parts, body):
        hub = self.server.hub
        if parts[1] == "put":
            if hashlib.sha256(body).hexdigest() != parts[2]:
                return self._refuse(400, "", "not the content of that hash")
            hub.blobs[parts[2]] = body
        return self._say(200 if parts[2] in hub.blobs else 404, {})

    def _file(self, repo, revision, path):
        hub = self.server.hub
        commit, tree = hub.tree(repo, revision)
        if path not in tree:
            return self._refuse(404, "EntryNotFound", "no such file")
        data = tree[path]
        digest = hashlib.sha256(data).hexdigest()
        begin = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        status = 206 if begin else 200
        return self._say(status, data[begin:], ETag=f'"{digest}"', X_Repo_Commit=commit, Accept_Ranges="bytes")


@contextmanager
def serving():
    """A hub that answers for as long as the block lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub = hub
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
