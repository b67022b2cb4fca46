# SPDX-License-Identifier: MIT
"""What the benchmark needs of the machine: commands with a time limit, caches, facts for the record."""

import os
import platform
import subprocess
import time


class Failed(Exception):
    """A command or a drive did not do what it should; the text says which and why."""


def is_root():
    return os.geteuid() == 0


def run(arguments, limit=120, env=None, quiet=False, fine=(0,)):
    """Run to the end and return standard output; Failed with the first line of its complaint when its status is not
    one of those that are fine."""
    child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, env=env, text=True, start_new_session=True,
                             stdout=subprocess.DEVNULL if quiet else subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, complaint = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed(f'{arguments[0]}: no end after {limit} s') from None
    finally:
        if child.poll() is None:
            child.kill()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                pass
    if child.returncode not in fine:
        line = (complaint.strip().splitlines() or [f'status {child.returncode}'])[0]
        raise Failed(f'{os.path.basename(arguments[0])}: {line}')
    return out


def timed(arguments, limit=1800, fine=(0,)):
    """Seconds that a command takes; what it prints goes nowhere."""
    begin = time.monotonic()
    run(arguments, limit, quiet=True, fine=fine)
    return time.monotonic() - begin


def drop_caches(what=3):
    """Write everything back and let the kernel forget (1 pages, 2 names and nodes, 3 both). Root only."""
    os.sync()
    with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as control:
        control.write(str(what))


def filesystem_of(path):
    return run(['findmnt', '-n', '-o', 'FSTYPE', '-T', path]).strip()


def read_text(path, default=''):
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return default


def first_line(arguments):
    try:
        return run(arguments, 10).splitlines()[0].strip()
    except (Failed, OSError, IndexError):
        return 'unknown'


def facts(folder):
    """What a reader of the figures must know of the machine."""
    cpu = [line.split(':', 1)[1].strip() for line in read_text('/proc/cpuinfo').splitlines()
           if line.startswith('model name')]
    memory = [int(line.split()[1]) for line in read_text('/proc/meminfo').splitlines() if line.startswith('MemTotal')]
    return {
        'kernel': platform.release(),
        'cpu': cpu[0] if cpu else platform.machine(),
        'cpus': os.cpu_count(),
        'memory_mb': memory[0] // 1024 if memory else 0,
        'filesystem': filesystem_of(folder),
        'bindfs': first_line(['bindfs', '--version']),
        'load_average_before': os.getloadavg()[0],
        'root': is_root(),
    }
