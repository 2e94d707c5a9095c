#!/usr/bin/python3
"""checkmail.py FILE key=value ...

Reads a message strictly: ASCII, CRLF, lines of at most 78 bytes, encoded words
as RFC 2047 wants them, the headers that must be there and no others, no defect
that Python's parser knows of.  Then compares.  An empty value: absent.
Prints what is wrong; the exit status is 1 then.
"""

import base64
import email
import email.policy
import quopri
import re
import sys
from email.header import decode_header, make_header

wrong = []
path, *pairs = sys.argv[1:]
want = dict(p.split('=', 1) for p in pairs)
raw = open(path, 'rb').read()


def check(ok, text):
    if not ok:
        wrong.append(text)


check(raw.isascii(), 'not ASCII')
check(b'\0' not in raw, 'NUL')
check(raw.endswith(b'\r\n'), 'no line end at the end')
check(not re.search(rb'\r(?!\n)|(?<!\r)\n', raw), 'bare CR or LF')

for line in raw.split(b'\r\n'):
    # beyond 78 only what cannot be folded: one word
    check(len(line) <= 78 or (b' ' not in line.strip() and len(line) <= 998),
          f'line of {len(line)} bytes: {line[:90]!r}')
    check(line == b'' or line.strip() != b'', 'line of blanks')
    check(not line.endswith(b' '), f'blank at the end: {line!r}')
    check(not line.startswith(b'From ') and line != b'.', f'{line!r}')

head = raw.split(b'\r\n\r\n', 1)[0].decode('ascii', 'replace')
joined = re.sub(r'\r\n(?=[ \t])', '', head)

for word in re.findall(r'(?<![^\s])=\?\S*', head):
    m = re.fullmatch(r'=\?UTF-8\?([QB])\?([!-~]+)\?=', word)
    check(m is not None and len(word) <= 75, f'encoded word {word!r}')

    if m:
        coded = m.group(2).encode()
        try:
            if m.group(1) == 'Q':
                check(re.fullmatch(rb'(?:[A-Za-z0-9!*+/_-]|=[0-9A-F]{2})+',
                                   coded), f'Q: {word!r}')
                quopri.decodestring(coded, header=True).decode('utf-8')
            else:
                base64.b64decode(coded, validate=True).decode('utf-8')
        except ValueError as e:
            check(False, f'{word}: {e}')

for line in head.split('\r\n'):
    check('=?' not in line or len(line) <= 76, f'encoded and long: {line!r}')

msg = email.message_from_bytes(
    raw, policy=email.policy.default + email.policy.strict)

allowed = ['Date', 'From', 'To', 'Reply-To', 'Message-ID', 'Subject',
           'Auto-Submitted', 'X-Auto-Response-Suppress', 'Content-Language',
           'MIME-Version', 'Content-Type', 'Content-Transfer-Encoding']
check([k for k in allowed if k in msg] == msg.keys(), f'headers {msg.keys()}')
check(msg['Auto-Submitted'] == 'auto-generated', 'Auto-Submitted')
check(msg['X-Auto-Response-Suppress'] == 'All', 'X-Auto-Response-Suppress')

got = {
    'subject': str(msg['Subject'] or ''),
    'id': str(msg['Message-ID']),
    'date': str(msg['Date']),
    'lang': str(msg['Content-Language'] or ''),
    'types': ' '.join(p.get_content_type() for p in msg.walk()),
    'method': '', 'text': '', 'html': '', 'calendar': '', 'attachment': '',
}


def display_name(field):
    # not the parser's: until Python 3.12 it puts blanks between encoded words
    name = re.search(rf'^{field}: *(.*)$', joined, re.M | re.I).group(1)
    name = re.sub(r' *<[^<>]*>$|^[^ "]*$', '', name.rstrip('\r'))

    if name.startswith('"'):
        check(re.fullmatch(r'"(?:[^"\\]|\\.)*"', name), f'quotes: {name}')
        return re.sub(r'\\(.)', r'\1', name[1:-1])

    check(not name or re.fullmatch(r'(?:=\?[^ ]+\?= ?)+', name), f'{name!r}')
    return str(make_header(decode_header(name)))


for key, field in ('from', 'From'), ('to', 'To'), ('reply', 'Reply-To'):
    got[key] = got[key + '_name'] = ''

    if field in msg:
        check(len(msg[field].addresses) == 1, f'{field}: {msg[field]}')
        check(not msg[field].defects, f'{field}: {msg[field].defects}')
        got[key] = msg[field].addresses[0].addr_spec
        got[key + '_name'] = display_name(field)

for part in msg.walk():
    check(not part.defects, f'{part.get_content_type()}: {part.defects}')

    if part.is_multipart():
        check(not part.preamble and not (part.epilogue or '').strip(),
              'text around the parts')
        continue

    data = part.get_payload(decode=True).decode('utf-8')
    kind = part.get_content_type()

    if part.get_content_disposition() == 'attachment':
        check(kind == 'application/ics', 'attachment')
        check(part.get_filename() == 'invite.ics', 'file name')
        got['attachment'] = data
        continue

    check(part['Content-Transfer-Encoding'] == 'quoted-printable', 'encoding')
    check(part.get_content_charset() == 'utf-8', 'charset')

    if kind == 'text/calendar':
        got['calendar'] = data
        got['method'] = part.get_param('method', '')
    else:
        got['text' if kind == 'text/plain' else 'html'] = \
            data.replace('\r\n', '\n')

for key, value in want.items():
    check(got[key] == value, f'{key}: got {got[key]!r}, expected {value!r}')

for text in wrong:
    print('# ' + ascii(text))

sys.exit(bool(wrong))
