/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets of the Box remote share
 *
 * A target is one LLVMFuzzerTestOneInput, built for libFuzzer where the compiler has it. With FUZZ_REPLAY it has a main
 * instead, which is a unit test: every file of a folder, whole, cut at every length, and spoilt in ways that a fixed
 * seed chooses. A finding that was mended becomes a file there.
 *
 *    CC=clang meson setup build-fuzz -Db_sanitize=address,undefined -Db_lundef=false
 *    ninja -C build-fuzz tests/remotes/box/fuzz_box_answers
 *    build-fuzz/tests/remotes/box/fuzz_box_answers -max_len=4096 -max_total_time=300 FOLDER tests/remotes/box/answers
 */
#ifndef TESTS_BOX_FUZZ_H
#define TESTS_BOX_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Abort with a line that says what is wrong. */
#define FUZZ_CHECK(condition)                                                                                          \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			fuzz_fail(__FILE__, __LINE__, #condition);                                                     \
	} while (0)
void fuzz_fail(const char *file, int line, const char *condition) __attribute__((noreturn));

#endif
