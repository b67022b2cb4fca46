#!/bin/sh
# SPDX-License-Identifier: MIT
#
# test.sh SETUP CERTIFICATE PACKAGE: the package for Windows is whole, osslsigncode takes its signatures, and where Wine is
# the installer installs, runs and takes away what it should, and the .inf installs the driver.
set -u
setup=$1 certificate=$2 package=$3

fail() {
	echo "package: $1" >&2
	exit 1
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/driveway-package-XXXXXX") || exit 1
export WINEPREFIX="$folder/wine" WINEDEBUG="${WINEDEBUG:--all}" WINEDLLOVERRIDES="mscoree,mshtml="
trap '[ ! -d "$WINEPREFIX" ] || wineserver -k > /dev/null 2>&1; rm -rf "$folder"' EXIT

takes() {
	osslsigncode verify -CAfile "$1" -in "$2" > "$folder/said" 2>&1
}

for file in "$setup" "$package/driveway.sys" "$package/driveway.exe" "$package/drivewayd.exe"; do
	takes "$certificate" "$file" || {
		cat "$folder/said" >&2
		fail "the signature of $file is not good"
	}
done
openssl x509 -in "$certificate" -noout -ext extendedKeyUsage | grep -q "Code Signing" || fail "it is no certificate for code"
openssl x509 -in "$certificate" -outform DER | cmp -s - "$package/driveway-test.cer" || fail "there are two certificates"

# The test of the test: what was changed, and what somebody else signed, is refused.
cp "$package/driveway.sys" "$folder/changed.sys"
printf '\377\376' | dd of="$folder/changed.sys" bs=1 seek=4096 conv=notrunc 2> /dev/null
takes "$certificate" "$folder/changed.sys" && fail "a driver that was changed passes for signed"
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout "$folder/other.key" -out "$folder/other.pem" 2> /dev/null
takes "$folder/other.pem" "$package/driveway.sys" && fail "anybody's certificate is taken"

grep -rlE "PRIVATE KEY" "$(dirname "$setup")" && fail "a private key lies there"
grep -q "@" "$package/driveway.inf" && fail "the .inf has places that were not filled in"

command -v wine > /dev/null || {
	echo "skipped in part: there is no Wine to install it in"
	exit 77
}
wineboot -i > /dev/null 2>&1 || exit 77
wineserver -w
programs="$WINEPREFIX/drive_c/Program Files/Driveway"
services='HKLM\System\CurrentControlSet\Services'
uninstall='HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall\Driveway'

wine "$setup" /S || fail "the installer ends with $?"
for file in driveway.sys driveway.exe drivewayd.exe driveway.inf driveway-test.cer uninstall.exe; do
	[ -f "$programs/$file" ] || fail "$file is not installed"
done
cmp -s "$package/driveway.sys" "$programs/driveway.sys" || fail "another driver is installed"
wine reg query "$uninstall" /v UninstallString > /dev/null 2>&1 || fail "Windows does not know how to uninstall it"
wine "$programs/driveway.exe" map X: memory: || fail "what is installed does not work"
wine "$programs/driveway.exe" list | grep -q "X:  *memory:" || fail "what is installed does not work"

# A mapped drive is nothing that an installer ends.
wine "$setup" /S && fail "a newer version was installed under a mapped drive"
wine "$programs/driveway.exe" unmap X: || fail "the refused installer has ended the drive"
wine "$setup" /S || fail "it does not install over itself"
# It goes on from a copy of itself, since it deletes itself, too.
wine "$programs/uninstall.exe" /S || fail "the uninstaller ends with $?"
for _ in $(seq 100); do
	[ -e "$programs" ] || break
	sleep 0.2
done
[ -e "$programs" ] && fail "the uninstaller leaves files: $(ls "$programs")"
wine reg query "$services\\driveway" > /dev/null 2>&1 && fail "the driver's service is left"
wine reg query "$services\\drivewayd" > /dev/null 2>&1 && fail "the service is left"
wine reg query "$uninstall" > /dev/null 2>&1 && fail "the entry of the uninstaller is left"

# By the .inf.
mkdir "$WINEPREFIX/drive_c/inf"
cp "$package/driveway.sys" "$package/driveway.inf" "$WINEPREFIX/drive_c/inf"
wine rundll32 setupapi,InstallHinfSection DefaultInstall 128 'C:\inf\driveway.inf' || fail "the .inf ends with $?"
[ -f "$WINEPREFIX/drive_c/windows/system32/drivers/driveway.sys" ] || fail "the .inf copies nothing"
wine reg query "$services\\driveway" /v ImagePath | grep -qi "driveway.sys" || fail "the .inf makes no service"
wine "$package/driveway.exe" status > /dev/null || fail "the driver that the .inf installed does not run"
wine net stop driveway > /dev/null 2>&1 || fail "the driver that the .inf installed does not stop"
wine rundll32 setupapi,InstallHinfSection DefaultUninstall 128 'C:\inf\driveway.inf' || fail "the .inf ends with $?"
wine reg query "$services\\driveway" > /dev/null 2>&1 && fail "the .inf leaves its service"
echo "package: all is well"
