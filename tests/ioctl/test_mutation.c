/* SPDX-License-Identifier: MIT */
/*
 * Requests that a hostile driver might send: sound ones of every type with random changes, in blocks of exactly their
 * size, answered into blocks of exactly the room that was said. A sanitizer sees what reads or writes outside; the test
 * sees that answers are whole, that a failure brings nothing, and that in the end nothing is held.
 *
 *    test_ioctl_mutation [SEED [ROUNDS]]
 *
 * Built with -DFUZZER it is libFuzzer's: an input is one request, whose file is one of those that are open.
 */
#include "tests/ioctl/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_FILES 8u
#define ROUNDS	   40000u
#define ROOM_MAX   4096u

static struct harness harness;
static uint64_t files[OPEN_FILES];

static void require(bool truth, const char *what)
{
	if (!truth) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

/* The drive that requests are sent to. */
static void furnish(void)
{
	harness_create(&harness);
	make_folder_at(&harness, "\\d");
	make_file_at(&harness, "\\d\\one.txt", "one");
	make_file_at(&harness, "\\two", "two");
	files[0] = open_file(&harness, "\\", FILE_OPEN, 0);
	files[1] = open_file(&harness, "\\d", FILE_OPEN, 0);
	files[2] = open_file(&harness, "\\d\\one.txt", FILE_OPEN, 0);
	files[3] = open_file(&harness, "\\two", FILE_OPEN, 0);
}

/* Send size bytes, with room for the answer. */
static void send_block(const uint8_t *bytes, size_t size, size_t room)
{
	uint8_t *block = malloc(size ? size : 1), *data = malloc(room ? room : 1);
	struct fs_response *out = malloc(sizeof(*out));
	struct fs_request in = {.size = 0};
	uint32_t ticket;
	bool failed;

	require(block && data && out, "no memory");
	memcpy(block, bytes, size);
	memcpy(&in, bytes, size < sizeof(in) ? size : sizeof(in));
	memset(out, 0x5a, sizeof(*out));
	ticket = ioctl_dispatch(harness.volume, block, size, out, data, room);
	ioctl_answered(harness.volume, ticket);
	failed = !NT_SUCCESS(out->status) && out->status != STATUS_BUFFER_OVERFLOW;
	require(out->size == sizeof(*out) && out->id == in.id && out->type == in.type, "not an answer to this");
	require(out->data <= room, "more data than room");
	require(!failed || (!out->data && !out->information && !out->file.node && !out->u.created.file),
		"a failure that brings something");
	if ((in.type == FS_CREATE || in.type == FS_REOPEN) && NT_SUCCESS(out->status) && out->u.created.file) {
		uint64_t *place = &files[4 + out->u.created.file / VOLUME_FILES % (OPEN_FILES - 4)];

		if (*place)
			(void)send_close(&harness, *place);
		*place = out->u.created.file;
	}
	free(block);
	free(data);
	free(out);
}

#ifdef FUZZER
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool furnished;
	uint8_t block[8192];
	struct fs_request in;
	size_t room;

	if (!furnished)
		furnish();
	furnished = true;
	if (size < sizeof(in) || size > sizeof(block))
		return 0;
	memcpy(block, bytes, size);
	memcpy(&in, block, sizeof(in));
	room = in.flags >> 16 & (ROOM_MAX - 1);
	in.flags &= FS_REQUEST_REPLAYED;
	in.size = (uint32_t)size;
	if (in.type != FS_CANCEL)
		in.file = files[in.file % OPEN_FILES];
	memcpy(block, &in, sizeof(in));
	send_block(block, size, room);
	return 0;
}
#else

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % below;
}

static const char *some_path(void)
{
	static const char *const paths[] = {"\\",     "\\d",	"\\D\\ONE.txt", "\\two",     "\\new",	  "\\d\\new\\",
					    "\\d\\x", "\\link", "\\d\\link",	"\\none\\x", "\\link\\x", "two",
					    ""};

	return paths[draw(sizeof(paths) / sizeof(paths[0]))];
}

/* A sound request of some type. */
static void compose(struct message *message)
{
	static const uint16_t reparse[] = {12, 0xa000, 12 + 6, 0, 0, 6, 0, 0, 1, 0, 't', 'w', 'o', 0};
	enum fs_type type = 1 + draw(FS_TYPES - 1);
	struct fs_request *in = &message->in;
	uint8_t bytes[64];

	message_begin(&harness, message, type, files[draw(OPEN_FILES)]);
	in->flags = draw(8) ? 0 : FS_REQUEST_REPLAYED;
	switch (type) {
	case FS_CREATE:
	case FS_REOPEN:
		in->u.create.access = draw(2) ? FILE_ALL_ACCESS : draw(UINT32_MAX);
		in->u.create.options = draw(4) ? 0 : draw(UINT32_MAX) & 0x201041;
		in->u.create.disposition = draw(7);
		in->u.create.attributes = draw(4) ? 0 : draw(0x10000);
		in->u.create.flags = draw(4) ? 0 : draw(8);
		in->u.create.name = message_text(message, some_path());
		in->u.create.file = type == FS_REOPEN ? files[draw(OPEN_FILES)] : 0;
		break;
	case FS_CLEANUP:
		in->u.cleanup.flags = draw(2);
		in->u.cleanup.name = message_text(message, some_path());
		break;
	case FS_READ:
	case FS_WRITE:
		in->u.io.offset = draw(4) ? draw(100) : (uint64_t)draw(UINT32_MAX) << 31;
		in->u.io.length = draw(64);
		in->u.io.flags = draw(4);
		memset(bytes, 'w', sizeof(bytes));
		in->u.io.data = message_bytes(message, bytes, in->u.io.length).offset;
		break;
	case FS_SET_SIZE:
		in->u.set_size.size = draw(2) ? draw(10000) : (uint64_t)draw(UINT32_MAX) << 31;
		in->u.set_size.what = 1 + draw(2);
		break;
	case FS_RENAME:
		in->u.rename.flags = draw(4);
		in->u.rename.from = message_text(message, some_path());
		in->u.rename.to = message_text(message, some_path());
		break;
	case FS_LIST:
		in->u.list.room = draw(ROOM_MAX);
		in->u.list.marker = draw(2) ? 0 : draw(2) ? draw(10) : UINT64_MAX - draw(4);
		in->u.list.flags = draw(2);
		in->u.list.pattern = message_text(message, draw(2) ? "*" : some_path());
		break;
	case FS_SET_LABEL:
		in->u.text = message_text(message, "label");
		break;
	case FS_SET_SECURITY:
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, "\1\0\4\200\0\0\0\0\0\0\0\0\0\0\0\0\24\0\0\0\2\0\34\0\1\0\0\0\0\0\24\0", 32);
		in->u.security.information = draw(8);
		in->u.security.descriptor = message_bytes(message, bytes, 48);
		break;
	case FS_QUERY_SECURITY:
		in->u.security.information = draw(16);
		in->u.security.room = draw(400);
		break;
	case FS_FILE_CONTROL:
		in->u.control.code = draw(3) ? FSCTL_SET_REPARSE_POINT : FSCTL_GET_REPARSE_POINT;
		in->u.control.room = draw(ROOM_MAX);
		in->u.control.input = message_bytes(message, reparse, sizeof(reparse));
		break;
	default:
		for (unsigned i = 0; i < 8; i++)
			in->u.room[i] = draw(2) ? 0 : draw(UINT32_MAX);
		break;
	}
	in->size = (uint32_t)sizeof(*in) + message->more_size;
}

/* A few bytes or numbers are others. */
static size_t spoil(uint8_t *block, size_t size)
{
	static const uint32_t numbers[] = {0, 1, 7, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff8, 0x100000};

	for (uint32_t left = draw(4); left; left--) {
		size_t at = draw((uint32_t)size);
		uint32_t number = draw(2) ? numbers[draw(8)] : (uint32_t)size + draw(32) - 16;

		if (draw(2))
			block[at] = (uint8_t)draw(256);
		else if ((at & ~(size_t)3) + 4 <= size)
			memcpy(block + (at & ~(size_t)3), &number, 4);
	}
	if (draw(16) == 0) {
		uint32_t cut = draw((uint32_t)size + 1);

		size = cut;
		if (size >= 4 && draw(2))
			memcpy(block, &cut, 4);
	}
	return size;
}

static uint64_t reopen(const char *path)
{
	static struct answer answer;
	const struct opening as = {.access = MAXIMUM_ALLOWED,
				   .disposition = FILE_OPEN_IF,
				   .options = FILE_OPEN_REPARSE_POINT,
				   .flags = FS_OPEN_CASE_SENSITIVE};

	(void)send_create(&harness, path, &as, &answer);
	return answer.out.u.created.file;
}

int main(int count, char **arguments)
{
	uint64_t seed = count > 1 ? strtoull(arguments[1], NULL, 0) : 20;
	unsigned rounds = count > 2 ? (unsigned)strtoul(arguments[2], NULL, 0) : ROUNDS;
	static struct message message;
	static uint8_t block[sizeof(struct message)];

	random_state = seed * 0x9e3779b97f4a7c15u + 1;
	furnish();
	for (unsigned i = 0; i < rounds; i++) {
		size_t size;

		compose(&message);
		size = message.in.size;
		memcpy(block, &message.in, sizeof(message.in));
		memcpy(block + sizeof(message.in), message.more, message.more_size);
		send_block(block, draw(4) ? spoil(block, size) : size, draw(8) ? ROOM_MAX : draw(ROOM_MAX));
		/* Whatever became of them: some of these are open again. */
		for (unsigned at = 0; at < 4; at++)
			if (send_query(&harness, files[at], NULL) == STATUS_INVALID_HANDLE)
				files[at] = reopen(at < 2 ? "\\" : "\\again");
	}
	harness_destroy(&harness);
	printf("%u requests, seed %llu\n", rounds, (unsigned long long)seed);
	return 0;
}
#endif
