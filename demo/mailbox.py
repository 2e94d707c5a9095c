#!/usr/bin/env python3
"""Shows the mails of a Maildir in a browser: everybody's mailbox in the demo.

    mailbox.py PORT MAILDIR

listens on 127.0.0.1:PORT.  Python's standard library only.

    GET /mail/           all mails, the newest first
    GET /mail/NAME       one mail: its text, with links that can be followed
    GET /mail/NAME/html  its HTML version
    GET /mail/NAME/ics   its calendar attachment
"""

import email
import email.policy
import html
import http.server
import os
import re
import signal
import sys

FRAME = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
%(refresh)s<title>%(title)s</title>
<style>
:root { color-scheme: light dark; --ink: #1c2430; --soft: #51606f;
        --paper: #f4f5f7; --card: #fff; --line: #c9cfd6; --key: #1a4f8b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceff2; --soft: #b3bdc7; --paper: #14191f; --card: #1d242c;
          --line: #46525e; --key: #9cc7ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 1.0625rem/1.5 system-ui, sans-serif; }
main { max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: .5rem 0 1rem; }
a { color: var(--key); overflow-wrap: anywhere; }
ul { list-style: none; margin: 0; padding: 0; }
li, article { background: var(--card); border: 1px solid var(--line);
              border-radius: .5rem; padding: .8rem 1rem; margin: 0 0 .6rem; }
li a { font-weight: 600; }
small, dt { color: var(--soft); }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .8rem;
     margin: 0 0 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit;
      margin: 0; }
</style>
</head>
<body>
<main>
%(body)s
</main>
</body>
</html>
'''


def esc(text):
    return html.escape(str(text), quote=True)


def linkify(text):
    """Escaped text, with its http links made real ones."""
    out = []
    for part in re.split(r'(https?://[^\s<>"]+)', text):
        if part.startswith(('http://', 'https://')):
            out.append('<a href="%s">%s</a>' % (esc(part), esc(part)))
        else:
            out.append(esc(part))
    return ''.join(out)


class Maildir:
    def __init__(self, path):
        self.path = path

    def names(self):
        """Files of new and cur, the newest first."""
        found = []
        for box in ('new', 'cur'):
            try:
                entries = list(os.scandir(os.path.join(self.path, box)))
            except FileNotFoundError:
                continue
            for entry in entries:
                if entry.is_file():
                    found.append((entry.stat().st_mtime_ns, entry.name,
                                  entry.path))
        return sorted(found, reverse=True)

    def read(self, path):
        with open(path, 'rb') as file:
            return email.message_from_binary_file(
                file, policy=email.policy.default)

    def find(self, name):
        for _, known, path in self.names():
            if known == name:
                return self.read(path)
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    server_version = 'mailbox'
    sys_version = ''
    timeout = 60

    def send(self, status, kind, data, headers=()):
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(data)))
        self.send_header('Cache-Control', 'no-store')
        self.send_header('Referrer-Policy', 'no-referrer')
        self.send_header('X-Content-Type-Options', 'nosniff')
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data)

    def page(self, status, title, body, refresh=0):
        head = ('<meta http-equiv="refresh" content="%d">\n' % refresh
                if refresh else '')
        self.send(status, 'text/html; charset=utf-8',
                  (FRAME % {'title': esc(title), 'body': body,
                            'refresh': head}).encode())

    def do_GET(self):
        box = self.server.box
        found = re.fullmatch(r'/mail/(?:([^/]+)(?:/(html|ics))?)?', self.path)

        if not found:
            self.page(404, 'Not found', '<h1>Not found</h1>')
            return

        if not found.group(1):
            self.page(200, 'Mails', self.list(), refresh=5)
            return

        mail = box.find(found.group(1))
        if mail is None:
            self.page(404, 'No such mail', '<h1>No such mail</h1>'
                      '<p><a href="/mail/">All mails</a></p>')
            return

        if found.group(2) == 'html':
            part = mail.get_body(('html',))
            text = part.get_content() if part else ''
            self.send(200, 'text/html; charset=utf-8', text.encode(),
                      (('Content-Security-Policy',
                        "default-src 'none'; style-src 'unsafe-inline';"
                        ' sandbox allow-top-navigation-by-user-activation'
                        ' allow-popups'),))
            return

        if found.group(2) == 'ics':
            for part in mail.walk():
                if part.get_content_type() == 'text/calendar':
                    data = part.get_payload(decode=True)
                    self.send(200, 'text/calendar; charset=utf-8', data)
                    return
            self.page(404, 'No calendar', '<h1>This mail has no calendar</h1>')
            return

        self.page(200, mail.get('Subject', ''), self.show(mail,
                                                          found.group(1)))

    do_HEAD = do_GET

    def list(self):
        box = self.server.box
        rows = []

        for _, name, path in box.names()[:100]:
            try:
                mail = box.read(path)
            except OSError:
                continue
            rows.append('<li><a href="/mail/%s">%s</a><br><small>to %s'
                        '</small></li>'
                        % (esc(name), esc(mail.get('Subject', '(none)')),
                           esc(mail.get('To', ''))))

        if not rows:
            return ('<h1>Mails</h1><p>None yet. This page looks again every'
                    ' five seconds.</p>')

        return '<h1>Mails</h1><ul>%s</ul>' % ''.join(rows)

    def show(self, mail, name):
        part = mail.get_body(('plain',))
        text = part.get_content() if part else ''
        more = ['<a href="/mail/">All mails</a>']

        if mail.get_body(('html',)):
            more.append('<a href="/mail/%s/html">HTML version</a>' % esc(name))
        if any(p.get_content_type() == 'text/calendar' for p in mail.walk()):
            more.append('<a href="/mail/%s/ics">Calendar</a>' % esc(name))

        return ('<p>%s</p><h1>%s</h1><dl>%s</dl><article><pre>%s</pre>'
                '</article>'
                % (' · '.join(more), esc(mail.get('Subject', '')),
                   ''.join('<dt>%s</dt><dd>%s</dd>'
                           % (key, esc(mail.get(key, '')))
                           for key in ('From', 'To', 'Date')),
                   linkify(text)))


def main():
    if len(sys.argv) != 3 or not sys.argv[1].isdigit():
        sys.exit(__doc__)

    server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])),
                                             Handler)
    server.daemon_threads = True
    server.box = Maildir(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
