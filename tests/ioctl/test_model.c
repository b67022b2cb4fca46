/* SPDX-License-Identifier: MIT */
/*
 * Random requests against a small model of a Windows file system, which says what each has to answer: names without
 * regard to case that keep the letters they were given, dispositions, deletion, renaming, contents, listings; with a
 * restart of the service now and then.
 *
 *    test_ioctl_model [SEED [STEPS]]
 */
#include "tests/ioctl/harness.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS	 6000u
#define ENTRIES	 64u
#define CONTENT	 64u
#define NAMES	 4u
#define NONE	 (-1)
#define PATH_BAD (-2)

struct entry {
	bool used;
	bool folder;
	int parent;
	char name[8];
	uint32_t size;
	char content[CONTENT];
};

static struct entry model[ENTRIES]; /* [0] is the root */
static struct harness harness;
static struct answer answer;
static uint64_t seed, random_state;
static unsigned step;

static uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % below;
}

static void require(bool truth, const char *what, const char *path, uint32_t got, uint32_t expected)
{
	if (truth)
		return;
	fprintf(stderr, "seed %llu, step %u: %s of %s: 0x%08x, and 0x%08x by the model\n", (unsigned long long)seed,
		step, what, path, got, expected);
	exit(1);
}

/* --- The model --- */

static bool same(const char *a, const char *b)
{
	while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b))
		a++, b++;
	return !*a && !*b;
}

static int child(int parent, const char *name)
{
	for (int i = 1; i < (int)ENTRIES; i++)
		if (model[i].used && model[i].parent == parent && same(model[i].name, name))
			return i;
	return NONE;
}

/* The entry at path, NONE or PATH_BAD; its folder and last name. */
static int resolve(const char *path, int *parent, char name[8])
{
	int at = 0;

	*parent = NONE;
	for (const char *p = path; *p;) {
		size_t length = strcspn(p + 1, "\\");

		if (at == NONE || !model[at].folder)
			return PATH_BAD;
		memcpy(name, p + 1, length);
		name[length] = '\0';
		*parent = at;
		at = child(at, name);
		p += 1 + length;
	}
	return at;
}

static bool is_empty(int folder)
{
	for (int i = 1; i < (int)ENTRIES; i++)
		if (model[i].used && model[i].parent == folder)
			return false;
	return true;
}

static int add(int parent, const char *name, bool folder)
{
	for (int i = 1; i < (int)ENTRIES; i++) {
		if (model[i].used)
			continue;
		model[i] = (struct entry){.used = true, .folder = folder, .parent = parent};
		memcpy(model[i].name, name, strlen(name) + 1);
		return i;
	}
	return NONE;
}

static bool is_full(void)
{
	for (int i = 1; i < (int)ENTRIES; i++)
		if (!model[i].used)
			return false;
	return true;
}

static bool is_within(int entry, int folder)
{
	for (; entry != NONE && entry != 0; entry = model[entry].parent)
		if (entry == folder)
			return true;
	return false;
}

static void some_path(char out[32])
{
	size_t length = 0;

	for (uint32_t left = 1 + draw(3); left; left--) {
		char letter = (char)('a' + draw(NAMES));

		out[length++] = '\\';
		out[length++] = draw(2) ? letter : (char)toupper(letter);
		if (draw(3) == 0)
			out[length++] = letter;
	}
	out[length] = '\0';
}

/* --- Steps --- */

static uint32_t expect_create(const char *path, uint32_t disposition, uint32_t options, uint32_t *information)
{
	bool overwrites = disposition == FILE_SUPERSEDE || disposition >= FILE_OVERWRITE;
	int parent, at;
	char name[8];

	if (overwrites && (options & FILE_DIRECTORY_FILE))
		return (uint32_t)STATUS_INVALID_PARAMETER;
	at = resolve(path, &parent, name);
	if (at == PATH_BAD)
		return (uint32_t)STATUS_OBJECT_PATH_NOT_FOUND;
	if (at == NONE) {
		if (disposition == FILE_OPEN || disposition == FILE_OVERWRITE)
			return (uint32_t)STATUS_OBJECT_NAME_NOT_FOUND;
		add(parent, name, options & FILE_DIRECTORY_FILE);
		*information = FILE_CREATED;
		return 0;
	}
	if (disposition == FILE_CREATE)
		return (uint32_t)STATUS_OBJECT_NAME_COLLISION;
	if (model[at].folder && (options & FILE_NON_DIRECTORY_FILE))
		return (uint32_t)STATUS_FILE_IS_A_DIRECTORY;
	if (!model[at].folder && (options & FILE_DIRECTORY_FILE))
		return (uint32_t)STATUS_NOT_A_DIRECTORY;
	if (overwrites && model[at].folder)
		return (uint32_t)STATUS_OBJECT_NAME_COLLISION;
	if (overwrites)
		model[at].size = 0;
	*information = disposition == FILE_SUPERSEDE ? FILE_SUPERSEDED : overwrites ? FILE_OVERWRITTEN : FILE_OPENED;
	return 0;
}

static void step_create(void)
{
	static const uint32_t kinds[] = {0, 0, FILE_DIRECTORY_FILE, FILE_NON_DIRECTORY_FILE};
	const struct opening as = {.disposition = draw(6), .options = kinds[draw(4)]};
	uint32_t expected, information = 0;
	int32_t status;
	char path[32];

	some_path(path);
	if (is_full())
		return;
	expected = expect_create(path, as.disposition, as.options, &information);
	status = send_create(&harness, path, &as, &answer);
	require((uint32_t)status == expected, "create", path, (uint32_t)status, expected);
	if (status)
		return;
	require(answer.out.u.created.information == information, "what create did", path,
		answer.out.u.created.information, information);
	uint64_t file = answer.out.u.created.file;
	if (information == FILE_SUPERSEDED || information == FILE_OVERWRITTEN) {
		status = send_simple(&harness, FS_OVERWRITE, file, &answer);
		require(!status && answer.out.file.size == 0, "overwrite", path, (uint32_t)status, 0);
	}
	require(!send_close(&harness, file), "close", path, 1, 0);
}

static void step_write(void)
{
	const struct opening as = {.disposition = FILE_OPEN, .options = FILE_NON_DIRECTORY_FILE};
	uint32_t offset = draw(40), length = 1 + draw(16);
	int parent, at;
	char path[32], name[8], bytes[16];
	uint64_t file;

	some_path(path);
	at = resolve(path, &parent, name);
	if (at < 0 || model[at].folder)
		return;
	require(!send_create(&harness, path, &as, &answer), "open", path, (uint32_t)answer.out.status, 0);
	file = answer.out.u.created.file;
	memset(bytes, 'a' + (int)draw(26), sizeof(bytes));
	if (draw(4) == 0 && model[at].size + length <= CONTENT) {
		offset = model[at].size;
		require(!send_write(&harness, file, 1000, bytes, length, FS_IO_APPEND, NULL), "append", path, 1, 0);
	} else {
		require(!send_write(&harness, file, offset, bytes, length, 0, NULL), "write", path, 1, 0);
	}
	if (offset > model[at].size)
		memset(model[at].content + model[at].size, 0, offset - model[at].size);
	memcpy(model[at].content + offset, bytes, length);
	if (model[at].size < offset + length)
		model[at].size = offset + length;
	require(!send_read(&harness, file, 0, CONTENT + 1, &answer), "read", path, (uint32_t)answer.out.status, 0);
	require(answer.out.data == model[at].size && !memcmp(answer.data, model[at].content, model[at].size),
		"contents", path, answer.out.data, model[at].size);
	require(!send_close(&harness, file), "close", path, 1, 0);
}

static void step_delete(void)
{
	uint32_t expected = 0;
	int32_t status;
	int parent, at;
	char path[32], name[8];

	some_path(path);
	at = resolve(path, &parent, name);
	if (at == PATH_BAD)
		expected = (uint32_t)STATUS_OBJECT_PATH_NOT_FOUND;
	else if (at == NONE)
		expected = (uint32_t)STATUS_OBJECT_NAME_NOT_FOUND;
	else if (model[at].folder && !is_empty(at))
		expected = (uint32_t)STATUS_DIRECTORY_NOT_EMPTY;
	else
		model[at].used = false;
	status = delete_at(&harness, path);
	require((uint32_t)status == expected, "delete", path, (uint32_t)status, expected);
}

static uint32_t expect_rename(int from, const char *to, uint32_t flags)
{
	int parent, at;
	char name[8];

	at = resolve(to, &parent, name);
	if (at == PATH_BAD)
		return (uint32_t)STATUS_OBJECT_PATH_NOT_FOUND;
	if (at != NONE && at != from) {
		if (!(flags & FS_RENAME_REPLACE))
			return (uint32_t)STATUS_OBJECT_NAME_COLLISION;
		if (model[at].folder || model[from].folder)
			return (uint32_t)STATUS_ACCESS_DENIED;
		model[at].used = false;
	} else if (at == NONE && is_within(parent, from)) {
		return (uint32_t)STATUS_INVALID_PARAMETER;
	}
	model[from].parent = parent;
	memcpy(model[from].name, name, sizeof(name));
	return 0;
}

static void step_rename(void)
{
	const struct opening as = {.disposition = FILE_OPEN, .access = DELETE};
	uint32_t flags = draw(2) ? FS_RENAME_REPLACE : 0, expected;
	int32_t status;
	int parent, from;
	char path[32], to[32], name[8];

	some_path(path);
	some_path(to);
	from = resolve(path, &parent, name);
	if (from < 0)
		return;
	expected = expect_rename(from, to, flags);
	require(!send_create(&harness, path, &as, &answer), "open", path, (uint32_t)answer.out.status, 0);
	status = send_rename(&harness, answer.out.u.created.file, path, to, flags);
	require((uint32_t)status == expected, "rename", path, (uint32_t)status, expected);
	require(!send_close(&harness, answer.out.u.created.file), "close", path, 1, 0);
}

static void step_list(int folder, const char *path)
{
	char names[1024], wanted[16];
	size_t length = 0;

	list_names(&harness, path, "", 100 + draw(500), names, sizeof(names));
	length = folder ? 6 : 0;
	require(!folder || !strncmp(names, ".|..|", 5), "dots", path, 0, 0);
	for (int i = 1; i < (int)ENTRIES; i++) {
		if (!model[i].used || model[i].parent != folder)
			continue;
		snprintf(wanted, sizeof(wanted), "|%s|", model[i].name);
		length += strlen(model[i].name) + 1;
		/* The first name has no '|' before it. */
		require(strstr(names, wanted) || !strncmp(names, wanted + 1, strlen(wanted) - 1), "listing", path, 0,
			(uint32_t)i);
	}
	require(strlen(names) == length - (folder ? 1 : 0), "length of the listing", path, (uint32_t)strlen(names),
		(uint32_t)length);
}

static void step_list_some(void)
{
	int parent, at;
	char path[32], name[8];

	some_path(path);
	at = resolve(path, &parent, name);
	if (at > 0 && model[at].folder)
		step_list(at, path);
	else
		step_list(0, "\\");
}

int main(int count, char **arguments)
{
	unsigned steps = count > 2 ? (unsigned)strtoul(arguments[2], NULL, 0) : STEPS;

	seed = count > 1 ? strtoull(arguments[1], NULL, 0) : 7;
	random_state = seed * 0x9e3779b97f4a7c15u + 1;
	model[0] = (struct entry){.used = true, .folder = true, .parent = NONE};
	harness_create(&harness);
	for (step = 0; step < steps; step++) {
		switch (draw(16)) {
		case 0:
		case 1:
		case 2:
		case 3:
		case 4:
			step_create();
			break;
		case 5:
		case 6:
			step_delete();
			break;
		case 7:
		case 8:
		case 9:
		case 10:
			step_rename();
			break;
		case 11:
			step_list_some();
			break;
		case 12:
			if (draw(50) == 0)
				harness_restart(&harness);
			break;
		default:
			step_write();
			break;
		}
	}
	step_list(0, "\\");
	harness_destroy(&harness);
	printf("%u steps, seed %llu\n", steps, (unsigned long long)seed);
	return 0;
}
