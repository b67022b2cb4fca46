# SPDX-License-Identifier: MIT
"""Certificates, good and bad ones, made with the openssl command."""

import datetime
import os
import subprocess
import tempfile

CONFIG = """[ca]
default_ca = own
[own]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[req]
distinguished_name = name
prompt = no
[name]
commonName = test
"""


def moment(days):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return when.strftime('%Y%m%d%H%M%SZ')


class Authority:
    """A certificate authority of its own; ca is its certificate, make() answers the path of certificate and key in one."""

    def __init__(self):
        self.room = tempfile.TemporaryDirectory(prefix='driveway-certificates.')
        self.folder = self.room.name
        self.config = os.path.join(self.folder, 'config')
        with open(self.config, 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(folder=self.folder))
        with open(os.path.join(self.folder, 'index'), 'w', encoding='utf-8'):
            pass
        self.ca = os.path.join(self.folder, 'ca.pem')
        self.key = os.path.join(self.folder, 'ca.key')
        self.openssl('req', '-x509', *self.new_key(self.key), '-subj', '/CN=An authority of its own', '-extensions', 'root',
                     '-days', '30', '-out', self.ca)

    def openssl(self, *words):
        done = subprocess.run(['openssl', words[0], '-config', self.config, *words[1:]], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)

    @staticmethod
    def new_key(path):
        return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path]

    def make(self, name, names='DNS:localhost,IP:127.0.0.1', since=-1, until=30, self_signed=False):
        """names: for whom it is; since, until: days from now."""
        path = os.path.join(self.folder, name)
        subject = ['-subj', '/CN=' + name, '-addext', 'subjectAltName=' + names]
        if self_signed:
            self.openssl('req', '-x509', *self.new_key(path + '.key'), *subject, '-days', '30', '-out', path + '.crt')
        else:
            self.openssl('req', *self.new_key(path + '.key'), *subject, '-out', path + '.csr')
            self.openssl('ca', '-batch', '-notext', '-in', path + '.csr', '-cert', self.ca, '-keyfile', self.key, '-startdate',
                         moment(since), '-enddate', moment(until), '-out', path + '.crt')
        with open(path + '.pem', 'w', encoding='ascii') as out:
            for ending in ('.crt', '.key'):
                with open(path + ending, encoding='ascii') as part:
                    out.write(part.read())
        return path + '.pem'
