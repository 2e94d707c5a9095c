#!/usr/bin/python3
"""checkical.py FILE key=value ...

Reads an iCalendar object without a library, line by line as RFC 5545 has it:
UTF-8, CRLF, at most 75 octets a line, folded between characters, no control
characters, names and parameters of the right syntax, BEGIN and END balanced.
Then compares the first property of a name: "SUMMARY=text" for its value,
"ATTENDEE.CN=name" for a parameter, "*ATTENDEE=1" for the number of them.
Where python3-vobject is installed it must be able to read the object too.
"""

import re
import sys

wrong = []
path, *pairs = sys.argv[1:]
raw = open(path, 'rb').read()


def check(ok, text):
    if not ok:
        wrong.append(text)


check(not re.search(rb'\r(?!\n)|(?<!\r)\n', raw), 'bare CR or LF')
check(raw.endswith(b'\r\n'), 'no line end at the end')

for line in raw.split(b'\r\n'):
    check(len(line) <= 75, f'{len(line)} octets: {line!r}')
    check(not re.search(rb'[\x00-\x08\x0a-\x1f\x7f]', line), f'{line!r}')
    try:
        line.decode('utf-8')
    except ValueError as e:
        check(False, f'{line!r}: {e}')

text = raw.replace(b'\r\n ', b'').decode('utf-8', 'replace')
param = r'[A-Z0-9-]+=(?:"[^"]*"|[^";:,]*)'
stack = []
count = {}
first = {}

for line in text.split('\r\n')[:-1]:
    m = re.fullmatch(rf'([A-Z0-9-]+)((?:;{param})*):(.*)', line, re.S)
    check(m, f'not a line of iCalendar: {line!r}')

    if not m:
        continue

    name, params, value = m.groups()

    if name == 'BEGIN':
        stack.append(value)
    elif name == 'END':
        check(stack and stack.pop() == value, f'{line!r}')

    count[name] = count.get(name, 0) + 1

    if name in ('SUMMARY', 'DESCRIPTION', 'X-WR-CALNAME', 'NAME', 'UID'):
        # libical does not escape the separators of X- properties
        check(re.fullmatch(r'(?:[^\\;,]|\\[\\;,nN])*' if name[:2] != 'X-'
                           else r'(?:[^\\]|\\[\\;,nN])*', value, re.S),
              f'escapes: {line!r}')
        value = re.sub(r'\\(.)',
                       lambda e: '\n' if e[1] in 'nN' else e[1], value)

    if name not in first:
        first[name] = value
        for p in re.findall(rf';({param})', params):
            k, v = p.split('=', 1)
            first[f'{name}.{k}'] = v[1:-1] if v[:1] == '"' else v

check(not stack, f'no END: {stack}')

for pair in pairs:
    key, value = pair.split('=', 1)
    got = str(count.get(key[1:], 0)) if key[0] == '*' else first.get(key, '')
    check(got == value, f'{key}: got {got!r}, expected {value!r}')

try:
    import vobject
except ImportError:
    vobject = None

if vobject:
    try:
        read = vobject.readOne(raw.decode('utf-8'))
        events = [c for c in read.components() if c.name == 'VEVENT']
        check(len(events) == count.get('BEGIN', 0) - 1, 'vobject: events')
        for event in events:
            check(event.dtstart.value.utcoffset().total_seconds() == 0,
                  'vobject: DTSTART is not in UTC')
    except Exception as e:
        check(False, f'vobject: {e!r}')

for text in wrong:
    print('# ' + ascii(text))

sys.exit(bool(wrong))
