#!/usr/bin/python3
"""An HTTP server for tests, which answers by path.

Says "listening PORT" on stdout when it is ready, and appends each request as
one line of JSON to a file: method, path, headers, body (Latin-1).

    /NUMBER         that status, e.g. /204; with Location for 3xx
    /429            with Retry-After: 7
    /503-date       with Retry-After as a date, 100 s from now
    /429-bad        with a Retry-After that is none
    /etag           201 with ETag: "v1"
    /etag-long      with 300 characters in it
    /slow           200 after a second
    /hang           no answer
    /hang-body      200 with a Content-Length, and no body
    /reset          closed without an answer
    /garbage        not HTTP
    /big            200 with 8 MB
    /body-N         200 with N bytes: 0123456789012...
    /400-json       400 with an error as Twilio words it
    /half           200, closed in the middle of the body

With --answers, a file of one JSON object a line, the path does not matter.  The
first line that no request has had, and whose "match" (if it has one) is in
path or body, is the answer: "status" (200), "headers", "body" ("{}"), and
"hold": the answer waits until there is a file of that name.  Without such a
line it is 200, "{}".
"""

import argparse
import email.utils
import json
import os
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--port', type=int, default=0)
parser.add_argument('--tls-cert')
parser.add_argument('--tls-key')
parser.add_argument('--log', help='file of requests')
parser.add_argument('--answers', help='file of answers')
args = parser.parse_args()

lock = threading.Lock()
used = set()


def planned(text):
    """The answer that is planned for a request with this text."""

    if not os.path.exists(args.answers):
        return {}

    with lock, open(args.answers, encoding='utf-8') as f:
        for number, line in enumerate(f):
            if number in used or not line.endswith('\n'):
                continue

            answer = json.loads(line)

            if answer.get('match', '') in text:
                used.add(number)
                return answer

    return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self):
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length)

        if args.log:
            line = json.dumps({
                'method': self.command,
                'path': self.path,
                'headers': dict(self.headers.items()),
                'body': body.decode('latin-1'),
            })
            with lock, open(args.log, 'a', encoding='utf-8') as f:
                f.write(line + '\n')

        if args.answers:
            self.reply_planned(planned(self.path + body.decode('latin-1')))
            return

        name = self.path.split('?')[0].strip('/').split('/')[0]

        if name == 'hang':
            time.sleep(3600)

        if name == 'slow':
            time.sleep(1)

        if name == 'reset':
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack('ii', 1, 0))
            self.close_connection = True
            return

        if name == 'garbage':
            self.wfile.write(bytes(range(256)))
            self.close_connection = True
            return

        self.reply(name)

    def reply_planned(self, answer):
        until = time.monotonic() + 60

        while ('hold' in answer and not os.path.exists(answer['hold'])
               and time.monotonic() < until):
            time.sleep(0.01)

        text = answer.get('body', '{}').encode()

        self.send_response(answer.get('status', 200))
        self.send_header('Content-Length', str(len(text)))

        for header in answer.get('headers', {}).items():
            self.send_header(*header)

        self.end_headers()

        try:
            self.wfile.write(text)
        except ConnectionError:
            self.close_connection = True

    def reply(self, name):
        status = int(name[:3]) if name[:3].isdigit() else 200
        text = b'' if status in (204, 304) else b'body\n'
        length = len(text)
        extra = []

        if name == 'etag':
            status = 201
            extra.append(('ETag', '"v1"'))

        elif name == '429':
            extra.append(('Retry-After', '7'))

        elif name == '429-bad':
            extra.append(('Retry-After', '-5 never'))

        elif name == 'etag-long':
            extra.append(('ETag', '"' + 'x' * 300 + '"'))

        elif name == '503-date':
            extra.append(('Retry-After', email.utils.formatdate(
                time.time() + 100, usegmt=True)))

        elif name == 'big':
            text = b'x' * 8000000
            length = len(text)

        elif name.startswith('body-'):
            length = int(name[5:])
            text = (b'0123456789' * (length // 10 + 1))[:length]

        elif name == '400-json':
            text = b'{"code":21610,"message":"unsubscribed recipient"}'
            length = len(text)

        elif name in ('half', 'hang-body'):
            length = 1000

        if 300 <= status < 400:
            extra.append(('Location', '/200'))

        self.send_response(status)

        if status != 204:
            self.send_header('Content-Length', str(length))

        for header in extra:
            self.send_header(*header)

        self.end_headers()

        try:
            if name == 'hang-body':
                time.sleep(3600)

            self.wfile.write(text)
        except ConnectionError:
            self.close_connection = True

        if name == 'half':
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = answer


server = ThreadingHTTPServer(('127.0.0.1', args.port), Handler)
server.daemon_threads = True

if args.tls_cert:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(args.tls_cert, args.tls_key)
    server.socket = context.wrap_socket(server.socket, server_side=True)

print('listening', server.server_address[1], flush=True)

server.serve_forever()
