# SPDX-License-Identifier: MIT
#
# Each of these does all of its own set-up on a fresh Debian 12 that has git, make and apt.
#
#   make run       build, map a few drives under ./drives/ and show them
#   make test      build every way there is and run every test
#   make bench     measure against the native file system and bindfs; tables and plots under bench/results
#   make install   install to prefix (/usr/local), below DESTDIR
#   make clean     unmap the drives of `make run` and remove everything that was built

prefix ?= /usr/local
DESTDIR ?=
setup = sh packaging/setup.sh

.PHONY: all run test bench install clean

all:
	@$(setup) build
	@test -f build/build.ninja || meson setup --prefix="$(prefix)" build
	@ninja -C build

run:
	@$(setup) build run
	@sh packaging/demo.sh

test:
	@$(setup) build test
	@python3 tests/run

bench:
	@$(setup) build bench
	@sh bench/run

install:
	@$(setup) build
	@test -f build-install/build.ninja || meson setup --buildtype=release --prefix="$(prefix)" build-install
	@meson configure build-install -Dprefix="$(prefix)"
	@ninja -C build-install
	@DESTDIR="$(DESTDIR)" meson install -C build-install --no-rebuild

clean:
	@sh packaging/demo.sh --unmap
	@rm -rf build build-*
