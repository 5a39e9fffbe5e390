#!/usr/bin/env python3
"""Records the fixtures again with the installed version of the official Python package, and prints what changed.

    python3 -m venv /tmp/official && /tmp/official/bin/pip install twelvelabs
    /tmp/official/bin/python tests/wire/record.py [--check] [part of a method's name]

The script plays every fixture in tests/fixtures: it calls the `method` with the `args` against a server on this machine,
which returns the recorded responses in order. The requests that arrive replace the recorded requests. Responses are never
changed. A fixture with `differs`, for which the crate deliberately does something else, is not written; the script only
prints the difference. It also writes the lists of the package's methods and types to tests/fixtures/methods.txt and
types.txt. Tests fail if the crate or the guide lacks one of them. With `--check`, nothing is written, and the exit code is
1 if anything has changed.
"""

import base64
import copy
import email
import email.policy
import hashlib
import importlib
import inspect
import json
import logging
import pathlib
import pkgutil
import sys
import tempfile
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import twelvelabs
from twelvelabs import TwelveLabs

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
NO_ITEMS = {"page": 1, "limit_per_page": 10, "total_page": 1, "total_results": 0}
NO_MORE = {"data": [], "uploaded_chunks": [], "page_info": NO_ITEMS}


def body_of(content_type, content):
    if not content:
        return None
    if content_type.startswith("application/json"):
        return {"kind": "json", "json": json.loads(content)}
    if not content_type.startswith("multipart/form-data"):
        digest = hashlib.sha256(content).hexdigest()
        return {"kind": "bytes", "content_type": content_type, "size": len(content), "sha256": digest}
    head = f"content-type: {content_type}\r\n\r\n".encode()
    parts = []
    for part in email.message_from_bytes(head + content, policy=email.policy.HTTP).iter_parts():
        content, filename = part.get_payload(decode=True), part.get_filename()
        name = part.get_param("name", header="content-disposition")
        if filename is None:
            parts.append({"name": name, "text": content.decode()})
        else:
            kind, digest = part.get_content_type(), hashlib.sha256(content).hexdigest()
            file = {"filename": filename, "content_type": kind, "size": len(content), "sha256": digest}
            parts.append({"name": name, **file})
    return {"kind": "multipart", "parts": parts}


def event(data):
    """Returns a server-sent event."""
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"


class Handler(BaseHTTPRequestHandler):
    """Records each request with its response: the first remaining one for its path, otherwise the first remaining one."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        path, _, query = self.path.partition("?")
        pairs = [list(pair) for pair in urllib.parse.parse_qsl(query, keep_blank_values=True)]
        body = body_of(self.headers.get("content-type", ""), content)
        request = {"method": self.command, "path": path, "query": pairs, "body": body}
        with self.server.lock:
            left = [exchange for exchange in self.server.exchanges if "request" not in exchange]
            fits = lambda old: (old["method"], old["path"]) == (self.command, path)
            fitting = [exchange for exchange in left if fits(exchange["old"])]
            if not left:
                response = {"status": 200, "content_type": "application/json", "body": NO_MORE}
                left = [{"old": {}, "response": response}]
                self.server.exchanges += left
            exchange = (fitting or left)[0]
            exchange["request"] = request
            if "headers" in exchange["old"]:  # only the recorded headers matter
                request["headers"] = {name: self.headers.get(name) for name in exchange["old"]["headers"]}
        response = exchange["response"]
        self.send_response(response["status"])
        if response["content_type"]:
            self.send_header("content-type", response["content_type"])
        tag = {"etag": f'"{hashlib.md5(content).hexdigest()}"'} if "/_s3/" in path else {}
        for name, value in response.get("headers", tag).items():
            self.send_header(name, value)
        data = response["body"]
        lines = isinstance(data, list) and response["content_type"] != "application/json"
        events = response["content_type"] == "text/event-stream"
        texts = [event(line) if events else json.dumps(line) + "\n" for line in data] if lines else [json.dumps(data)]
        texts += ["data: [DONE]\n\n"] if events else []
        out = "" if data is None else "".join(texts).replace("127.0.0.1:PORT", f"127.0.0.1:{self.server.server_port}")
        if response["status"] != 204:
            self.send_header("content-length", str(len(out.encode())))
        self.end_headers()
        self.wfile.write(out.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


def argument(name, value, folder):
    """Returns an argument for Python. A file becomes a path if the argument is one, otherwise a name with its bytes."""
    if isinstance(value, list):
        return [argument(name, item, folder) for item in value]
    if not isinstance(value, dict) or "$file" not in value:
        return value
    content = base64.b64decode(value["base64"])
    if not name.endswith("path"):
        return (value["$file"], content)
    path = pathlib.Path(folder) / value["$file"]
    path.write_bytes(content)
    return str(path)


def play(fixture):
    """Returns the exchanges of a call, and the error that the package raised, if any."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.lock, server.exchanges = threading.Lock(), []
    for old in fixture["exchanges"]:
        server.exchanges.append({"old": old["request"], "response": old["response"]})
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    error = None
    with tempfile.TemporaryDirectory() as folder:
        try:
            function = TwelveLabs(api_key="key", base_url=f"http://127.0.0.1:{server.server_port}/v1.3")
            for name in fixture["method"].split("."):
                function = getattr(function, name)
            result = function(**{name: argument(name, value, folder) for name, value in fixture["args"].items()})
            if hasattr(result, "__iter__") and not hasattr(result, "model_dump"):
                list(result)  # fetches the other pages, or the rest of a stream
        except Exception as e:  # only the requests count, so any error is accepted
            error = f"{type(e).__name__}: {e}"
    server.shutdown()
    server.server_close()
    sent = [{"request": x["request"], "response": x["response"]} for x in server.exchanges if "request" in x]
    return sent, error


def in_order(exchanges):
    """Returns the requests, with parallel reports in a fixed order."""
    requests = copy.deepcopy([exchange["request"] for exchange in exchanges])
    for request in requests:
        chunks = ((request["body"] or {}).get("json") or {}).get("completed_chunks") or []
        chunks.sort(key=lambda chunk: chunk["chunk_index"])
    return requests


def differences(old, new):
    """Yields a description of each request that has changed."""
    for n in range(max(len(old), len(new))):
        was, now = (json.dumps(x[n], ensure_ascii=False) if n < len(x) else "nothing" for x in (old, new))
        if was != now:
            yield f"    request {n + 1} was {was}\n             now {now}"


def methods(resource, path=""):
    """Yields all public methods of a client and of its resources."""
    for name in (name for name in dir(resource) if not name.startswith("_") and name != "with_raw_response"):
        value = getattr(resource, name)
        if inspect.ismethod(value):
            yield path + name
        elif type(value).__module__.startswith("twelvelabs.") and "Client" in type(value).__name__:
            yield from methods(value, f"{path}{name}.")


def types():
    """Yields the names of all public types, except for those of the HTTP layer."""
    packages = [module.name for module in pkgutil.walk_packages(twelvelabs.__path__, "twelvelabs.") if module.ispkg]
    for package in ["twelvelabs", *packages]:
        if not package.startswith("twelvelabs.core"):
            names = getattr(importlib.import_module(package), "__all__", [])
            yield from (name for name in names if name[0].isupper())


def main():
    logging.disable()
    options = [option for option in sys.argv[1:] if option == "--check"]
    wanted = [option for option in sys.argv[1:] if option not in options]
    changed, played = 0, set()
    for file in sorted(FIXTURES.glob("*/*.json")):
        label = f"{file.parent.name}/{file.stem}"
        if not all(part in label for part in wanted):
            continue
        fixture = json.loads(file.read_text())
        played.add(fixture["method"])
        exchanges, error = play(fixture)
        lines = list(differences(in_order(fixture["exchanges"]), in_order(exchanges)))
        if not lines:
            continue
        note = f", and it raised {error}" if error else ""
        if "differs" in fixture:
            print(f"{label} differs: {fixture['differs']}{note}", *lines, sep="\n")
            continue
        changed += 1
        print(f"{label} CHANGED{note}", *lines, sep="\n")
        if not options and not error:
            fixture["exchanges"] = exchanges
            file.write_text(json.dumps(fixture, indent=1, ensure_ascii=False) + "\n")
    found = {"methods.txt": set(methods(TwelveLabs(api_key="key"))), "types.txt": set(types())}
    for name, after in found.items():
        file = FIXTURES / name
        before = set(file.read_text().splitlines()[1:]) if file.exists() else set()
        for name in sorted(before ^ after):
            changed += 1
            print(f"{name} is {'new' if name in after else 'gone'} in the package")
        if not options:
            file.write_text("\n".join([f"# twelvelabs {version('twelvelabs')}", *sorted(after)]) + "\n")
    if not wanted:
        print("without a fixture:", *sorted(found["methods.txt"] - played), sep="\n    ")
    print(f"{changed} changed" if changed else "nothing changed", f"({len(played)} methods played)")
    return 1 if options and changed else 0


if __name__ == "__main__":
    sys.exit(main())
