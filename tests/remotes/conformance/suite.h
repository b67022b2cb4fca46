/* SPDX-License-Identifier: MIT */
/*
 * suite.h - what the cases of the conformance suite for remotes share
 *
 * The suite asks of a struct dw_remote what include/driveway/remote.h promises. It is told a plug-in, a source and
 * options, and nothing of the service behind it. A case is a function; it runs in a process of its own, with a remote
 * that was opened for it and an empty folder of its own, and is stopped after CASE_SECONDS. What it needs that the
 * remote does not have (a NULL member, DW_REMOTE_READ_ONLY) skips it.
 *
 * EXPECT reports and goes on, NEED reports and ends the case. Helpers that are called in a NEED-like way say so: "or
 * ends". All of them may be called by several threads but for suite_reopen and what ends the case.
 */
#ifndef TESTS_REMOTES_CONFORMANCE_SUITE_H
#define TESTS_REMOTES_CONFORMANCE_SUITE_H

#include <driveway/remote.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CASE_SECONDS 120u
#define CALL_SECONDS 60u
#define SECOND	     UINT64_C(1000000000)
#define EXIT_SKIPPED 77

#define NEEDS_WRITE	 (1u << 0)
#define NEEDS_SESSIONS	 (1u << 1)
#define NEEDS_CHANGES	 (1u << 2)
#define NEEDS_PROPERTIES (1u << 3)
#define NEEDS_COPY	 (1u << 4)
#define NEEDS_DIGEST	 (1u << 5)

struct suite {
	const struct dw_remote_provider *provider;
	struct dw_remote_source source;
	struct dw_remote *remote;
	const struct dw_remote_ops *ops;
	char folder[DW_REMOTE_ID_MAX + 1]; /* id of the case's own folder */
	uint64_t session_bytes;
	unsigned many; /* so many files make a list longer than a page */
};

struct suite_case {
	const char *name; /* NULL ends a list */
	void (*run)(struct suite *suite);
	unsigned needs;
};

extern const struct suite_case interface_cases[];
extern const struct suite_case item_cases[];
extern const struct suite_case read_cases[];
extern const struct suite_case upload_cases[];
extern const struct suite_case session_cases[];
extern const struct suite_case move_cases[];
extern const struct suite_case name_cases[];
extern const struct suite_case property_cases[];
extern const struct suite_case change_cases[];
extern const struct suite_case thread_cases[];

/* --- Reports --------------------------------------------------------------------------------------------- */

void suite_report(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void suite_end(void);
int suite_failures(void);
_Noreturn void suite_skip(const char *why);
bool suite_check(bool holds, const char *file, int line, const char *what);
bool suite_check_result(int got, int want, const char *file, int line, const char *what);

#define EXPECT(condition) suite_check((condition), __FILE__, __LINE__, #condition)
#define NEED(condition)                                                                                                \
	do {                                                                                                           \
		if (!suite_check((condition), __FILE__, __LINE__, #condition))                                         \
			suite_end();                                                                                   \
	} while (0)
/* call answers exactly want. */
#define EXPECT_RESULT(call, want) suite_check_result((call), (want), __FILE__, __LINE__, #call)
#define NEED_OK(call)                                                                                                  \
	do {                                                                                                           \
		if (!suite_check_result((call), 0, __FILE__, __LINE__, #call))                                         \
			suite_end();                                                                                   \
	} while (0)

/* --- Items ------------------------------------------------------------------------------------------------- */

/* A copy of an item. */
struct item {
	enum dw_remote_type type;
	char id[DW_REMOTE_ID_MAX + 1];
	char parent[DW_REMOTE_ID_MAX + 1];
	char name[1025];
	char etag[DW_REMOTE_ID_MAX + 1];
	char content[DW_REMOTE_ID_MAX + 1];
	uint64_t bytes;
	uint8_t digest[64];
	uint32_t digest_length;
	uint32_t rights;
	struct dw_time modified;
	bool properties_known;
	size_t property_count;
	struct {
		char key[65];
		char value[512];
	} properties[8]; /* the first of them */
};

struct item_list {
	struct item *items;
	size_t count;
};

/* Copies what dw_remote_items brings; also checks that what every item has is there. */
struct collector {
	struct dw_remote_items items;
	struct item_list list;
	size_t stop_after; /* answer stop_with after so many; 0: never */
	int stop_with;
};

struct collector collector_new(void);
void collector_clear(struct collector *collector);
const struct item *item_find(const struct item_list *list, const char *name);
const char *item_property(const struct item *item, const char *key);

/* --- Calls: a fresh dw_remote_call each; DW_REMOTE_LATER is sat out --------------------------------------------- */

uint64_t now_monotonic(void);
struct dw_remote_call call_new(void);
/* Whether to ask again, having waited. */
bool call_again(const struct dw_remote_call *call, int result);
void suite_reopen(struct suite *suite);
/* A second one of the same source, or ends. */
struct dw_remote *suite_open(struct suite *suite);

int do_stat(struct suite *suite, const char *id, struct item *out);
/* All pages. */
int do_list(struct suite *suite, const char *folder, struct item_list *out);
void item_list_clear(struct item_list *list);
int do_mkdir(struct suite *suite, const char *parent, const char *name, struct item *out);
int do_move(struct suite *suite, const struct item *item, const char *etag, const char *parent, const char *name,
	    struct item *out);
int do_copy(struct suite *suite, const struct item *item, const char *parent, const char *name, struct item *out);
int do_remove(struct suite *suite, const struct item *item, const char *etag, bool recursive);

/* Content of an upload: a pattern that depends on position and seed. */
struct pattern {
	struct dw_remote_content content;
	uint32_t seed;
	uint64_t fail_at; /* read answers fail_with from there on */
	int fail_with;
	uint8_t digest[64];
	_Atomic uint64_t sent; /* what progress said last */
	_Atomic uint64_t read;
};

/* With its digest, where the remote has one, or ends. Not to be moved. */
void pattern_begin(struct suite *suite, struct pattern *pattern, uint64_t bytes, uint32_t seed);
void pattern_fill(void *buffer, size_t size, uint64_t offset, uint32_t seed);

/* A new file in parent; etag and id as in dw_remote_place for do_replace. */
int do_upload(struct suite *suite, const char *parent, const char *name, struct pattern *pattern, struct item *out);
int do_replace(struct suite *suite, const char *id, const char *etag, struct pattern *pattern, struct item *out);
/* A file with a pattern in the case's folder, or ends. */
struct item make_file(struct suite *suite, const char *name, uint64_t bytes, uint32_t seed);
struct item make_folder(struct suite *suite, const char *parent, const char *name);

/* Read and compare with the pattern: -EILSEQ where bytes, order or length (clipped to size) are wrong. */
int do_read(struct suite *suite, const char *id, const char *content, uint64_t offset, uint64_t bytes, uint64_t size,
	    uint32_t seed);
/* The file is this pattern (reported). */
#define EXPECT_FILE(suite, item, size, seed)                                                                           \
	EXPECT_RESULT(do_read((suite), (item)->id, (item)->content, 0, UINT64_MAX, (size), (seed)), 0)

#endif
