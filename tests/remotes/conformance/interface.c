/* SPDX-License-Identifier: MIT */
/* interface.c - what a remote says of itself, and the part that a read-only one has */
#include "suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void says_who_it_is(struct suite *suite)
{
	const struct dw_remote_provider *provider = suite->provider;
	const struct dw_remote *remote = suite->remote;

	EXPECT(provider->size >= sizeof(*provider));
	EXPECT(provider->version >> 16 == DW_REMOTE_API_VERSION >> 16);
	NEED(provider->name != NULL && provider->name[0] != '\0');
	EXPECT(strspn(provider->name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(provider->name));
	EXPECT(provider->summary != NULL && strchr(provider->summary, '\n') == NULL);
	EXPECT(remote->size >= sizeof(*remote));
	EXPECT(remote->ops->size >= offsetof(struct dw_remote_ops, check_name));
	EXPECT(remote->root != NULL && remote->root[0] != '\0' && strlen(remote->root) <= DW_REMOTE_ID_MAX);
	EXPECT(remote->account != NULL && remote->account[0] != '\0');
	EXPECT(remote->digest <= DW_REMOTE_DIGEST_MD5);
}

static void has_whole_groups(struct suite *suite)
{
	const struct dw_remote_ops *ops = suite->ops;
	int changes = (ops->upload != NULL) + (ops->mkdir != NULL) + (ops->move != NULL) + (ops->remove != NULL);
	int sessions = (ops->session_begin != NULL) + (ops->session_part != NULL) + (ops->session_parts != NULL) +
		       (ops->session_commit != NULL) + (ops->session_abort != NULL);

	EXPECT(ops->stat != NULL && ops->list != NULL && ops->read != NULL && ops->close != NULL);
	EXPECT(changes == 0 || changes == 4);
	EXPECT(sessions == 0 || sessions == 5);
	EXPECT(changes == 4 || (sessions == 0 && ops->copy == NULL && ops->set_properties == NULL));
	EXPECT(sessions == 5 || changes == 0 || suite->remote->upload_max == UINT64_MAX);
}

static void account_stays(struct suite *suite)
{
	char *account = strdup(suite->remote->account);
	char *root = strdup(suite->remote->root);

	NEED(account != NULL && root != NULL);
	suite_reopen(suite);
	EXPECT(strcmp(account, suite->remote->account) == 0);
	EXPECT(strcmp(root, suite->remote->root) == 0);
	free(account);
	free(root);
}

static void unknown_option_is_refused(struct suite *suite)
{
	struct dw_option options[33];
	struct dw_remote_source source = suite->source;
	struct dw_remote *remote = NULL;
	char error[256] = "";

	memcpy(options, source.options, source.option_count * sizeof(options[0]));
	options[source.option_count++] = (struct dw_option){.key = "no-such-option", .value = "1"};
	source.options = options;
	EXPECT_RESULT(suite->provider->open(suite->provider, &source, &remote, error, sizeof(error)), -EINVAL);
	EXPECT(error[0] != '\0' && strchr(error, '\n') == NULL);
}

static void quota_is_told(struct suite *suite)
{
	struct dw_remote_call call = call_new();
	struct dw_remote_quota quota = {0};

	if (suite->ops->quota == NULL)
		suite_skip("it has no quota");
	NEED_OK(suite->ops->quota(suite->remote, &call, &quota));
	EXPECT(quota.total > 0);
}

struct digesting {
	struct dw_remote_sink sink;
	uint64_t at;
	unsigned char *bytes;
	uint64_t room;
};

static int digesting_write(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	struct digesting *digesting = sink->context;

	NEED(offset == digesting->at && offset + size <= digesting->room);
	memcpy(digesting->bytes + offset, data, size);
	digesting->at += size;
	return 0;
}

/* Read a file whole and in three ranges: the bytes are the same. */
static void check_file(struct suite *suite, const struct item *item)
{
	struct digesting whole = {.sink = {.write = digesting_write}, .room = item->bytes};
	struct digesting parts = whole;
	uint64_t third = item->bytes / 3 + 1;

	whole.sink.context = &whole;
	parts.sink.context = &parts;
	whole.bytes = malloc(item->bytes + 1);
	parts.bytes = malloc(item->bytes + 1);
	NEED(whole.bytes != NULL && parts.bytes != NULL);
	for (int i = 0; i < 4; i++) {
		struct dw_remote_call call = call_new();
		struct digesting *one = i == 0 ? &whole : &parts;

		EXPECT_RESULT(suite->ops->read(suite->remote, &call, item->id, item->content, one->at,
					       i == 0 ? UINT64_MAX : third, &one->sink),
			      0);
	}
	EXPECT(whole.at == item->bytes && parts.at == item->bytes);
	EXPECT(memcmp(whole.bytes, parts.bytes, item->bytes) == 0);
	free(whole.bytes);
	free(parts.bytes);
}

/* What is there can be listed, asked for and read, three folders deep. */
static void check_tree(struct suite *suite, const char *folder, unsigned depth, unsigned *budget)
{
	struct item_list list;

	NEED_OK(do_list(suite, folder, &list));
	for (size_t i = 0; i<list.count && * budget> 0; i++) {
		const struct item *item = &list.items[i];
		struct item again;

		(*budget)--;
		EXPECT(item->parent[0] == '\0' || strcmp(item->parent, folder) == 0);
		if (item->type == DW_REMOTE_OTHER)
			continue;
		NEED_OK(do_stat(suite, item->id, &again));
		EXPECT(strcmp(again.id, item->id) == 0 && strcmp(again.name, item->name) == 0);
		EXPECT(again.type == item->type && strcmp(again.etag, item->etag) == 0);
		EXPECT(strcmp(again.content, item->content) == 0 && again.bytes == item->bytes);
		if (item->type == DW_REMOTE_FILE && item->bytes < (1u << 20))
			check_file(suite, item);
		if (item->type == DW_REMOTE_FOLDER && depth > 0)
			check_tree(suite, item->id, depth - 1, budget);
	}
	item_list_clear(&list);
}

static void what_is_there_can_be_read(struct suite *suite)
{
	unsigned budget = 200;

	check_tree(suite, suite->remote->root, 3, &budget);
}

static void root_is_a_folder(struct suite *suite)
{
	struct item item;

	NEED_OK(do_stat(suite, suite->remote->root, &item));
	EXPECT(item.type == DW_REMOTE_FOLDER);
	EXPECT(strcmp(item.id, suite->remote->root) == 0);
	EXPECT(item.properties_known);
}

const struct suite_case interface_cases[] = {
	{"interface_says_who_it_is", says_who_it_is, 0},
	{"interface_has_whole_groups", has_whole_groups, 0},
	{"interface_account_stays", account_stays, 0},
	{"interface_unknown_option_is_refused", unknown_option_is_refused, 0},
	{"interface_quota_is_told", quota_is_told, 0},
	{"interface_root_is_a_folder", root_is_a_folder, 0},
	{"interface_what_is_there_can_be_read", what_is_there_can_be_read, 0},
	{NULL, NULL, 0},
};
