#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything without privileges, by fusermount3. Started by root, it becomes an ordinary user in a mount namespace of
# its own, where /dev/fuse is open to all and fuse.conf allows nothing.

if [ "$(id -u)" = 0 ]; then
	for program in unshare setpriv fusermount3 setfacl; do
		command -v "$program" >/dev/null || {
			echo "skipped: there is no $program"
			exit 77
		}
	done
	setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$1" || {
		echo "skipped: an ordinary user cannot reach $1"
		exit 77
	}
	outside=$(mktemp -d /tmp/driveway-rootless-XXXXXX) || exit 1
	trap 'rm -rf --one-file-system "$outside"' EXIT
	mkdir "$outside/source" "$outside/home"
	chown 65534:65534 "$outside/home"
	chmod 755 "$outside" "$outside/source"
	# Files of root's, some of which an ACL gives to the user.
	for name in theirs given readable; do
		echo "$name" >"$outside/source/$name"
		chmod 600 "$outside/source/$name"
	done
	setfacl -m u:65534:rw "$outside/source/given" && setfacl -m u:65534:r "$outside/source/readable" || {
		echo "skipped: $outside keeps no access control lists"
		exit 77
	}
	# shellcheck disable=SC2016 # expanded inside
	outside=$outside unshare --mount --propagation private sh -c '
		mknod -m 666 "$outside/fuse" c 10 229 && mount --bind "$outside/fuse" /dev/fuse || {
			echo "skipped: /dev/fuse cannot be replaced here"
			exit 77
		}
		: >"$outside/fuse.conf" && { [ ! -e /etc/fuse.conf ] || mount --bind "$outside/fuse.conf" /etc/fuse.conf; } || exit 1
		exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
			env TMPDIR="$outside/home" HOME="$outside/home" OUTSIDE="$outside" sh "$@"' sh "$0" "$@"
	exit $?
fi

. "$(dirname "$0")/lib.sh"

[ -w /dev/fuse ] || skip "/dev/fuse is not open to this user"

# Map, use.
must driveway map "$T/a" memory: -o size=64m
[ "$(field transport "$T/a")" = plain ] && [ "$(field passthrough "$T/a")" = false ] || fail "$(driveway status)"
grep " $T/a fuse" /proc/mounts | grep nosuid | grep -q nodev || fail "mounted with $(grep "$T/a" /proc/mounts)"
must driveway map "$T/b" "local:$OUTSIDE/home"
mkdir "$T/b/real" || fail "a local drive takes nothing"
echo content >"$T/b/real/file"
[ "$(cat "$OUTSIDE/home/real/file")" = content ] || fail "a local drive does not reach its folder"
[ "$(stat -c %u "$OUTSIDE/home/real/file")" = 65534 ] || fail "a file belongs to another user"

# kill -9 with files open, and an upgrade.
exec 5>"$T/a/open" 6<"$T/b/real/file"
for signal in KILL KILL HUP; do
	service=$(service_pid)
	if [ $signal = HUP ]; then
		kill -HUP "$(keeper_pid)"
	else
		kill -KILL "$service"
	fi
	echo "after $signal" >&5 || fail "a write after SIG$signal failed"
	wait_until 10 is_not "$service" service_pid || fail "there is no new service after SIG$signal"
done
read -r line <&6
[ "$line" = content ] || fail "a file that was open reads: $line"
[ "$(wc -l <"$T/a/open")" = 3 ] || fail "lines were lost: $(cat "$T/a/open")"
must_say "$T/a is in use" unmap "$T/a"
exec 5>&- 6<&-
must driveway unmap "$T/a"
must driveway unmap "$T/b"

# What the user may and may not.
must_say 'user_allow_other' map "$T/a" memory: -o allow-other
[ -z "$(mounts_here)" ] || fail "a refused map left $(mounts_here)"
must driveway map "$T/a" "local:$OUTSIDE/source"
cat "$T/a/given" "$T/a/readable" >/dev/null || fail "what an ACL gives cannot be read"
! cat "$T/a/theirs" 2>/dev/null || fail "a file of root's can be read"
echo more >>"$T/a/given" || fail "what an ACL gives cannot be written"
for name in given readable theirs; do
	for letter in r w x; do
		test -$letter "$OUTSIDE/source/$name" && right=yes || right=no
		test -$letter "$T/a/$name" && got=yes || got=no
		[ $right = $got ] || fail "access(2): may $letter $name? $got, and natively $right"
	done
done
must driveway unmap "$T/a"

# io_uring, where the kernel has it; else it says why not.
must driveway map "$T/a" memory: -o transport=io_uring
if [ "$(cat /sys/module/fuse/parameters/enable_uring 2>/dev/null)" = Y ]; then
	[ "$(field transport "$T/a")" = io_uring ] || fail "no io_uring: $(driveway status)"
else
	[ "$(field transport "$T/a")" = plain ] || fail "transport: $(field transport "$T/a")"
fi
exec 5>"$T/a/open"
for i in 1 2 3; do
	service=$(service_pid)
	kill -KILL "$service"
	echo "after $i" >&5 || fail "a write after a kill failed"
	wait_until 10 is_not "$service" service_pid || fail "there is no new service"
done
exec 5>&-
[ "$(wc -l <"$T/a/open")" = 3 ] || fail "lines were lost: $(cat "$T/a/open")"

# In use: by force.
sleep 60 <"$T/a/open" &
reader=$!
keeper=$(keeper_pid)
must driveway unmap --force "$T/a"
kill "$reader"
wait "$reader" 2>/dev/null
nothing_is_mapped
wait_until 5 is_gone "$keeper" || fail "the keeper does not end with the last drive"
