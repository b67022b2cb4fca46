#!/bin/sh
# SPDX-License-Identifier: MIT
#
# setup.sh LIST...: install what is missing of the Debian packages in packaging/packages/LIST. Does nothing, at once, when
# all are there. Root is needed for the rest: by sudo when the caller is not root.
set -eu
cd "$(dirname "$0")/packages"

wanted=$(sed 's/#.*//' "$@" | tr -s ' \t\n' ' ')
missing=
if command -v dpkg-query > /dev/null; then
	# Words are separated on purpose, here and below.
	# shellcheck disable=SC2086
	there=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' $wanted 2> /dev/null || true)"
	for package in $wanted; do
		case $there in
		*" $package=installed "*) ;;
		*) missing="$missing $package" ;;
		esac
	done
else
	echo "setup: this is not Debian or one of its kind; please see to it that you have what these packages hold:" >&2
	echo "      $wanted" >&2
	exit 0
fi
[ -n "$missing" ] || exit 0

give_up() {
	echo "setup: $1. Missing:$missing" >&2
	echo "setup: as root, run: apt-get update && apt-get install$missing" >&2
	exit 1
}

as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo > /dev/null || give_up "packages are missing, and there is no sudo to install them with"
	as_root=sudo
	[ -t 0 ] || as_root='sudo -n'
	$as_root true || give_up "packages are missing, and sudo was refused"
fi
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq"

echo "Installing$missing"
updated=
for package in $missing; do
	if [ -z "$(apt-cache show "$package" 2> /dev/null | head -n 1)" ]; then
		$apt update < /dev/null || give_up "the package lists cannot be had"
		updated=yes
		break
	fi
done
# Old lists name packages that the mirrors have dropped: once more with new ones.
install="$apt install --yes --no-install-recommends$missing"
$install < /dev/null > /dev/null || {
	[ -z "$updated" ] && $apt update < /dev/null && $install < /dev/null
} || give_up "apt-get could not install all that is needed"
