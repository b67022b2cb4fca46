/* SPDX-License-Identifier: MIT */
/*
 * conformance.h - what the cases of the conformance suite share
 *
 * The suite asks of a folder what POSIX and Linux promise of one. It is told a path and nothing else,
 * so the same cases run on the machine's own file system first: a case that fails there is wrong itself.
 *
 * A case is a function. It runs in a process of its own, in an empty folder of its own that is its
 * working directory, as the user who started the suite, with umask 022, and is stopped after CASE_SECONDS. It
 * may leave behind what it likes; the folder is removed afterwards. It says what it expects with the macros
 * below: EXPECT ones report and go on, NEED ones report and end the case, because nothing after would mean
 * anything. A case whose subject does not exist where it stands says so with case_skip.
 *
 * Every macro evaluates its arguments once, and none changes errno before it was looked at.
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define CASE_SECONDS 300u

/* What a drive may lack; --features names those it has. A case that needs another one is skipped. */
#define FEATURE_XATTR	  (1u << 0)  /* user.* extended attributes */
#define FEATURE_ACL	  (1u << 1)  /* POSIX access control lists */
#define FEATURE_NODES	  (1u << 2)  /* character and block device nodes (the caller is root) */
#define FEATURE_OTHER	  (1u << 3)  /* another user can reach the folder, and is checked (the caller is root) */
#define FEATURE_TMPFILE	  (1u << 4)  /* O_TMPFILE */
#define FEATURE_HOLES	  (1u << 5)  /* SEEK_HOLE finds holes, PUNCH_HOLE and ZERO_RANGE make them */
#define FEATURE_FALLOCATE (1u << 6)  /* plain fallocate */
#define FEATURE_DIRECT	  (1u << 7)  /* O_DIRECT */
#define FEATURE_LINKS	  (1u << 9)  /* a file may have several names */
#define FEATURE_TRUSTED	  (1u << 8)  /* trusted.* extended attributes (the caller is root) */
#define FEATURE_BYTES	  (1u << 10) /* a name is any bytes, and each case of a letter is another one */

struct conformance_case {
	const char *name; /* NULL ends a list */
	void (*run)(void);
	unsigned needs; /* FEATURE_* */
};

/* The lists, one a file. */
extern const struct conformance_case names_cases[];
extern const struct conformance_case rename_cases[];
extern const struct conformance_case folder_cases[];
extern const struct conformance_case data_cases[];
extern const struct conformance_case space_cases[];
extern const struct conformance_case attribute_cases[];
extern const struct conformance_case xattr_cases[];
extern const struct conformance_case mapping_cases[];
extern const struct conformance_case lock_cases[];
extern const struct conformance_case access_cases[];

/*
 * Check a folder that cannot be written: every change is refused, every file reads the same by every way there is.
 * reference: a folder that holds the same tree, to compare with, or NULL. Returns the number of failures.
 */
int readonly_check(const char *folder, const char *reference);

/* Reports; used through the macros. A failure is one line: file, line, what was written, what came. */
void case_report(const char *file, int line, const char *what, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The number of failures that this process has reported. */
int case_failures(void);
/* Ends the case: it cannot run here, for this reason. */
_Noreturn void case_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the case with what was reported so far. */
_Noreturn void case_end(void);

bool case_check(bool condition, const char *file, int line, const char *what);
long case_check_ok(long result, const char *file, int line, const char *what);
void case_check_errno(long result, int error, const char *file, int line, const char *what);
void case_check_equal(long long left, long long right, const char *file, int line, const char *what);

/* condition holds. */
#define EXPECT(condition) case_check((condition), __FILE__, __LINE__, #condition)
/* call does not return -1; its value is the value. */
#define EXPECT_OK(call) case_check_ok((long)(call), __FILE__, __LINE__, #call)
/* call returns -1 with errno error. */
#define EXPECT_ERRNO(call, error) case_check_errno((long)(call), (error), __FILE__, __LINE__, #call)
#define EXPECT_EQUAL(left, right)                                                                                      \
	case_check_equal((long long)(left), (long long)(right), __FILE__, __LINE__, #left " == " #right)
/* As EXPECT and EXPECT_OK, but the case ends if it does not hold. */
#define NEED(condition)                                                                                                \
	do {                                                                                                           \
		bool needed_holds = (condition);                                                                       \
                                                                                                                       \
		case_check(needed_holds, __FILE__, __LINE__, #condition);                                              \
		if (!needed_holds)                                                                                     \
			case_end();                                                                                    \
	} while (0)
#define NEED_OK(call) case_need_ok((long)(call), __FILE__, __LINE__, #call)
long case_need_ok(long result, const char *file, int line, const char *what);

/* Things that many cases do. All end the case when they fail. */

/* Make a file of that content; returns nothing open. */
void make_file(const char *path, const char *content);
/* Make an empty file and return it open for reading and writing. */
int make_open(const char *path);
void make_folder(const char *path);
/* The whole content equals these bytes (reported, not fatal). */
bool file_is(const char *path, const char *content);
/* Does the name exist, whatever it is? */
bool exists(const char *path);
struct stat stat_of(const char *path);
/* Number of entries but . and .. */
int count_entries(const char *path);
/* Bytes that depend on their position and on seed, so that any mix-up shows. */
void pattern_fill(void *buffer, size_t size, uint64_t offset, uint32_t seed);
/* The first position in buffer where it differs from the pattern, or -1. */
long pattern_differs(const void *buffer, size_t size, uint64_t offset, uint32_t seed);
/* Long enough that a later change has a later time stamp on any kernel. */
void clock_step(void);
bool time_less(struct timespec left, struct timespec right);
bool time_equal(struct timespec left, struct timespec right);
/* Run function in a child process; its failures count here. Returns its exit status. */
int in_child(void (*function)(void *), void *argument);
/* The same, as user and group 65534 with no other rights. */
int as_other(void (*function)(void *), void *argument);
#define OTHER_ID 65534u

#endif
