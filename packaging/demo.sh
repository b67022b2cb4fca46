#!/bin/sh
# SPDX-License-Identifier: MIT
#
# demo.sh: build, map four drives under ./drives/, show what they hold, and leave them mapped. Run again, it maps what is
# missing. demo.sh --unmap unmaps them and ends the stand-in for Box that one of them is of.
set -eu
cd "$(dirname "$0")/.."
driveway=./build/tool/driveway
drives="memory archive mirror box"
emulator=build/demo/box
said=

# Where there is no session of a user (su, a container), the runtime folder is ours.
if [ "$(id -u)" -ne 0 ] && [ -z "${DRIVEWAY_RUNTIME_DIR-}" ] && [ ! -d "${XDG_RUNTIME_DIR-/nowhere}" ]; then
	export DRIVEWAY_RUNTIME_DIR="$PWD/build/demo/run"
	said="DRIVEWAY_RUNTIME_DIR=$DRIVEWAY_RUNTIME_DIR "
fi

is_mapped() {
	mountpoint -q "$1" 2> /dev/null
}

# A member of endpoints.json, which the emulator writes when it listens.
endpoint() {
	python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))
for name in sys.argv[2:]:
    value = value[name]
print(value)' "$emulator/endpoints.json" "$@"
}

emulator_runs() {
	[ -f "$emulator/endpoints.json" ] && pid=$(endpoint pid) &&
		[ "$(readlink "/proc/$pid/exe" 2> /dev/null)" = "$PWD/build/emulators/box/driveway-box-emulator" ]
}

stop_emulator() {
	emulator_runs || return 0
	kill "$pid"
	while [ -d "/proc/$pid" ]; do sleep 0.1; done
}

# A drive of an emulator that is gone would wait for one that has other ports.
start_emulator() {
	emulator_runs && return 0
	mkdir -p "$emulator"
	rm -f "$emulator/endpoints.json"
	setsid ./build/emulators/box/driveway-box-emulator --data "$emulator" --https 127.0.0.1:0 --seed demo \
		> build/demo/box.log 2>&1 < /dev/null &
	for _ in $(seq 300); do
		[ -f "$emulator/endpoints.json" ] && return 0
		sleep 0.1
	done
	echo "The stand-in for Box did not start:" >&2
	cat build/demo/box.log >&2
	return 1
}

# What the server itself says: the file's name and size, asked of its API without the drive.
on_server() {
	curl --silent --cacert "$emulator/ca.pem" -H "Authorization: Bearer $(endpoint developer_token)" \
		"$(endpoint https api)/folders/0/items?fields=name,size&limit=100" |
		python3 -c 'import json, sys
for entry in json.load(sys.stdin)["entries"]:
    if entry["name"] == sys.argv[1]:
        print("on the server:", entry["name"], entry["size"], "bytes")' "$1"
}

if [ "${1-}" = --unmap ]; then
	for drive in $drives; do
		if is_mapped "drives/$drive"; then
			"$driveway" unmap "drives/$drive" || exit 1
		fi
	done
	rmdir drives/* drives 2> /dev/null || true
	stop_emulator
	exit 0
fi

show() {
	printf '\n$ %s\n' "$*"
	sh -c "$*"
}

if [ ! -e /dev/fuse ]; then
	[ "$(id -u)" -eq 0 ] && modprobe fuse 2> /dev/null || true
fi
if [ ! -e /dev/fuse ]; then
	echo "There is no /dev/fuse: this kernel has no FUSE, or this is a container that was not given the device" >&2
	echo "(docker run --device /dev/fuse --cap-add SYS_ADMIN). Drives cannot be mapped here." >&2
	exit 1
fi

mkdir -p build/demo
test -f build/build.ninja || meson setup build > build/demo/build.log || { cat build/demo/build.log && exit 1; }
ninja -C build > build/demo/build.log || { cat build/demo/build.log && exit 1; }
[ -z "${DRIVEWAY_RUNTIME_DIR-}" ] || mkdir -p -m 700 "$DRIVEWAY_RUNTIME_DIR"

# Something real to open as a drive: the kernel's C headers and this project's own documents.
archive=build/demo/headers.tar.gz
if [ ! -f "$archive" ]; then
	tar -czf "$archive.new" -C "$PWD" README.md docs -C /usr/include linux
	mv "$archive.new" "$archive"
fi
if [ ! -d build/demo/folder ]; then
	mkdir -p build/demo/folder/letters
	cp README.md LICENSE build/demo/folder/
	echo 'This file lives in build/demo/folder.' > build/demo/folder/letters/hello
fi

map_box() {
	mkdir -p -m 700 build/demo/box-login build/demo/box-cache
	endpoint developer_token > build/demo/box-login/token
	"$driveway" map drives/box box: --cache build/demo/box-cache -o "auth=token,state=$PWD/build/demo/box-login" \
		-o "token-file=$PWD/build/demo/box-login/token,ca=$PWD/$emulator/ca.pem" \
		-o "api-url=$(endpoint https api),upload-url=$(endpoint https upload)"
}

emulator_runs || ! is_mapped drives/box || "$driveway" unmap --force drives/box
start_emulator
for drive in $drives; do
	is_mapped "drives/$drive" && continue
	mkdir -p "drives/$drive"
	case $drive in
	memory) "$driveway" map drives/memory memory: ;;
	archive) "$driveway" map drives/archive "archive:$archive" ;;
	mirror) "$driveway" map drives/mirror local:build/demo/folder ;;
	box)
		map_box || {
			echo "The demonstration's cache cannot be used any more: it is put aside, and a new one is begun."
			mv build/demo/box-cache "build/demo/box-cache.$(date +%s)"
			map_box
		}
		;;
	esac
done

echo
echo "Four drives are mapped under ./drives/."
show "$driveway list"
printf '\nA drive in memory: written to, read back.\n'
show 'echo "Hello, drive" > drives/memory/greeting && cat drives/memory/greeting'
show 'mkdir -p drives/memory/folder && cp README.md drives/memory/folder && ls -l drives/memory drives/memory/folder'
printf '\nAn archive, opened as a drive: nothing is unpacked.\n'
show 'ls drives/archive/linux | wc -l'
show 'grep -h "define FUSE_KERNEL_VERSION" drives/archive/linux/fuse.h'
printf '\nA mirror of a folder: what is written on one side is on the other.\n'
show 'cat drives/mirror/letters/hello'
show 'date > drives/mirror/letters/today && cat build/demo/folder/letters/today'

printf '\nA Box account, here one of a stand-in for box.com that runs on this machine, cached on disk.\n'
show 'ls -l drives/box drives/box/Documents'
show 'head -n 3 drives/box/Welcome.txt'
show 'find drives/box/Archive -type f | wc -l'
# A narrow line, so that the way of a large file can be seen.
line() {
	curl --silent --output /dev/null -X DELETE "$(endpoint control)/faults"
	[ -z "${1-}" ] || curl --silent --output /dev/null -H 'Content-Type: application/json' \
		-d "{\"fault\": \"bandwidth\", \"bytes_per_second\": $1}" "$(endpoint control)/faults"
}
line 16000000
show 'head -c 48M /dev/urandom > drives/box/film.bin && ls -l drives/box/film.bin'
sleep 2.5
show "$driveway status drives/box"
line
show "$driveway sync drives/box/film.bin"
printf '\n'
on_server film.bin

cat << END

They stay mapped. From here:
  ls drives/memory                                  use them, with any program
  $said$driveway list                       what is mapped
  $said$driveway status                     how it is served
  $said$driveway unmap drives/memory        take one away
  $said$driveway pin drives/box/Pictures    keep a folder of the account here, for offline use
  mkdir -p drives/mine && $said$driveway map drives/mine local:\$HOME
END
