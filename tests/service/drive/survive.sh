#!/bin/sh
# SPDX-License-Identifier: MIT
# The drive outlives the service, and a dead keeper does not get in the way.
. "$(dirname "$0")/lib.sh"

must driveway map "$T/a" memory: -o size=64m --label kept
must driveway map "$T/b" "local:$T/source"
keeper=$(keeper_pid)
label=$(field label "$T/b")

# kill -9 with files open: writers and readers go on, the drives stay the same.
exec 5>"$T/a/open" 6<"$T/b/file"
for i in 1 2 3; do
	echo "line $i" >&5 || fail "a write to an open file failed"
	service=$(service_pid)
	kill -9 "$service"
	echo "after $i" >&5 || fail "a write after the kill failed"
	wait_until 10 is_not "$service" service_pid || fail "there is no new service"
done
[ "$(wc -l <"$T/a/open")" = 6 ] || fail "lines were lost or written twice: $(cat "$T/a/open")"
read -r line <&6
[ "$line" = "in the source" ] || fail "a file that was open reads: $line"
exec 5>&- 6<&-
[ "$(keeper_pid)" = "$keeper" ] || fail "the keeper has changed"
[ "$(drive_count)" = 2 ] || fail "not the same drives: $(driveway list)"
[ "$(field label "$T/a")" = kept ] && [ "$(field label "$T/b")" = "$label" ] || fail "the labels have changed"
[ "$(field restarts)" = 3 ] || fail "restarts: $(field restarts)"

# Drives whose numbers are not in a row: one was unmapped in between, and one came later.
mkdir "$T/c"
must driveway map "$T/c" memory:
must driveway unmap "$T/b"
must driveway map "$T/b" "local:$T/source" --label "$label"
echo later >"$T/c/later"
service=$(service_pid)
kill -9 "$service"
wait_until 10 is_not "$service" service_pid || fail "there is no new service"
[ "$(drive_count)" = 3 ] || fail "after unmapping and mapping, not all drives came back: $(driveway list)"
[ "$(timeout 10 cat "$T/c/later")" = later ] || fail "a drive that was mapped in between does not answer"
timeout 10 cat "$T/b/file" >/dev/null || fail "a drive that was mapped last does not answer"
must driveway unmap "$T/c"

# An upgrade: another process, and nothing else changes.
service=$(service_pid)
kill -HUP "$keeper"
wait_until 10 is_not "$service" service_pid || fail "SIGHUP brings no new service"
[ "$(wc -l <"$T/a/open")" = 6 ] || fail "the upgrade has changed a file"
must driveway unmap "$T/b"

# The keeper is killed: its socket is stale and its drive dead. Mapping again needs no help.
service=$(service_pid)
[ -d "$T/a" ] || fail "the drive is no folder" # from now on the kernel knows that it is one, dead or not
kill -9 "$keeper"
wait_until 10 is_gone "$service" || fail "the service does not end with its keeper"
driveway list | grep -q '^No drive' || fail "list with a stale socket: $(driveway list)"
must driveway map "$T/a" memory:
ls "$T/a" >/dev/null || fail "the drive mapped over a dead one does not work"
[ "$(mounts_here | wc -l)" = 1 ] || fail "the dead drive is still there"
keeper=$(keeper_pid)
service=$(service_pid)

# And unmapping a dead drive without a service.
kill -9 "$keeper"
wait_until 10 is_gone "$service" || fail "the service does not end with its keeper"
must driveway unmap "$T/a"

# And with another keeper's service, which does not know it. A live drive of that keeper's stays.
must driveway map "$T/a" memory:
keeper=$(keeper_pid)
service=$(service_pid)
[ -d "$T/a" ] && kill -9 "$keeper"
wait_until 10 is_gone "$service" || fail "the service does not end with its keeper"
must driveway map "$T/b" memory:
must driveway unmap "$T/a"
DRIVEWAY_RUNTIME_DIR=$T/other must_say "$T/b is not mapped" unmap "$T/b"
must_say "$T/a is not mapped" unmap "$T/a"
[ "$(mounts_here)" = "$T/b" ] || fail "mounted is $(mounts_here)"
must driveway unmap "$T/b"
nothing_is_mapped
