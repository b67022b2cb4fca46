#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""HTTP/2 where a server offers it: several requests share a connection, and one that is slow or dies harms no other.

    http2.py ASK

nghttpx stands before a plain server; its access log tells the protocol and the connection of each request.
"""

import errno
import http.server
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from certificates import Authority  # noqa: E402

MAYBE, ANSWERED = 1, 2
PIECE = bytes(range(251)) * 64


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        kind, _, number = self.path[1:].partition('/')
        size = int(number or 0)
        if kind == 'silent':
            time.sleep(30)
        self.send_response(200)
        self.send_header('Content-Length', str(size))
        self.end_headers()
        if kind == 'half':
            size //= 2
            self.close_connection = True
        while size:
            piece = PIECE[:size]
            self.wfile.write(piece)
            size -= len(piece)

    def do_PUT(self):
        size = left = int(self.headers['Content-Length'])
        right = True
        while left:
            data = self.rfile.read(min(left, 1 << 16))
            right = right and data[0] == ord('a') + (size - left) % 23
            left -= len(data)
        text = f'{size} {right}'.encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


class Test:
    def __init__(self, program, nghttpx):
        self.program = program
        self.authority = Authority()
        self.server = Server(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.log = os.path.join(self.authority.folder, 'access')
        self.failed = self.seen = 0
        certificate = self.authority.make('front')
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.front = subprocess.Popen(
            [nghttpx, '--conf=/dev/null', f'--frontend=127.0.0.1,{self.port}', '--workers=1', '--accesslog-format=$alpn $remote_port',
             f'--accesslog-file={self.log}', f'--backend=127.0.0.1,{self.server.server_address[1]}',
             certificate.replace('.pem', '.key'), certificate.replace('.pem', '.crt')], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    break
            time.sleep(0.05)

    def close(self):
        self.front.terminate()
        self.front.wait(10)
        self.server.shutdown()

    def ask(self, *words, limit=60):
        """(error, outcome, status, bytes, text) of each request; a word that begins with a slash is a path."""
        words = [f'https://127.0.0.1:{self.port}{word}' if word.startswith('/') else word for word in words]
        done = subprocess.run([self.program, '--proxy', '', '--ca', self.authority.ca, *words], capture_output=True, text=True,
                              timeout=limit, check=True)
        answers = []
        for line in done.stdout.splitlines():
            error, outcome, status, size, text = line.split(' ', 4)
            answers.append((-int(error), int(outcome), int(status), int(size), text))
        return answers

    def logged(self, count):
        """(protocol, port of the client) of the requests since the last call, once there are so many."""
        for _ in range(100):
            with open(self.log, encoding='ascii') as file:
                lines = file.read().splitlines()[self.seen:]
            if len(lines) >= count:
                break
            time.sleep(0.05)
        self.seen += len(lines)
        return [line.split() for line in lines]

    def check(self, what, right, *seen):
        if not right:
            self.failed += 1
            print(what, *seen)

    def one_after_another(self):
        answers = self.ask('/bytes/10', '/bytes/3000000', '/bytes/0', '/bytes/1')
        self.check('one after another', [answer[:4] for answer in answers] ==
                   [(0, ANSWERED, 200, size) for size in (10, 3000000, 0, 1)], answers)
        logged = self.logged(4)
        self.check('the protocol', [protocol for protocol, _ in logged] == ['h2'] * 4, logged)
        self.check('one connection', len({port for _, port in logged}) == 1, logged)

    def together(self):
        answers = self.ask('--together', *['/bytes/400000'] * 32)
        self.check('together', all(answer[:4] == (0, ANSWERED, 200, 400000) for answer in answers), answers)
        logged = self.logged(32)
        self.check('the protocol together', all(protocol == 'h2' for protocol, _ in logged), logged)
        self.check('connections together', len({port for _, port in logged}) <= 16, logged)

    def uploads(self):
        answers = self.ask('--together', '--put', '5000001', *['/put'] * 4)
        self.check('uploads', all(answer[0] == 0 and answer[4] == '5000001 True' for answer in answers), answers)
        self.check('the protocol of uploads', all(protocol == 'h2' for protocol, _ in self.logged(4)))

    def slow(self):
        """The first one takes its bytes slowly: the others come all the same, over the same connection or another."""
        began = time.monotonic()
        answers = self.ask('--together', '--slow', '/bytes/4000000', *['/bytes/500000'] * 6)
        self.check('beside a slow one', [answer[:4] for answer in answers] == [(0, ANSWERED, 200, 4000000)] +
                   [(0, ANSWERED, 200, 500000)] * 6, answers)
        self.check('beside a slow one: too long', time.monotonic() - began < 30)
        self.logged(7)

    def failures(self):
        answers = self.ask('--together', '--patience', '1', '/silent', *['/bytes/100000'] * 5)
        self.check('beside a silent one', answers[0][:2] == (errno.ETIMEDOUT, MAYBE) and
                   all(answer[:4] == (0, ANSWERED, 200, 100000) for answer in answers[1:]), answers)
        answers = self.ask('/bytes/10', '/half/1000000', '/bytes/10')
        self.check('an answer that ends early', answers[1][:2] == (errno.ECONNRESET, MAYBE), answers)
        self.check('beside it', [answer[:4] for answer in answers[::2]] == [(0, ANSWERED, 200, 10)] * 2, answers)


def main():
    nghttpx = shutil.which('nghttpx', path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin')
    if not nghttpx or not shutil.which('openssl'):
        print('skipped: there is no nghttpx (Debian: nghttp2-proxy) or no openssl')
        return 77
    test = Test(sys.argv[1], nghttpx)
    try:
        test.one_after_another()
        test.together()
        test.uploads()
        test.slow()
        test.failures()
    finally:
        test.close()
    return 1 if test.failed else 0


if __name__ == '__main__':
    sys.exit(main())
