#!/bin/sh
# SPDX-License-Identifier: MIT
# map, list, status and unmap, as a person uses them
. "$(dirname "$0")/lib.sh"

driveway list | grep -q '^No drive is mapped' || fail "an empty list does not say so"
must_say 'no service runs' status

must driveway map "$T/a" memory:
keeper=$(keeper_pid)
service=$(service_pid)
[ -d "/proc/$keeper" ] && [ -d "/proc/$service" ] || fail "status names no running processes"
echo content >"$T/a/file"
[ "$(cat "$T/a/file")" = content ] || fail "the drive does not keep what is written"

# A label that was not given is a UUID of version 4.
field label | grep -Eq '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' || fail "label: $(field label)"
[ "$(field version)" ] && [ "$(field source)" = memory: ] && [ "$(field state)" = ready ] || fail "status --json lacks members"
case $(field transport) in
io_uring | plain) ;;
*) fail "transport: $(field transport)" ;;
esac
field protocol | grep -q '^7\.[0-9]*$' || fail "protocol: $(field protocol)"
[ "$(field total)" -gt 0 ] || fail "status does not tell the size"

# Names relative to the current folder, options, and a second drive in the same service.
cd "$T" || exit 1
must driveway map ./b/ local:source --label "My label" -o attr-timeout=0.5,transport=plain --read-only --cache own-cache
cd / || exit 1
[ "$(service_pid)" = "$service" ] || fail "the second drive has another service"
[ "$(field label "$T/b")" = "My label" ] || fail "label: $(field label "$T/b")"
[ "$(field source "$T/b")" = "local:$T/source" ] || fail "source: $(field source "$T/b")"
[ "$(field transport "$T/b")" = plain ] || fail "transport: $(field transport "$T/b")"
[ "$(field cache "$T/b")" = "$T/own-cache" ] && [ -d "$T/own-cache" ] || fail "cache: $(field cache "$T/b")"
[ "$(stat -c %a "$T/own-cache")" = 700 ] || fail "the cache folder is open to others"
[ "$(cat "$T/b/file")" = "in the source" ] || fail "the second drive does not show its source"
! touch "$T/b/new" 2>/dev/null || fail "a read-only drive took a change"
[ "$(drive_count)" = 2 ] || fail "not two drives"
driveway list | grep -q "^$T/b  *local:$T/source  *My label  *plain  *ready" || fail "list: $(driveway list)"
driveway status | grep -q '^  passthrough' || fail "status: $(driveway status)"
driveway map --help | grep -q 'memory' || fail "help names no providers"
driveway help unmap | grep -q -- --force || fail "help unmap"

# Through a symbolic link and with --json.
must driveway unmap "$T/b/"
ln -s b "$T/link"
driveway map "$T/link" memory: --json | grep -q "\"target\": \"$T/b\"" || fail "map --json through a link"
must driveway unmap "$T/link"

must driveway unmap "$T/a"
nothing_is_mapped
wait_until 5 is_gone "$keeper" || fail "the keeper does not end with the last drive"
wait_until 5 is_gone "$service" || fail "the service does not end with the last drive"
[ ! -e "$T/run/control.sock" ] || fail "the socket was left behind"

# And again at once, while the last ones may still be ending.
for i in 1 2 3 4 5; do
	must driveway map "$T/a" memory:
	must driveway unmap "$T/a"
done
nothing_is_mapped
