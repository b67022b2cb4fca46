/* SPDX-License-Identifier: MIT */
/* Rows of nodes, and what the server says of them, without a remote that answers and without contents. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache/absorb.h"
#include "cache/active.h"
#include "cache/properties.h"
#include "cache/rows.h"

#define REGION (4u << 20)

struct bench {
	struct cache cache;
	struct dw_remote remote;
	struct dw_remote_ops ops;
	struct dw_host host;
	char folder[64];
	void *region;
};

static void *region;

static void log_line(void *context, int level, const char *line)
{
	fprintf(stderr, "%d %s\n", level, line);
}

static void host_log(struct dw_host *host, int level, const char *line)
{
	log_line(host, level, line);
}

static int host_keep(struct dw_host *host, const char *name, uint64_t size, void **address, bool *fresh, int *fd)
{
	assert_true(size <= REGION);
	*address = region;
	*fresh = true;
	return 0;
}

static int make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct database_connection *connection;

	region = calloc(1, REGION);
	memcpy(bench->folder, "/tmp/test-nodes.XXXXXX", 23);
	assert_non_null(mkdtemp(bench->folder));
	bench->ops.size = sizeof(bench->ops);
	bench->remote = (struct dw_remote){.size = sizeof(bench->remote),
					   .ops = &bench->ops,
					   .flags = DW_REMOTE_FOLDS_CASE,
					   .root = "0",
					   .account = "me"};
	bench->host = (struct dw_host){.size = sizeof(bench->host), .log = host_log, .keep = host_keep};
	bench->cache.host = &bench->host;
	bench->cache.remote = &bench->remote;
	bench->cache.uid = 1000;
	bench->cache.gid = 1000;
	bench->cache.unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	atomic_store(&bench->cache.generation, 1);
	assert_int_equal(database_open(&bench->cache.database, bench->folder, log_line, NULL), 0);
	assert_int_equal(rows_start(&bench->cache.rows), 0);
	assert_int_equal(active_start(&bench->cache.active, &bench->cache), 0);
	connection = database_write(bench->cache.database);
	assert_int_equal(nodes_make_root(connection, &bench->cache), 0);
	assert_int_equal(database_run(connection, database_statement(connection, "UPDATE node SET listed = 1")), 0);
	assert_int_equal(database_commit(connection), 0);
	*state = bench;
	return 0;
}

static int unmake(void **state)
{
	struct bench *bench = *state;
	char command[512];

	active_stop(bench->cache.active);
	rows_stop(bench->cache.rows);
	database_close(bench->cache.database);
	freelocale(bench->cache.unicode);
	snprintf(command, sizeof(command), "rm -rf %s", bench->folder);
	assert_int_equal(system(command), 0);
	free(bench);
	free(region);
	return 0;
}

static struct dw_remote_item item(const char *id, const char *parent, const char *name, enum dw_remote_type type,
				  const char *version)
{
	return (struct dw_remote_item){.size = sizeof(struct dw_remote_item),
				       .type = type,
				       .id = id,
				       .parent = parent,
				       .name = name,
				       .etag = version,
				       .content = type == DW_REMOTE_FILE ? version : "",
				       .bytes = type == DW_REMOTE_FILE ? 5 : 0,
				       .rights = 15,
				       .properties_known = true};
}

static void tell(struct bench *bench, struct dw_remote_item one)
{
	struct absorb *absorb;

	assert_int_equal(absorb_begin(&absorb, &bench->cache), 0);
	assert_int_equal(absorb_item(absorb, 0, &one), 0);
	assert_int_equal(absorb_finish(absorb), 0);
}

static void tell_gone(struct bench *bench, const char *id)
{
	struct absorb *absorb;

	assert_int_equal(absorb_begin(&absorb, &bench->cache), 0);
	assert_int_equal(absorb_gone(absorb, id), 0);
	assert_int_equal(absorb_finish(absorb), 0);
}

/* The row called name in parent; its id, 0: none. */
static uint64_t look(struct bench *bench, uint64_t parent, const char *name, struct node_row *row)
{
	struct database_connection *connection = database_read(bench->cache.database);
	int ret = nodes_find(connection, &bench->cache, parent, name, row);

	database_read_end(connection);
	assert_true(ret == 0 || ret == -ENOENT);
	return ret ? 0 : row->id;
}

static uint64_t make_file(struct bench *bench, uint64_t parent, const char *name, uint32_t mode)
{
	struct database_connection *connection = database_write(bench->cache.database);
	struct node_row row = {.mode = mode, .uid = 1000, .gid = 1000};
	uint64_t id = 0;

	assert_int_equal(nodes_make(connection, &bench->cache, parent, name, &row, NULL, &id), 0);
	assert_int_equal(database_commit(connection), 0);
	return id;
}

static void remove_node(struct bench *bench, const char *name)
{
	struct node_row row;
	struct database_connection *connection;

	assert_int_not_equal(look(bench, 1, name, &row), 0);
	connection = database_write(bench->cache.database);
	assert_int_equal(nodes_remove(connection, &bench->cache, &row, true), 0);
	assert_int_equal(database_commit(connection), 0);
}

static int64_t count(struct bench *bench, const char *query)
{
	struct database_connection *connection = database_read(bench->cache.database);
	sqlite3_stmt *statement = database_statement(connection, query);
	int64_t value;

	assert_int_equal(database_step(connection, statement), 1);
	value = sqlite3_column_int64(statement, 0);
	database_read_end(connection);
	return value;
}

static void names_fold_and_are_found_exactly(void **state)
{
	struct bench *bench = *state;
	struct database_connection *connection;
	struct node_row row = {.mode = NODE_FILE_MODE};
	char fold[NODE_FOLD_SIZE];
	uint64_t id;

	make_file(bench, 1, "Ärger.TXT", NODE_FILE_MODE);
	assert_int_not_equal(look(bench, 1, "Ärger.TXT", &row), 0);
	assert_int_equal(look(bench, 1, "ärger.txt", &row), 0);
	connection = database_write(bench->cache.database);
	assert_int_equal(nodes_holder(connection, &bench->cache, 1, "äRGER.txt", &row), 0);
	assert_int_equal(nodes_make(connection, &bench->cache, 1, "ÄRGER.txt", &row, NULL, &id), -EEXIST);
	assert_int_equal(nodes_make(connection, &bench->cache, 1, "\xff\xfe", &row, NULL, &id), -EILSEQ);
	database_rollback(connection);
	assert_int_equal(nodes_fold(&bench->cache, "a\xc3", fold), 0);
}

static void a_file_saved_over_another_becomes_its_version(void **state)
{
	struct bench *bench = *state;
	struct database_connection *connection;
	struct node_item there;
	struct node_row row;
	uint64_t fresh;

	tell(bench, item("7", "0", "letter", DW_REMOTE_FILE, "v1"));
	fresh = make_file(bench, 1, "letter.tmp", NODE_FILE_MODE);
	remove_node(bench, "letter");
	assert_int_equal(count(bench, "SELECT count(*) FROM gone"), 1);
	connection = database_write(bench->cache.database);
	assert_int_equal(nodes_move(connection, &bench->cache, fresh, 1, "letter"), 0);
	assert_int_equal(database_commit(connection), 0);
	assert_int_equal(look(bench, 1, "letter", &row), fresh);
	assert_true(row.has_remote);
	assert_int_equal(row.dirty & (DIRTY_NEW | DIRTY_CONTENT | DIRTY_PLACE), DIRTY_CONTENT);
	connection = database_read(bench->cache.database);
	assert_int_equal(nodes_item(connection, fresh, &there), 0);
	database_read_end(connection);
	assert_string_equal(there.remote, "7");
	assert_string_equal(there.etag, "v1");
	assert_int_equal(count(bench, "SELECT count(*) FROM gone"), 0);
}

static void what_the_server_says_is_followed(void **state)
{
	struct bench *bench = *state;
	struct node_row row;
	uint64_t id, folder;

	tell(bench, item("1", "0", "folder", DW_REMOTE_FOLDER, "e1"));
	tell(bench, item("2", "0", "file", DW_REMOTE_FILE, "v1"));
	folder = look(bench, 1, "folder", &row);
	id = look(bench, 1, "file", &row);
	assert_int_not_equal(folder, 0);
	assert_int_equal(row.dirty, 0);
	tell(bench, item("2", "1", "moved", DW_REMOTE_FILE, "v2"));
	assert_int_equal(look(bench, 1, "file", &row), 0);
	assert_int_equal(look(bench, folder, "moved", &row), id);
	/* In a folder that was never listed nothing is kept. */
	tell(bench, item("3", "1", "unseen", DW_REMOTE_FILE, "v1"));
	assert_int_equal(look(bench, folder, "unseen", &row), 0);
	tell_gone(bench, "1");
	assert_int_equal(look(bench, 1, "folder", &row), 0);
	assert_int_equal(count(bench, "SELECT count(*) FROM node"), 1);
}

static void what_is_new_here_survives_its_folder(void **state)
{
	struct bench *bench = *state;
	struct node_row row;
	uint64_t folder, kept;

	tell(bench, item("1", "0", "folder", DW_REMOTE_FOLDER, "e1"));
	folder = look(bench, 1, "folder", &row);
	kept = make_file(bench, folder, "mine", NODE_FILE_MODE);
	tell_gone(bench, "1");
	assert_int_equal(look(bench, 1, "folder", &row), folder);
	assert_false(row.has_remote);
	assert_true(row.dirty & DIRTY_NEW);
	assert_int_equal(look(bench, folder, "mine", &row), kept);
}

static void a_folder_made_on_both_sides_is_one(void **state)
{
	struct bench *bench = *state;
	uint64_t mine = make_file(bench, 1, "both", NODE_FOLDER_MODE);
	struct node_row row;

	tell(bench, item("9", "0", "both", DW_REMOTE_FOLDER, "e1"));
	assert_int_equal(look(bench, 1, "both", &row), mine);
	assert_true(row.has_remote);
	assert_int_equal(row.dirty, 0);
	assert_int_equal(row.listed, 0);
}

static void a_file_made_on_both_sides_waits_for_the_journal(void **state)
{
	struct bench *bench = *state;
	uint64_t mine = make_file(bench, 1, "both", NODE_FILE_MODE);
	struct node_row row;

	tell(bench, item("9", "0", "both", DW_REMOTE_FILE, "v1"));
	assert_int_equal(look(bench, 1, "both", &row), mine);
	assert_false(row.has_remote);
	/* When it goes, what it hid comes to light. */
	remove_node(bench, "both");
	assert_int_equal(count(bench, "SELECT listed FROM node WHERE id = 1"), 0);
}

static void one_that_is_set_aside_gets_a_name_of_its_own(void **state)
{
	struct bench *bench = *state;
	uint64_t mine = make_file(bench, 1, "both.txt", NODE_FILE_MODE);
	struct dw_remote_item theirs = item("9", "0", "both.txt", DW_REMOTE_FILE, "v1");
	char name[NODE_NAME_SIZE];
	struct database_connection *connection;
	struct absorb *absorb;
	struct node_row row;

	assert_int_equal(absorb_begin(&absorb, &bench->cache), 0);
	assert_int_equal(absorb_aside(absorb, mine), 0);
	assert_int_equal(absorb_item(absorb, 1, &theirs), 0);
	assert_int_equal(absorb_finish(absorb), 0);
	assert_int_not_equal(look(bench, 1, "both.txt", &row), mine);
	assert_true(row.has_remote);
	connection = database_read(bench->cache.database);
	assert_int_equal(nodes_name(connection, mine, name), 0);
	database_read_end(connection);
	assert_non_null(strstr(name, "both (conflicted copy "));
	assert_string_equal(name + strlen(name) - 4, ".txt");
	assert_int_equal(count(bench, "SELECT count(*) FROM conflict"), 1);
}

static void an_answer_to_what_was_removed_is_removed(void **state)
{
	struct bench *bench = *state;
	uint64_t mine = make_file(bench, 1, "short-lived", NODE_FILE_MODE);
	struct dw_remote_item answer = item("5", "0", "short-lived", DW_REMOTE_FILE, "v1");
	struct absorb *absorb;
	struct node_row row;

	remove_node(bench, "short-lived");
	assert_int_equal(absorb_begin(&absorb, &bench->cache), 0);
	assert_int_equal(absorb_answer(absorb, mine, 1, DIRTY_NEW | DIRTY_CONTENT, &answer), 0);
	assert_int_equal(absorb_finish(absorb), 0);
	assert_int_equal(count(bench, "SELECT count(*) FROM gone"), 1);
	tell(bench, answer);
	assert_int_equal(look(bench, 1, "short-lived", &row), 0);
}

static void hostile_items_do_no_harm(void **state)
{
	struct bench *bench = *state;
	static const char *const names[] = {"", ".", "..", "../x", "a/b", "\xff", "\xf0\x9f\x98", NULL};
	char longest[400];

	for (size_t i = 0; names[i]; i++)
		tell(bench, item("66", "0", names[i], DW_REMOTE_FILE, "v"));
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	tell(bench, item("66", "0", longest, DW_REMOTE_FILE, "v"));
	tell(bench, item("0", "0", "root", DW_REMOTE_FOLDER, "v"));
	assert_int_equal(count(bench, "SELECT count(*) FROM node"), 1);
	/* A circle. */
	tell(bench, item("1", "0", "a", DW_REMOTE_FOLDER, "1"));
	assert_int_equal(count(bench, "SELECT count(*) FROM node"), 2);
	tell(bench, item("1", "1", "a", DW_REMOTE_FOLDER, "2"));
	assert_int_equal(count(bench, "SELECT count(*) FROM node WHERE parent = id"), 0);
	/* One name for two, one id for two kinds. */
	tell(bench, item("2", "0", "same", DW_REMOTE_FILE, "1"));
	tell(bench, item("3", "0", "SAME", DW_REMOTE_FILE, "1"));
	tell(bench, item("3", "0", "SAME", DW_REMOTE_FOLDER, "1"));
	assert_int_equal(count(bench, "SELECT count(*) FROM node WHERE parent = 1"), 2);
}

static void properties_come_back_as_they_went(void **state)
{
	struct bench *bench = *state;
	uint64_t id = make_file(bench, 1, "file", DW_MODE_FILE | 0755);
	static const char long_name[] = "user.a-name-that-is-much-longer-than-what-a-key-of-a-property-may-be-at-most";
	struct database_connection *connection = database_write(bench->cache.database);
	struct properties_facts facts;
	struct properties_change change;
	sqlite3_stmt *put;
	char *set, *again;

	for (int i = 0; i < 2; i++) {
		const char *name = i ? long_name : "user.x y";

		put = database_statement(connection, "INSERT INTO xattr VALUES(?, ?, ?)");
		sqlite3_bind_int64(put, 1, (int64_t)id);
		sqlite3_bind_blob(put, 2, name, (int)strlen(name), SQLITE_STATIC);
		sqlite3_bind_blob(put, 3, "\0\1\2\377", 4, SQLITE_STATIC);
		assert_int_equal(database_run(connection, put), 0);
	}
	assert_int_equal(properties_want(connection, &bench->cache, id, &set), 0);
	properties_read(set, &facts);
	assert_true(facts.has_mode && facts.mode == (DW_MODE_FILE | 0755) && !facts.has_owner);
	assert_int_equal(properties_store_xattrs(connection, id, set), 0);
	assert_int_equal(properties_want(connection, &bench->cache, id, &again), 0);
	assert_string_equal(set, again);
	assert_int_equal(properties_difference(set, again, &change), 0);
	assert_int_equal(change.count, 0);
	properties_change_free(&change);
	assert_int_equal(properties_difference("dw.mode=100755\ndw.old=1\n", "dw.mode=100644\n", &change), 0);
	assert_int_equal(change.count, 2);
	assert_string_equal(change.list[0].value, "100644");
	assert_string_equal(change.list[1].key, "dw.old");
	assert_null(change.list[1].value);
	properties_change_free(&change);
	free(set);
	free(again);
	database_rollback(connection);
}

static void a_request_is_known_again(void **state)
{
	struct bench *bench = *state;
	struct database_connection *connection = database_write(bench->cache.database);
	uint64_t node = 0;
	int64_t value = 0;

	assert_int_equal(nodes_done(connection, 77, &node, &value), 0);
	assert_int_equal(nodes_set_done(connection, 77, 5, -2), 0);
	assert_int_equal(nodes_done(connection, 77, &node, &value), 1);
	assert_true(node == 5 && value == -2);
	assert_int_equal(nodes_done(connection, 77 + 4096, &node, &value), 0);
	database_rollback(connection);
}

/* Items of a folder that was never listed are put in at once, but not over what is known of them. */
static void a_first_page_respects_what_is_here(void **state)
{
	const struct dw_remote_item page[] = {
		item("10", "0", "a", DW_REMOTE_FILE, "v1"),	  item("11", "0", "folder", DW_REMOTE_FOLDER, "e1"),
		item("12", "0", "no/name", DW_REMOTE_FILE, "v1"), item("13", "0", "b", DW_REMOTE_FILE, "v1"),
		item("14", "0", "mine", DW_REMOTE_FILE, "v1"),	  item("5", "0", "here", DW_REMOTE_FILE, "v1"),
		item("7", "0", "removed", DW_REMOTE_FILE, "v1"),
	};
	struct bench *bench = *state;
	struct database_connection *connection;
	struct node_row row;
	uint64_t mine, moved;

	tell(bench, item("1", "0", "other", DW_REMOTE_FOLDER, "e1"));
	tell(bench, item("5", "0", "there", DW_REMOTE_FILE, "v1"));
	moved = look(bench, 1, "there", &row);
	mine = make_file(bench, 1, "Mine", NODE_FILE_MODE);
	for (unsigned round = 0; round < 2; round++) {
		struct absorb *absorb;

		connection = database_write(bench->cache.database);
		assert_int_equal(database_run(connection, database_statement(connection, "UPDATE node SET listed = 0")),
				 0);
		assert_int_equal(database_commit(connection), 0);
		assert_int_equal(absorb_begin(&absorb, &bench->cache), 0);
		assert_int_equal(absorb_from_listing(absorb, 1, 1), 0);
		/* The first time the page ends before the item that is removed between the two. */
		for (size_t i = 0; i < sizeof(page) / sizeof(*page) - !round; i++)
			assert_int_equal(absorb_item(absorb, 1, &page[i]), 0);
		assert_int_equal(absorb_finish(absorb), 0);
		assert_int_not_equal(look(bench, 1, "a", &row), 0);
		assert_true(row.has_remote && row.size == 5 && row.dirty == 0);
		assert_int_not_equal(look(bench, 1, "folder", &row), 0);
		assert_true(node_is_folder(&row) && row.size == 0);
		assert_int_not_equal(look(bench, 1, "b", &row), 0);
		assert_int_equal(look(bench, 1, "Mine", &row), mine);
		assert_false(row.has_remote);
		assert_int_equal(count(bench, "SELECT count(*) FROM node WHERE hides"), 1);
		assert_int_equal(look(bench, 1, "here", &row), moved);
		assert_int_equal(look(bench, 1, "there", &row), 0);
		assert_int_equal(look(bench, 1, "removed", &row), 0);
		assert_int_equal(count(bench, "SELECT count(*) FROM node"), 7);
		if (!round) {
			tell(bench, item("7", "0", "removed", DW_REMOTE_FILE, "v1"));
			/* What the feed tells of a folder that was never listed is not kept. */
			assert_int_equal(look(bench, 1, "removed", &row), 0);
			connection = database_write(bench->cache.database);
			assert_int_equal(
				database_run(connection,
					     database_statement(connection, "INSERT INTO buried VALUES(x'37')")),
				0);
			assert_int_equal(database_commit(connection), 0);
		}
	}
	assert_int_equal(count(bench, "SELECT count(*) FROM node WHERE remote = x'3130' AND remote_parent = x'30' AND "
				      "remote_name = x'61' AND etag = x'7631' AND version = x'7631' AND "
				      "remote_size = 5 AND rights = 15"),
			 1);
}

/* Changes that are committed past database_commit, as nobody does, are not seen before something else is committed. */
static void a_row_is_remembered_until_something_is_committed(void **state)
{
	struct bench *bench = *state;
	uint64_t id = make_file(bench, 1, "a", DW_MODE_FILE | 0644), other;
	struct database_connection *connection;
	struct node_row row;

	assert_int_equal(rows_read(&bench->cache, id, &row), 0);
	assert_int_equal(row.mode, DW_MODE_FILE | 0644);
	connection = database_write(bench->cache.database);
	assert_int_equal(database_run(connection, database_statement(connection, "UPDATE node SET size = 7")), 0);
	assert_int_equal(database_run(connection, database_statement(connection, "COMMIT")), 0);
	assert_int_equal(database_run(connection, database_statement(connection, "BEGIN")), 0);
	database_rollback(connection);
	assert_int_equal(rows_read(&bench->cache, id, &row), 0);
	assert_int_equal(row.size, 0);
	other = make_file(bench, 1, "b", DW_MODE_FILE | 0600);
	assert_int_equal(rows_read(&bench->cache, id, &row), 0);
	assert_int_equal(row.size, 7);
	assert_int_equal(rows_read(&bench->cache, other, &row), 0);
	assert_int_equal(row.id, other);
	remove_node(bench, "a");
	assert_int_equal(rows_read(&bench->cache, id, &row), 0);
	assert_int_equal(row.parent, 0);
	assert_int_equal(rows_read(&bench->cache, 1u << 20, &row), -ENOENT);
	assert_int_equal(rows_read(&bench->cache, other, &row), 0);
	assert_int_equal(row.mode, DW_MODE_FILE | 0600);
}

static void read_row(struct bench *bench, uint64_t id, struct node_row *row)
{
	struct database_connection *connection = database_glance(bench->cache.database);

	assert_int_equal(nodes_read(connection, id, row), 0);
	database_read_end(connection);
}

static void test_bytes(void **state)
{
	struct bench *bench = *state;
	uint64_t id = make_file(bench, DW_NODE_ROOT, "file", NODE_FILE_MODE);
	struct database_connection *connection;
	struct node_row row, before;

	connection = database_write(bench->cache.database);
	assert_int_equal(database_run(connection, database_statement(connection, "UPDATE node SET dirty = 0")), 0);
	assert_int_equal(database_commit(connection), 0);
	read_row(bench, id, &before);
	connection = database_write(bench->cache.database);
	assert_int_equal(nodes_set_bytes(connection, id, 7, 70), 0);
	assert_int_equal(nodes_set_bytes(connection, id + 1, 7, 70), -ENOENT);
	/* Who looks meanwhile sees what is committed, and waits for nobody. */
	read_row(bench, id, &row);
	assert_int_equal(row.size, 0);
	assert_int_equal(database_commit(connection), 0);
	read_row(bench, id, &row);
	assert_int_equal(row.size, 7);
	assert_int_equal(row.mtime, 70);
	assert_int_equal(row.dirty, DIRTY_CONTENT);
	assert_int_equal(row.change, before.change + 1);
	assert_true(row.since >= before.since && row.ctime >= before.ctime);
	/* An orphan keeps its bytes to itself. */
	connection = database_write(bench->cache.database);
	assert_int_equal(nodes_remove(connection, &bench->cache, &row, true), 0);
	assert_int_equal(database_commit(connection), 0);
	read_row(bench, id, &before);
	connection = database_write(bench->cache.database);
	assert_int_equal(nodes_set_bytes(connection, id, 9, 90), 0);
	assert_int_equal(database_commit(connection), 0);
	read_row(bench, id, &row);
	assert_int_equal(row.size, 9);
	assert_int_equal(row.dirty, 0);
	assert_int_equal(row.change, before.change);
	assert_int_equal(row.since, before.since);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bytes),
		TEST(names_fold_and_are_found_exactly),
		TEST(a_file_saved_over_another_becomes_its_version),
		TEST(what_the_server_says_is_followed),
		TEST(what_is_new_here_survives_its_folder),
		TEST(a_folder_made_on_both_sides_is_one),
		TEST(a_file_made_on_both_sides_waits_for_the_journal),
		TEST(one_that_is_set_aside_gets_a_name_of_its_own),
		TEST(an_answer_to_what_was_removed_is_removed),
		TEST(hostile_items_do_no_harm),
		TEST(properties_come_back_as_they_went),
		TEST(a_request_is_known_again),
		TEST(a_first_page_respects_what_is_here),
		TEST(a_row_is_remembered_until_something_is_committed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
