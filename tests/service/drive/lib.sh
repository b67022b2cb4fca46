# SPDX-License-Identifier: MIT
# Sourced by the tests of real drives. Called as: TEST DRIVEWAY PLUGINS
# Each test has a folder of its own, $T, with its own runtime folder, and leaves neither mount nor process.

driveway_program=$(realpath "$1")
plugins=$(realpath "$2")
keeper_program=$(dirname "$driveway_program")/../keeper/drivewayd

skip()
{
	echo "skipped: $*"
	exit 77
}

fail()
{
	echo "FAILED: $*" >&2
	[ -f "$T/run/service.log" ] && sed 's/^/log: /' "$T/run/service.log" >&2
	exit 1
}

[ -c /dev/fuse ] || skip "there is no /dev/fuse"
if [ "$(id -u)" != 0 ]; then
	command -v fusermount3 >/dev/null || skip "there is no fusermount3"
fi

T=$(mktemp -d "${TMPDIR:-/tmp}/driveway-test-XXXXXX") || exit 1
export DRIVEWAY_RUNTIME_DIR=$T/run XDG_CACHE_HOME=$T/cache
mkdir "$T/a" "$T/b" "$T/source"
echo "in the source" >"$T/source/file"

clean_up()
{
	status=$?
	trap - EXIT INT TERM
	rm -f "$T"/flag-*
	keeper=$(keeper_pid)
	[ -n "$keeper" ] && kill "$keeper" 2>/dev/null
	for i in 1 2 3 4 5 6 7 8 9 10; do
		[ -n "$keeper" ] && kill -0 "$keeper" 2>/dev/null && sleep 0.2
	done
	[ -n "$keeper" ] && kill -9 "$keeper" 2>/dev/null
	mounts_here | while read -r mount; do
		umount -l "$mount" 2>/dev/null || fusermount3 -u -z "$mount"
	done
	rm -rf --one-file-system "$T"
	exit $status
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# What is mounted in our folder, one a line.
mounts_here()
{
	sed -n "s|^[^ ]* \($T[^ ]*\) .*|\1|p" /proc/mounts
}

driveway()
{
	timeout 30 "$driveway_program" "$@"
}

# field NAME [TARGET]: a member of `status --json`, of the first drive if it is one of a drive's
field()
{
	driveway status --json ${2:+"$2"} 2>/dev/null |
		sed -n "s/^ *\"$1\": \"\{0,1\}\([^\"]*[^\",]\)\"\{0,1\},\{0,1\}$/\1/p" | head -n 1
}

keeper_pid()
{
	field keeper_pid
}

service_pid()
{
	field service_pid
}

drive_count()
{
	driveway list --json | grep -c '"target"'
}

# must COMMAND...: it succeeds
must()
{
	"$@" || fail "$* exited with $?"
}

# must_say PATTERN COMMAND...: the command fails with status 1 and exactly one line on standard error, which matches
must_say()
{
	pattern=$1
	shift
	driveway "$@" >"$T/out" 2>"$T/err"
	code=$?
	[ "$code" = 1 ] || fail "driveway $* exited with $code instead of 1: $(cat "$T/err")"
	[ "$(wc -l <"$T/err")" = 1 ] || fail "driveway $* did not say one line: $(cat "$T/err")"
	grep -q "^driveway: .*$pattern" "$T/err" || fail "driveway $* said: $(cat "$T/err"), not: $pattern"
}

# wait_until SECONDS COMMAND...: the command succeeds within that time
wait_until()
{
	tries=$(($1 * 20))
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.05
	done
}

is_gone()
{
	! kill -0 "$1" 2>/dev/null
}

is_not()
{
	[ "$1" != "$($2)" ] && [ -n "$($2)" ]
}

state_is()
{
	[ "$(field state "$1")" = "$2" ]
}

nothing_is_mapped()
{
	[ -z "$(mounts_here)" ] || fail "left behind: $(mounts_here)"
	[ "$(drive_count)" = 0 ] || fail "still listed: $(driveway list)"
}
