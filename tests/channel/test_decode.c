/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "channel/fuse/decode.h"
#include "messages.h"

/* Decode the first size bytes, in memory of exactly that size so that a sanitizer sees any step beyond. */
static int decode_cut(const void *message, size_t size, bool fix_length, struct fuse_request *out)
{
	size_t body = size - sizeof(struct fuse_in_header);
	struct fuse_in_header header;
	char *exact = malloc(body ? body : 1);
	int error;

	memcpy(&header, message, sizeof(header));
	memcpy(exact, (const char *)message + sizeof(header), body);
	if (fix_length)
		header.len = (uint32_t)size;
	error = decode_run(&header, exact, body, false, out);
	free(exact);
	return error;
}

static void whole_messages(void **state)
{
	_Alignas(8) char message[MESSAGE_MAX];
	unsigned known = 0;

	for (uint32_t opcode = 0; opcode <= MESSAGE_OPCODES; opcode++) {
		const struct decode_shape *shape = decode_shape(opcode);
		struct fuse_in_header header = {.len = sizeof(header), .opcode = opcode};
		size_t size = message_make(opcode, message);
		struct fuse_request request;

		if (!size) {
			assert_int_equal(decode_run(&header, message, 0, false, &request), -ENOSYS);
			continue;
		}
		known++;
		memcpy(&header, message, sizeof(header));
		assert_int_equal(decode_run(&header, message + sizeof(header), size - sizeof(header), false, &request),
				 0);
		assert_int_equal(request.opcode, opcode);
		assert_int_equal(request.node, 1);
		if (shape->names > 0)
			assert_string_equal(request.name, "name");
		if (shape->names > 1)
			assert_string_equal(request.name2, "other");
		if (shape->data && opcode != FUSE_BATCH_FORGET) {
			assert_int_equal(request.data_size, 4);
			assert_memory_equal(request.data, "data", 4);
		}
	}
	assert_int_equal(known, 48);
	assert_null(decode_shape(UINT32_MAX)->label);
}

/* Every message cut at every length is refused, or is a shorter form that is as good. */
static void cut_messages(void **state)
{
	_Alignas(8) char message[MESSAGE_MAX];

	for (uint32_t opcode = 0; opcode <= MESSAGE_OPCODES; opcode++) {
		const struct decode_shape *shape = decode_shape(opcode);
		size_t whole = message_make(opcode, message);

		for (size_t size = sizeof(struct fuse_in_header); whole && size < whole; size++) {
			struct fuse_request request;
			int error;

			/* The header says how long it was: a cut is noticed whatever it is. */
			assert_int_equal(decode_cut(message, size, false, &request), -EINVAL);
			error = decode_cut(message, size, true, &request);
			if (opcode == FUSE_INIT && size >= sizeof(struct fuse_in_header) + shape->least)
				assert_int_equal(error, 0);
			else if (opcode == FUSE_NOTIFY_REPLY && size >= sizeof(struct fuse_in_header) + shape->whole)
				assert_int_equal(error, 0);
			else
				assert_int_equal(error, -EINVAL);
		}
	}
}

static int decode_name(uint32_t opcode, const char *name, size_t size)
{
	struct fuse_in_header header = {.opcode = opcode};
	struct fuse_request request;

	return decode_parts(&header, NULL, 0, name, size, false, &request);
}

static void names(void **state)
{
	char longest[257];

	assert_int_equal(decode_name(FUSE_LOOKUP, "a", 2), 0);
	assert_int_equal(decode_name(FUSE_LOOKUP, "...", 4), 0);
	assert_int_equal(decode_name(FUSE_LOOKUP, "", 1), -EINVAL);
	assert_int_equal(decode_name(FUSE_LOOKUP, ".", 2), -EINVAL);
	assert_int_equal(decode_name(FUSE_LOOKUP, "..", 3), -EINVAL);
	assert_int_equal(decode_name(FUSE_LOOKUP, "a/b", 4), -EINVAL);
	assert_int_equal(decode_name(FUSE_LOOKUP, "abc", 3), -EINVAL);
	assert_int_equal(decode_name(FUSE_REMOVEXATTR, "user./", 7), 0);
	assert_int_equal(decode_name(FUSE_SYMLINK, "link\0../a/b", 12), 0);
	memset(longest, 'x', sizeof(longest));
	longest[255] = '\0';
	assert_int_equal(decode_name(FUSE_LOOKUP, longest, 256), 0);
	longest[255] = 'x';
	longest[256] = '\0';
	assert_int_equal(decode_name(FUSE_LOOKUP, longest, 257), -ENAMETOOLONG);
}

/* What a length inside the message claims must be there. */
static void claims(void **state)
{
	struct fuse_in_header header = {.opcode = FUSE_WRITE};
	struct fuse_write_in write = {.size = 5};
	struct fuse_batch_forget_in batch = {.count = UINT32_MAX};
	struct fuse_setxattr_in set = {.size = 3};
	struct fuse_request request;

	assert_int_equal(decode_parts(&header, &write, sizeof(write), "1234", 4, false, &request), -EINVAL);
	assert_int_equal(decode_parts(&header, &write, sizeof(write), "12345", 5, false, &request), 0);
	header.opcode = FUSE_BATCH_FORGET;
	assert_int_equal(decode_parts(&header, &batch, sizeof(batch), "1234", 4, false, &request), -EINVAL);
	header.opcode = FUSE_SETXATTR;
	assert_int_equal(decode_parts(&header, &set, sizeof(set), "n\0ab", 4, false, &request), -EINVAL);
	assert_int_equal(decode_parts(&header, &set, sizeof(set), "n\0abc", 5, false, &request), 0);
	assert_int_equal(decode_parts(&header, &set, 8, "n\0abc", 5, false, &request), -EINVAL);
	assert_int_equal(decode_parts(&header, &set, 8, "n\0abc", 5, true, &request), 0);
	assert_int_equal(request.in.setxattr.setxattr_flags, 0);
	/* Extensions stand at the end and are not data. */
	header.opcode = FUSE_WRITE;
	header.total_extlen = 1;
	assert_int_equal(decode_parts(&header, &write, sizeof(write), "1234567890123", 13, false, &request), 0);
	assert_int_equal(request.data_size, 5);
	header.total_extlen = UINT16_MAX;
	assert_int_equal(decode_parts(&header, &write, sizeof(write), "1234567890123", 13, false, &request), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_messages),
		cmocka_unit_test(cut_messages),
		cmocka_unit_test(names),
		cmocka_unit_test(claims),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
