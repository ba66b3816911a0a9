"""A web server on loopback that speaks TLS, with a certificate of an authority that nobody knows.

usage: https_server.py FOLDER

Serves FOLDER, prints {"url", "authority"} (the latter a file), and ends with its standard input.
"""

import http.server
import json
import ssl
import sys
import tempfile
import threading
from functools import partial

import trustme


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


authority = trustme.CA()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=sys.argv[1]))
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
with tempfile.NamedTemporaryFile(suffix=".pem") as file:
    authority.cert_pem.write_to_path(file.name)
    print(json.dumps({"url": f"https://localhost:{server.server_port}", "authority": file.name}), flush=True)
    sys.stdin.read()
