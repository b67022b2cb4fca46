#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Certificates are verified, always, and proxies are used as the environment and the options say.

    secure.py ASK
"""

import base64
import errno
import http.server
import os
import select
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import warnings

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from certificates import Authority  # noqa: E402

NOT_SENT, ANSWERED = 0, 2
PROXIES = ('http_proxy', 'https_proxy', 'HTTPS_PROXY', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY', 'no_proxy', 'NO_PROXY')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        self.send_response(200)
        self.send_header('Content-Length', '5')
        self.end_headers()
        self.wfile.write(b'hello')

    def log_message(self, *_):
        pass


class Quiet(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


class Server:
    """context: of TLS; None: none."""

    def __init__(self, context=None):
        self.server = Quiet(('127.0.0.1', 0), Handler)
        self.asked = self.server.asked = []
        self.port = self.server.server_address[1]
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Relay(socketserver.BaseRequestHandler):
    """CONNECT, and plain requests that name the whole URL; those are answered here."""

    def handle(self):
        head = b''
        while b'\r\n\r\n' not in head:
            more = self.request.recv(4096)
            if not more:
                return
            head += more
        lines = head.decode('latin-1').split('\r\n')
        self.server.asked.append(lines)
        method, target, _ = lines[0].split(' ')
        if self.server.refusal:
            self.request.sendall(f'HTTP/1.1 {self.server.refusal}\r\nContent-Length: 0\r\n\r\n'.encode())
        elif method != 'CONNECT':
            self.request.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nproxy')
        else:
            host, port = target.rsplit(':', 1)
            with socket.create_connection((host, int(port))) as other:
                self.request.sendall(b'HTTP/1.1 200 Connection established\r\nX-Of-The-Proxy: yes\r\n\r\n')
                self.carry(other)

    def carry(self, other):
        pairs = {self.request: other, other: self.request}
        while True:
            for ready in select.select(list(pairs), [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                pairs[ready].sendall(data)


class Proxy:
    def __init__(self, refusal=None):
        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Listener(('127.0.0.1', 0), Relay)
        self.server.refusal = refusal
        self.asked = self.server.asked = []
        self.port = self.server.server_address[1]
        self.url = f'http://127.0.0.1:{self.port}'
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


class Test:
    def __init__(self, program):
        self.program = program
        self.authority = Authority()
        self.good = self.authority.make('good')
        self.failed = 0

    def ask(self, *words, **environment):
        clean = {key: value for key, value in os.environ.items() if key not in PROXIES}
        done = subprocess.run([self.program, '--patience', '20', *words], env={**clean, **environment}, capture_output=True,
                              text=True, timeout=60, check=True)
        error, outcome, status, size, text = done.stdout.rstrip('\n').split(' ', 4)
        return -int(error), int(outcome), int(status), int(size), text

    def expect(self, what, answer, error, *words):
        outcome, status = (NOT_SENT, 0) if error else (ANSWERED, 200)
        right = answer[:3] == (error, outcome, status) and all(word in answer[4] for word in words)
        if not right:
            self.failed += 1
            print(f'{what}: {answer}')
        return right

    def check(self, what, right):
        if not right:
            self.failed += 1
            print(what)

    @staticmethod
    def context(pem, oldest=ssl.TLSVersion.TLSv1_2, newest=ssl.TLSVersion.MAXIMUM_SUPPORTED):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if newest == ssl.TLSVersion.TLSv1_1:
            context.set_ciphers('ALL:@SECLEVEL=0')
        context.load_cert_chain(pem)
        context.minimum_version, context.maximum_version = oldest, newest
        return context

    def certificates(self):
        make = self.authority.make
        ca = ['--proxy', '', '--ca', self.authority.ca]
        bad = errno.ENOTCONN
        cases = [
            ('by the authority that was named', self.good, ca, '127.0.0.1', 0, ['hello']),
            ('the same by its name', self.good, ca, 'localhost', 0, ['hello']),
            ('an authority that nobody knows', self.good, ca[:2], '127.0.0.1', bad, ['certificate', 'issuer']),
            ('another name', make('other', 'DNS:other.example,IP:127.0.0.2'), ca, '127.0.0.1', bad, ['127.0.0.1', 'name']),
            ('no name but the common one', make('localhost', 'DNS:other.example'), ca, 'localhost', bad, ['localhost', 'name']),
            ('a name with a star for all', make('star', 'DNS:*'), ca, 'localhost', bad, ['localhost', 'name']),
            ('over since yesterday', make('over', since=-9, until=-1), ca, '127.0.0.1', bad, ['certificate', 'expired']),
            ('good from tomorrow on', make('early', since=1), ca, '127.0.0.1', bad, ['certificate', 'not yet valid']),
            ('signed by itself', make('itself', self_signed=True), ca, '127.0.0.1', bad, ['certificate', 'self']),
            ('a file of authorities that is not there', self.good, ['--proxy', '', '--ca', '/nowhere'], '127.0.0.1', bad,
             ['certificate']),
        ]
        for what, pem, words, host, error, said in cases:
            server = Server(self.context(pem))
            self.expect(what, self.ask(*words, f'https://{host}:{server.port}/'), error, *said)
            self.check(f'{what}: the request was sent', bool(server.asked) != bool(error))
            server.close()
        server = Server(self.context(self.good, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1))
        self.check('the server of TLS 1.1 can do it', self.greets_of_old(server.port))
        self.expect('TLS 1.1', self.ask(*ca, f'https://127.0.0.1:{server.port}/'), bad)
        server.close()

    @staticmethod
    def greets_of_old(port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers('ALL:@SECLEVEL=0')
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(('127.0.0.1', port)) as plain, context.wrap_socket(plain) as secure:
            secure.sendall(b'GET /old HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            return secure.version() == 'TLSv1.1' and secure.recv(100).startswith(b'HTTP/1.1 200')

    def proxies(self):
        secure, plain = Server(self.context(self.good)), Server()
        proxy, other = Proxy(), Proxy()
        ca = ['--ca', self.authority.ca]
        url, target = f'https://127.0.0.1:{secure.port}/', f'CONNECT 127.0.0.1:{secure.port} HTTP/1.1'

        def through(what, which, words, **environment):
            before = len(which.asked), len(secure.asked)
            self.expect(what, self.ask(*ca, *words, url, **environment), 0, 'hello')
            self.check(f'{what}: not through the proxy', [lines[0] for lines in which.asked[before[0]:]] == [target])
            self.check(f'{what}: the proxy could read it', len(secure.asked) == before[1] + 1)
            return which.asked[-1] if which.asked else []

        def past(what, words, address=url, **environment):
            before = len(proxy.asked)
            self.expect(what, self.ask(*ca, *words, address, **environment), 0, 'hello')
            self.check(f'{what}: through the proxy', len(proxy.asked) == before)

        through('https_proxy', proxy, [], https_proxy=proxy.url)
        through('HTTPS_PROXY', proxy, [], HTTPS_PROXY=proxy.url)
        through('all_proxy', proxy, [], all_proxy=proxy.url)
        through('the option', proxy, ['--proxy', proxy.url])
        through('the option over the environment', other, ['--proxy', other.url], https_proxy=proxy.url)
        through('no_proxy of another host', proxy, [], https_proxy=proxy.url, no_proxy='example.com,10.0.0.0/8')
        past('http_proxy is not for https', [], http_proxy=proxy.url)
        past('no_proxy', [], https_proxy=proxy.url, no_proxy='localhost,127.0.0.1')
        past('NO_PROXY with a star', [], https_proxy=proxy.url, NO_PROXY='*')
        past('the empty option', ['--proxy', ''], https_proxy=proxy.url)
        past('http past a proxy for https', [], f'http://127.0.0.1:{plain.port}/', https_proxy=proxy.url)
        self.expect('http_proxy', self.ask(f'http://127.0.0.1:{plain.port}/x', http_proxy=proxy.url), 0, 'proxy')
        self.check('the whole URL for a proxy', proxy.asked[-1][0] == f'GET http://127.0.0.1:{plain.port}/x HTTP/1.1')

        named = proxy.url.replace('//', '//someone:hidden@')
        lines = through('a proxy that wants a name', proxy, [], https_proxy=named)
        wanted = 'Proxy-Authorization: Basic ' + base64.b64encode(b'someone:hidden').decode()
        self.check('the name for the proxy', wanted in lines)
        self.check('the proxy\'s name for the server', not any('hidden' in str(asked) for asked in secure.asked))

        # What the proxy says is not the server's answer, and the server's certificate is looked at as without one.
        for refusal in ('407 Proxy Authentication Required', '403 Forbidden', '502 Bad Gateway'):
            closed = Proxy(refusal)
            answer = self.ask(*ca, url, https_proxy=closed.url.replace('//', '//someone:hidden@'))
            self.expect(refusal, answer, errno.ECONNREFUSED, refusal[:3])
            self.check(f'{refusal}: the secret is told', 'hidden' not in answer[4])
        with socket.socket() as nobody:
            nobody.bind(('127.0.0.1', 0))
            address = f'http://127.0.0.1:{nobody.getsockname()[1]}'
            self.expect('no proxy there', self.ask(*ca, url, https_proxy=address), errno.ECONNREFUSED)
        self.expect('an unknown authority behind a proxy', self.ask(url, https_proxy=proxy.url), errno.ENOTCONN, 'certificate')


def main():
    if not shutil.which('openssl'):
        print('skipped: there is no openssl')
        return 77
    warnings.simplefilter('ignore', DeprecationWarning)  # TLS 1.1 is meant
    test = Test(sys.argv[1])
    test.certificates()
    test.proxies()
    return 1 if test.failed else 0


if __name__ == '__main__':
    sys.exit(main())
