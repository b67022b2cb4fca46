# SPDX-License-Identifier: MIT
"""The emulator of Box, and drives of it."""

import json
import os
import subprocess
import urllib.request

TOKEN = 'cloud'


class Emulator:
    """At the same address when it is started again: a cache folder belongs to an account at a host and port."""

    def __init__(self, program, folder, **settings):
        self.program, self.folder = program, folder
        self.settings = [word for name, value in settings.items() for word in ('--set', f'{name}={value}')]
        self.port = 0
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, '--data', self.folder, '--http', f'127.0.0.1:{self.port}', '--developer-token', TOKEN,
             *self.settings],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline():
            raise RuntimeError('the emulator did not start')
        with open(os.path.join(self.folder, 'endpoints.json'), encoding='utf-8') as file:
            self.endpoints = json.load(file)
        self.port = int(self.endpoints['http']['api'].split(':')[2].split('/')[0])

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def control(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.endpoints['control'].rstrip('/') + '/' + path, data, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def fault(self, fault, **more):
        return self.control('POST', 'faults', {'fault': fault, **more})

    def heal(self):
        self.control('DELETE', 'faults')

    def tree(self):
        """path -> SHA-1 of a file, '' of a folder; a list of paths that are there twice."""
        found, twice = {}, []
        for entry in self.control('GET', 'tree')['entries']:
            path = entry['path'].strip('/')
            if not path:
                continue
            if path in found:
                twice.append(path)
            found[path] = entry['sha1'] if entry['type'] == 'file' else ''
        return found, twice

    def log_in(self, state):
        """Leave in the state folder what `driveway login box` leaves, with tokens that have to be renewed at once."""
        user = '1000001'
        self.control('POST', 'tokens', {'kind': 'refresh', 'token': 'first', 'seconds': 86400})
        os.makedirs(state, mode=0o700)
        with open(os.open(os.path.join(state, 'default.login'), os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='ascii') as file:
            json.dump({'auth': 'browser', 'client-id': self.endpoints['client_id'], 'access-token': 'none', 'expires': 0,
                       'client-secret': self.endpoints['client_secret'], 'refresh-token': 'first', 'user-id': user,
                       'user-login': 'demo@example.com'}, file)

    def calls(self):
        """How many calls there were, long polls and the like left out."""
        kinds = self.control('GET', 'counters')['calls']
        return sum(count for kind, count in kinds.items() if not kind.startswith('events.'))

    def options(self):
        api = self.endpoints['http']
        return {'auth': 'token', 'api-url': api['api'], 'upload-url': api['upload'], 'retry-pause': '0.05', 'rate-calls': '0',
                'rate-uploads': '0', 'settle': '0.2'}
