#!/usr/bin/python3
"""An SMTP server for tests, with faults on demand.

Says "listening PORT" on stdout when it is ready, and writes each message to
a Maildir, after the headers X-Envelope-From and X-Envelope-To.  With several
--fault it has a port for each, in their order: "listening PORT FAULT".
"""

import argparse
import asyncio
import os
import socket
import ssl
import struct
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

FAULTS = [
    'refuse-mail-5xx', 'refuse-rcpt-5xx', 'refuse-rcpt-4xx', 'refuse-data-5xx',
    '5xx-data', '4xx-data', '4xx-greeting', '5xx-greeting', '5xx-ehlo',
    'hang-greeting', 'hang-rcpt', 'hang-data', 'hang-quit', 'garbage',
    'garbage-rcpt', 'endless-rcpt', 'close-mid-data', 'reset',
]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--port', type=int, default=0)
parser.add_argument('--tls-cert')
parser.add_argument('--tls-key')
parser.add_argument('--implicit-tls', action='store_true')
parser.add_argument('--require-starttls', action='store_true')
parser.add_argument('--auth', metavar='USER:PASSWORD')
parser.add_argument('--maildir')
parser.add_argument('--fault', choices=FAULTS, action='append')
parser.add_argument('--log', help='one line per command, for tests')
parser.add_argument('--hold', metavar='FILE',
                    help='while it is there, messages are kept, not answered')
args = parser.parse_args()


def note(text):
    if args.log:
        with open(args.log, 'a', encoding='utf-8') as f:
            f.write(text + '\n')


class Handler:
    """Answers to the envelope and keeps messages."""

    count = 0

    def __init__(self, fault):
        self.fault = fault

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.fault == 'refuse-mail-5xx':
            return f'550 5.7.1 <{address}>: sender refused'

        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return '250 2.1.0 OK'

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.fault == 'refuse-rcpt-5xx':
            return f'550 5.1.1 <{address}>: no such user here'

        if self.fault == 'refuse-rcpt-4xx':
            return f'451 4.7.1 <{address}>: greylisted, try again'

        if self.fault == 'hang-rcpt':
            await asyncio.sleep(3600)

        if self.fault == 'garbage-rcpt':
            return '\x00\x01\x02 not SMTP at all'

        if self.fault == 'endless-rcpt':
            return '250-' + '\r\n250-'.join(['more'] * 5000)

        envelope.rcpt_tos.append(address)
        return '250 2.1.5 OK'

    async def handle_DATA(self, server, session, envelope):
        if self.fault == '5xx-data':
            return '554 5.6.0 the message looks like junk'

        if self.fault == '4xx-data':
            return '452 4.3.1 no room for it now'

        if self.fault == 'hang-data':
            await asyncio.sleep(3600)

        if args.maildir:
            self.keep(envelope)

        while args.hold and os.path.exists(args.hold):
            await asyncio.sleep(0.02)

        return '250 2.0.0 queued'

    def keep(self, envelope):
        for part in ('tmp', 'new', 'cur'):
            os.makedirs(os.path.join(args.maildir, part), mode=0o700,
                        exist_ok=True)

        Handler.count += 1
        name = f'{os.getpid()}.{Handler.count:06}'
        draft = os.path.join(args.maildir, 'tmp', name)

        with open(draft, 'wb') as f:
            f.write(f'X-Envelope-From: {envelope.mail_from}\r\n'.encode())
            f.write(f'X-Envelope-To: {",".join(envelope.rcpt_tos)}\r\n'
                    .encode())
            f.write(envelope.content)

        os.rename(draft, os.path.join(args.maildir, 'new', name))


class Server(SMTP):
    """aiosmtpd, with what cannot be had by its hooks."""

    fault = None

    async def push(self, status):
        if isinstance(status, str):
            note('S ' + status.splitlines()[0])

        await super().push(status)

    async def smtp_EHLO(self, arg):
        note(f'C EHLO {arg}')

        if self.fault == '5xx-ehlo':
            await self.push('554 5.7.1 go away')
            return

        await super().smtp_EHLO(arg)

    async def smtp_HELO(self, arg):
        if self.fault == '5xx-ehlo':
            await self.push('554 5.7.1 go away')
            return

        await super().smtp_HELO(arg)

    async def smtp_AUTH(self, arg):
        note('C AUTH')
        await super().smtp_AUTH(arg)

    async def smtp_STARTTLS(self, arg):
        note('C STARTTLS')
        await super().smtp_STARTTLS(arg)

    async def smtp_MAIL(self, arg):
        note(f'C MAIL {arg}')
        await super().smtp_MAIL(arg)

    async def smtp_QUIT(self, arg):
        note('C QUIT')

        if self.fault == 'hang-quit':
            await asyncio.sleep(3600)

        await super().smtp_QUIT(arg)

    async def smtp_DATA(self, arg):
        if self.fault == 'refuse-data-5xx':
            await self.push('554 5.5.1 no valid recipients')
            return

        if self.fault == 'close-mid-data':
            await self.push('354 go ahead')
            await self._reader.read(1)
            self.transport.abort()
            return

        await super().smtp_DATA(arg)


def authenticate(server, session, envelope, mechanism, data):
    user, password = args.auth.split(':', 1)

    good = (isinstance(data, LoginPassword)
            and data.login == user.encode()
            and data.password == password.encode())

    return AuthResult(success=good, handled=good)


async def fault_connection(fault, reader, writer):
    """Servers that do not get as far as SMTP."""

    if fault == 'reset':
        sock = writer.get_extra_info('socket')
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack('ii', 1, 0))
        writer.transport.abort()
        return

    if fault == 'hang-greeting':
        await asyncio.sleep(3600)

    if fault == '4xx-greeting':
        writer.write(b'421 4.3.2 too busy\r\n')

    elif fault == '5xx-greeting':
        writer.write(b'554 5.3.2 no SMTP service for you@example.org\r\n')

    else:
        writer.write(bytes(range(256)) * 64)

    try:
        await writer.drain()
        writer.close()
    except ConnectionError:
        pass


async def listen(fault, context):
    """Listens, and tells the port."""

    implicit = context if args.implicit_tls else None

    def session():
        server = Server(
            Handler(fault), hostname='smtpd.test', decode_data=False,
            data_size_limit=64 * 1024 * 1024,
            tls_context=None if args.implicit_tls else context,
            require_starttls=args.require_starttls,
            authenticator=authenticate if args.auth else None,
            auth_required=bool(args.auth),
            auth_require_tls=not args.auth)
        server.fault = fault
        return server

    if fault in ('reset', 'hang-greeting', '4xx-greeting', '5xx-greeting',
                 'garbage'):
        server = await asyncio.start_server(
            lambda r, w: fault_connection(fault, r, w), '127.0.0.1',
            args.port, ssl=implicit)
    else:
        server = await asyncio.get_running_loop().create_server(
            session, '127.0.0.1', args.port, ssl=implicit)

    print('listening', server.sockets[0].getsockname()[1],
          *([fault] if fault else []), flush=True)

    return server


async def main():
    context = None

    if args.tls_cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.tls_cert, args.tls_key)

    servers = [await listen(f, context) for f in args.fault or [None]]

    await asyncio.gather(*[s.serve_forever() for s in servers])


try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(0)
