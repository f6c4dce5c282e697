"""A web server with one dependency, whose wheel lies in vendor/."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from greeting import greet


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{sys.version.split()[0]}\n" if self.path == "/env" else f"{greet('python')}\n"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
