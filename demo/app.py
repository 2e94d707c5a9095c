#!/usr/bin/env python3
"""A small booking app: it knows nothing of one-time links.

    app.py PORT FILE

listens on 127.0.0.1:PORT and keeps its bookings in FILE (SQLite).  Python's
standard library only.

    GET  /          free slots of the next days, and a form
    POST /          books: 303 to done/N; 422 with the form again if something
                    is missing; 409 if the slot was taken meanwhile
    GET  /done/N    thank you
    GET  /bookings  what was booked: the owner's list

Links and the form's action are relative, so it may stand behind any prefix.
"""

import datetime
import html
import http.server
import re
import signal
import sqlite3
import sys
import urllib.parse

OWNER = 'Bea Baker'
HOURS = ('09:00', '10:30', '14:00', '16:30')
DAYS = 5
BODY_MAX = 64 * 1024

FRAME = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>%(title)s</title>
<style>
:root { color-scheme: light dark; --ink: #1c2430; --soft: #51606f;
        --paper: #fbfaf7; --card: #fff; --line: #c9cfd6; --key: #0b5c4f;
        --onkey: #fff; --bad: #a3142a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceff2; --soft: #b3bdc7; --paper: #14191f; --card: #1d242c;
          --line: #46525e; --key: #7fdcc8; --onkey: #08231e; --bad: #ff9aa8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 1.0625rem/1.5 system-ui, sans-serif; }
main { max-width: 40rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
p.lead { color: var(--soft); margin-top: 0; }
fieldset { border: 0; margin: 0 0 1rem; padding: 0; min-width: 0; }
legend { font-weight: 600; padding: 0; margin: 1.25rem 0 .4rem; }
.slots { display: grid; gap: .5rem;
         grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); }
.slots label { display: flex; gap: .5rem; align-items: center; min-height: 3rem;
               padding: .4rem .8rem; background: var(--card);
               border: 1px solid var(--line); border-radius: .5rem; }
.slots label:has(:checked) { outline: 3px solid var(--key); }
.slots .taken { color: var(--soft); text-decoration: line-through; }
.slots .taken .hint { position: absolute; clip-path: inset(50%%); }
input[type=radio] { width: 1.2rem; height: 1.2rem; accent-color: var(--key); }
.field { margin: 1rem 0; }
.field label { display: block; font-weight: 600; margin-bottom: .25rem; }
input[type=text], input[type=email], textarea {
  width: 100%%; font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--soft); border-radius: .5rem; padding: .6rem .7rem; }
.hint { color: var(--soft); font-weight: 400; }
.bad { color: var(--bad); font-weight: 600; margin: .25rem 0; }
.errors { border-left: .35rem solid var(--bad); padding: .1rem 1rem;
          background: var(--card); }
button { font: inherit; font-weight: 600; min-height: 3rem; padding: 0 1.6rem;
         border: 0; border-radius: .5rem; background: var(--key);
         color: var(--onkey); }
:focus-visible { outline: 3px solid var(--key); outline-offset: 2px; }
table { width: 100%%; border-collapse: collapse; background: var(--card); }
th, td { text-align: left; padding: .5rem .6rem; vertical-align: top;
         border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
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


def day_name(day):
    return day.strftime('%A, %-d %B')


def slot_name(slot):
    day, hour = slot.split('T')
    return '%s at %s' % (day_name(datetime.date.fromisoformat(day)), hour)


def days():
    """The next working days."""
    day = datetime.date.today()
    out = []
    while len(out) < DAYS:
        day += datetime.timedelta(days=1)
        if day.weekday() < 5:
            out.append(day)
    return out


def slots():
    return ['%sT%s' % (day.isoformat(), hour)
            for day in days() for hour in HOURS]


class Book:
    """The bookings.  A slot is booked once: the database sees to that."""

    def __init__(self, path):
        self.path = path
        with self.open() as db:
            db.execute('''CREATE TABLE IF NOT EXISTS bookings (
                              id INTEGER PRIMARY KEY AUTOINCREMENT,
                              slot TEXT NOT NULL UNIQUE,
                              name TEXT NOT NULL, mail TEXT NOT NULL,
                              note TEXT NOT NULL, at TEXT NOT NULL)''')

    def open(self):
        return sqlite3.connect(self.path, timeout=10)

    def taken(self):
        with self.open() as db:
            return {row[0] for row in db.execute('SELECT slot FROM bookings')}

    def add(self, slot, name, mail, note):
        """The number of the booking, or None if the slot is taken."""
        at = datetime.datetime.now().isoformat(' ', 'seconds')
        try:
            with self.open() as db:
                return db.execute(
                    'INSERT INTO bookings (slot, name, mail, note, at)'
                    ' VALUES (?, ?, ?, ?, ?)',
                    (slot, name, mail, note, at)).lastrowid
        except sqlite3.IntegrityError:
            return None

    def get(self, number):
        with self.open() as db:
            return db.execute('SELECT slot FROM bookings WHERE id = ?',
                              (number,)).fetchone()

    def all(self):
        with self.open() as db:
            return db.execute('SELECT id, slot, name, mail, note, at'
                              ' FROM bookings ORDER BY slot').fetchall()


def form_page(taken, values, errors):
    out = ['<h1>Book an appointment</h1>',
           '<p class="lead">with %s. Pick a time and tell us who you are.</p>'
           % esc(OWNER)]

    if errors:
        out.append('<div class="errors" role="alert"><h2>Not booked yet</h2>'
                   '<ul>%s</ul></div>'
                   % ''.join('<li><a href="#%s">%s</a></li>'
                             % (name, esc(text))
                             for name, text in errors.items()))

    out.append('<form method="post" action="">')

    # radio buttons of one name, a group per day
    first = True
    for day in days():
        out.append('<fieldset><legend>%s</legend><div class="slots">'
                   % esc(day_name(day)))
        for hour in HOURS:
            slot = '%sT%s' % (day.isoformat(), hour)
            if slot in taken:
                out.append('<label class="taken"><input type="radio" name="slot"'
                           ' value="%s" disabled>%s'
                           '<span class="hint">taken</span></label>'
                           % (slot, hour))
                continue
            out.append('<label><input type="radio" name="slot" value="%s"'
                       '%s required%s>%s</label>'
                       % (slot, ' id="slot"' if first else '',
                          ' checked' if values.get('slot') == slot else '',
                          hour))
            first = False
        out.append('</div></fieldset>')

    for name, label, kind, more in (
            ('name', 'Your name', 'text', 'autocomplete="name" required'),
            ('mail', 'Your e-mail address', 'email',
             'autocomplete="email" required')):
        bad = errors.get(name)
        out.append(
            '<div class="field"><label for="%s">%s</label>%s<input id="%s"'
            ' type="%s" name="%s" maxlength="200" value="%s" %s%s></div>'
            % (name, label,
               '<p class="bad" id="%s-bad">%s</p>' % (name, esc(bad))
               if bad else '',
               name, kind, name, esc(values.get(name, '')), more,
               ' aria-invalid="true" aria-describedby="%s-bad"' % name
               if bad else ''))

    out.append('<div class="field"><label for="note">A note'
               ' <span class="hint">(if you like)</span></label>'
               '<textarea id="note" name="note" rows="3" maxlength="1000">'
               '%s</textarea></div>' % esc(values.get('note', '')))
    out.append('<button type="submit">Book it</button></form>')

    return '\n'.join(out)


def list_page(rows):
    if not rows:
        return ('<h1>Bookings</h1><p class="lead">None yet.</p>')

    return ('<h1>Bookings</h1><p class="lead">%d so far.</p>'
            '<div class="scroll"><table><thead><tr><th scope="col">When</th>'
            '<th scope="col">Who</th><th scope="col">Note</th>'
            '<th scope="col">Booked</th></tr></thead><tbody>%s</tbody></table>'
            '</div>'
            % (len(rows), ''.join(
                '<tr><td>%s</td><td>%s<br>%s</td><td>%s</td><td>%s</td></tr>'
                % (esc(slot_name(slot)), esc(name), esc(mail), esc(note),
                   esc(at))
                for _, slot, name, mail, note, at in rows)))


class Handler(http.server.BaseHTTPRequestHandler):
    server_version = 'booking-app'
    sys_version = ''
    timeout = 60

    def page(self, status, title, body, headers=()):
        data = (FRAME % {'title': esc(title), 'body': body}).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'text/html; charset=utf-8')
        self.send_header('Content-Length', str(len(data)))
        self.send_header('Cache-Control', 'no-store')
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data)

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        book = self.server.book

        if path == '/':
            self.page(200, 'Book an appointment',
                      form_page(book.taken(), {}, {}))
            return

        if path == '/bookings':
            self.page(200, 'Bookings', list_page(book.all()))
            return

        found = re.fullmatch(r'/done/(\d{1,9})', path)
        row = book.get(int(found.group(1))) if found else None
        if row:
            self.page(200, 'Booked',
                      '<h1>Thank you</h1><p>Your appointment with %s is on'
                      ' <strong>%s</strong>.</p>'
                      % (esc(OWNER), esc(slot_name(row[0]))))
            return

        self.page(404, 'Not found', '<h1>Not found</h1>')

    do_HEAD = do_GET

    def do_POST(self):
        book = self.server.book

        if urllib.parse.urlsplit(self.path).path != '/':
            self.close_connection = True
            self.page(404, 'Not found', '<h1>Not found</h1>')
            return

        try:
            length = int(self.headers.get('Content-Length', ''))
        except ValueError:
            length = -1

        if not 0 <= length <= BODY_MAX:
            self.close_connection = True
            self.page(413 if length > 0 else 411, 'Not accepted',
                      '<h1>Not accepted</h1>')
            return

        form = urllib.parse.parse_qs(
            self.rfile.read(length).decode('utf-8', 'replace'),
            keep_blank_values=True)
        values = {name: form.get(name, [''])[0].strip()
                  for name in ('slot', 'name', 'mail', 'note')}

        errors = {}
        if values['slot'] not in slots():
            errors['slot'] = 'Please pick a time.'
        if not 0 < len(values['name']) <= 200:
            errors['name'] = 'Please tell us your name.'
        if not re.fullmatch(r'[^@\s]{1,64}@[^@\s]{1,190}', values['mail']):
            errors['mail'] = 'Please enter an e-mail address like ada@example.org.'
        if len(values['note']) > 1000:
            errors['note'] = 'The note is too long.'

        if errors:
            self.page(422, 'Not booked yet',
                      form_page(book.taken(), values, errors))
            return

        number = book.add(values['slot'], values['name'], values['mail'],
                          values['note'])
        if number is None:
            errors['slot'] = ('Somebody was faster: %s is taken. Please pick'
                              ' another time.' % slot_name(values['slot']))
            values['slot'] = ''
            self.page(409, 'Not booked yet',
                      form_page(book.taken(), values, errors))
            return

        self.page(303, 'Booked', '<h1>Booked</h1>',
                  (('Location', 'done/%d' % number),
                   ('X-Booking-Id', str(number))))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    if len(sys.argv) != 3 or not sys.argv[1].isdigit():
        sys.exit(__doc__)

    server = Server(('127.0.0.1', int(sys.argv[1])), Handler)
    server.book = Book(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
