# SPDX-License-Identifier: MIT
"""How programs save: the system calls that they make between "save" and "saved", in their order.

Each function saves data in the file name of a folder that has it already.
"""

import errno
import os

# A list that says what the mode 0644 says.
ACCESS_LIST = bytes.fromhex('02000000' '01000600ffffffff' '04000400ffffffff' '20000400ffffffff')


def put(path, data, flags, mode=0o644, sync=False):
    descriptor = os.open(path, os.O_WRONLY | flags, mode)
    try:
        while data:
            data = data[os.write(descriptor, data):]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def get(path):
    with open(path, 'rb') as file:
        return file.read()


def vim_write(path, data, mode):
    """In place, and once more the rights; the lists of access are set again where there are such."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, mode)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, data)
        os.fsync(descriptor)
        os.stat(path)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    try:
        os.setxattr(path, 'system.posix_acl_access', ACCESS_LIST)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def vim(folder, name, data, keep=False):
    """nobackup, writebackup, backupcopy=auto: the old file steps aside and goes when the new one is written."""
    path, backup, probe = (os.path.join(folder, each) for each in (name, name + '~', '4913'))
    facts = os.stat(path)
    mode = facts.st_mode & 0o7777
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:  # may files be made here, and whose are they then?
        os.fchown(descriptor, facts.st_uid, facts.st_gid)
        os.stat(probe)
    finally:
        os.close(descriptor)
    os.unlink(probe)
    try:
        os.unlink(backup)
    except FileNotFoundError:
        pass
    os.rename(path, backup)
    vim_write(path, data, mode)
    if not keep:
        os.unlink(backup)


def vim_keeping(folder, name, data):
    """backup: the old file stays as NAME~."""
    vim(folder, name, data, keep=True)


def vim_copying(folder, name, data):
    """backupcopy=yes: the old bytes are copied aside, the file is written in place."""
    path, backup = os.path.join(folder, name), os.path.join(folder, name + '~')
    facts = os.stat(path)
    put(backup, get(path), os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, facts.st_mode & 0o7777)
    os.utime(backup, ns=(facts.st_atime_ns, facts.st_mtime_ns // 1_000_000_000 * 1_000_000_000))
    vim_write(path, data, facts.st_mode & 0o7777)
    os.unlink(backup)


def gedit(folder, name, data):
    """A hidden file beside it that takes its place: so does all that saves by GLib."""
    path, temporary = os.path.join(folder, name), os.path.join(folder, '.goutputstream-X1Y2Z3')
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        raise AssertionError('it was not there')
    except FileExistsError:
        pass
    facts = os.stat(path)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        os.fchown(descriptor, facts.st_uid, facts.st_gid)
        os.fchmod(descriptor, facts.st_mode & 0o7777)
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)


def libreoffice(folder, name, data):
    """A lock file is there while the document is open; a temporary file beside it takes its place."""
    path, temporary = os.path.join(folder, name), os.path.join(folder, 'lu41237x9.tmp')
    lock = os.path.join(folder, f'.~lock.{name}#')
    put(lock, b',user,host,25.11.2026 12:00,file:///profile;', os.O_CREAT | os.O_EXCL)
    get(path)
    put(temporary, b'', os.O_CREAT | os.O_EXCL, 0o600)
    half = len(data) // 2
    put(temporary, data[:half], os.O_TRUNC)
    put(temporary, data[half:], os.O_APPEND)
    os.chmod(temporary, os.stat(path).st_mode & 0o7777)
    os.rename(temporary, path)
    os.unlink(lock)


def nano(folder, name, data):
    """In place."""
    path = os.path.join(folder, name)
    os.stat(path)
    put(path, data, os.O_CREAT | os.O_TRUNC, 0o666, sync=True)


def nano_keeping(folder, name, data):
    """--backup: the old bytes are copied to NAME~, the file is written in place."""
    path, backup = os.path.join(folder, name), os.path.join(folder, name + '~')
    facts = os.stat(path)
    try:
        os.unlink(backup)
    except FileNotFoundError:
        pass
    descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchown(descriptor, facts.st_uid, facts.st_gid)
        os.fchmod(descriptor, facts.st_mode & 0o7777)
        os.write(descriptor, get(path))
        os.fsync(descriptor)
        os.utime(descriptor, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    finally:
        os.close(descriptor)
    nano(folder, name, data)
