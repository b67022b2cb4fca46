#!/bin/sh
# SPDX-License-Identifier: MIT
# The control socket: hostile clients, other users, and drives in the foreground.
. "$(dirname "$0")/lib.sh"

must driveway map "$T/a" memory:
service=$(service_pid)
[ "$(stat -c %a "$T/run")" = 700 ] && [ "$(stat -c %a "$T/run/control.sock")" = 600 ] || fail "the socket is open to others"
must python3 "$(dirname "$0")/control.py" "$T/run/control.sock" hostile
[ "$(service_pid)" = "$service" ] || fail "a hostile client has killed the service"

# Somebody else, even if the modes let him through, is not heard.
if [ "$(id -u)" = 0 ]; then
	chmod 711 "$T" "$T/run"
	chmod 666 "$T/run/control.sock"
	must python3 "$(dirname "$0")/control.py" "$T/run/control.sock" other-user
	chmod 700 "$T" "$T/run"
	chmod 600 "$T/run/control.sock"
	[ "$(drive_count)" = 1 ] || fail "another user has done something"
fi

# --foreground: until a signal, or until somebody else unmaps it.
"$driveway_program" map "$T/b" memory: --foreground &
front=$!
wait_until 10 state_is "$T/b" ready || fail "the drive in the foreground does not come"
kill -INT "$front"
wait "$front" || fail "the foreground ended with $?"
[ "$(drive_count)" = 1 ] || fail "the drive in the foreground was left behind"
"$driveway_program" map "$T/b" memory: --foreground &
front=$!
wait_until 10 state_is "$T/b" ready || fail "the drive in the foreground does not come"
must driveway unmap "$T/b"
wait_until 10 is_gone "$front" || fail "the foreground does not notice that its drive is gone"

# Many at a time: every one gets its drive, or is told that it is taken.
mkdir "$T/c"
for i in 1 2 3 4 5 6; do
	(driveway map "$T/c" memory: 2>"$T/race-$i" && touch "$T/won-$i") &
	racers="$racers $!"
done
for racer in $racers; do
	wait "$racer"
done
[ "$(ls "$T" | grep -c '^won-')" = 1 ] || fail "winners: $(ls "$T" | grep '^won-')"
[ "$(cat "$T"/race-* | grep -c 'already mapped')" = 5 ] || fail "losers: $(cat "$T"/race-*)"
[ "$(mounts_here | wc -l)" = 2 ] || fail "mounts: $(mounts_here)"
must driveway unmap "$T/c"
must driveway unmap "$T/a"
nothing_is_mapped
