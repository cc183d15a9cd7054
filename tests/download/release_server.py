# SPDX-License-Identifier: MIT
"""An HTTP server for a release's files that can misbehave: it cuts connections, sends errors,
redirects, stalls or changes its files."""

import hashlib
import http.server
import threading


class Release:
    """Serves `files`, {name: bytes}. Tests set the faults on the object. `requests` lists (path,
    Range, If-Range)."""

    def __init__(self, files):
        self.files = files
        self.requests = []
        # For each of the next archives: the bytes of its body before the connection breaks.
        self.cut_after = []
        # Bytes after which an archive's body stalls.
        self.stall_after = None
        # Prefix that all requests are redirected to.
        self.redirect_to = None
        self.ranges = True
        # Content-Range of every answer with an archive; its status is then 206.
        self.content_range = None
        # Status of every answer.
        self.status = None
        release = self
        self.stop_stalling = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                release.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.stop_stalling.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler):
        name = handler.path.rsplit("/", 1)[-1]
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        self.requests.append((handler.path, asked, condition))
        if self.redirect_to and not handler.path.startswith("/moved/"):
            handler.send_response(302)
            handler.send_header("Location", self.redirect_to + handler.path)
            handler.send_header("Content-Length", "5")
            handler.end_headers()
            handler.wfile.write(b"moved")
            return
        if self.status or name not in self.files:
            handler.send_error(self.status or 404)
            return
        content = self.files[name]
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        first = 0
        if asked and self.ranges and condition == etag:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
            if first >= len(content):
                handler.send_error(416)
                return
            handler.send_response(206)
            if not self.content_range:
                handler.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        elif self.content_range and name.endswith(".tar.gz"):
            handler.send_response(206)
        else:
            handler.send_response(200)
        if self.content_range and name.endswith(".tar.gz"):
            handler.send_header("Content-Range",
                                self.content_range.format(first=first, last=len(content) - 1, size=len(content)))
        body = content[first:]
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", etag)
        handler.end_headers()
        archive = name.endswith(".tar.gz")
        if archive and self.cut_after:
            handler.wfile.write(body[:self.cut_after.pop(0)])
            handler.close_connection = True
        elif archive and self.stall_after is not None:
            handler.wfile.write(body[:self.stall_after])
            handler.wfile.flush()
            self.stop_stalling.wait(60)
            handler.close_connection = True
        else:
            handler.wfile.write(body)
