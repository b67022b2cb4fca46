/* SPDX-License-Identifier: MIT */
/* Dispatch and replies without a kernel: what is hard to bring about on a mounted drive. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/fuse/request.h"
#include "fake_fs.h"
#include "messages.h"

/* As in the value of system.posix_acl_access. */
struct acl_entry {
	uint16_t tag, permissions;
	uint32_t id;
};

static struct fake_state *state;
static struct fake_fs fake;
static struct drive drive;
static struct region_slot slot;
static char *buffer;
static uint32_t interrupted;

static int set_up(void **unused)
{
	state = calloc(1, sizeof(*state));
	buffer = aligned_alloc(4096, REGION_BUFFER);
	if (!state || !buffer)
		return -1;
	fake_state_init(state, false);
	fake_fs_init(&fake, state, DW_FS_NOWAIT);
	drive_prepare(&drive, &fake.base, false);
	return 0;
}

static int tear_down(void **unused)
{
	free(state);
	free(buffer);
	return 0;
}

static struct call call_of(uint32_t opcode, uint64_t node)
{
	memset(&slot.notes, 0, sizeof(slot.notes));
	return (struct call){
		.drive = &drive,
		.slot = &slot,
		.buffer = buffer,
		.req = {.size = sizeof(struct dw_request), .notes = &slot.notes, .interrupted = &interrupted},
		.message = {.opcode = opcode, .node = node},
	};
}

static void device_numbers(void **unused)
{
	static const uint32_t majors[] = {0, 1, 255, 256, 4095}, minors[] = {0, 1, 255, 256, 70000, 0xfffff};

	for (size_t i = 0; i < sizeof(majors) / sizeof(majors[0]); i++)
		for (size_t j = 0; j < sizeof(minors) / sizeof(minors[0]); j++) {
			uint32_t major, minor;

			reply_device_unpack(reply_device_pack(majors[i], minors[j]), &major, &minor);
			assert_int_equal(major, majors[i]);
			assert_int_equal(minor, minors[j]);
		}
}

static void errors_that_the_kernel_takes(void **unused)
{
	assert_int_equal(reply_error(0), 0);
	assert_int_equal(reply_error(-ENOENT), -ENOENT);
	assert_int_equal(reply_error(-511), -511);
	assert_int_equal(reply_error(-512), -EIO);
	assert_int_equal(reply_error(7), -EIO);
	assert_int_equal(reply_error(INT32_MIN), -EIO);
}

static void names_that_are_not_there(void **unused)
{
	struct call call = call_of(FUSE_LOOKUP, 1);
	const struct fuse_entry_out *out = (const void *)slot.reply;

	call.message.name = "none";
	assert_int_equal(dispatch(&call), -ENOENT);
	fake.base.negative_timeout = 2500000000u;
	drive_prepare(&drive, &fake.base, false);
	assert_int_equal(dispatch(&call), 0);
	assert_int_equal(slot.reply_size, sizeof(*out));
	assert_int_equal(out->nodeid, 0);
	assert_int_equal(out->entry_valid, 2);
	assert_int_equal(out->entry_valid_nsec, 500000000);
}

static void default_timeouts(void **unused)
{
	struct call call = call_of(FUSE_LOOKUP, 1);
	const struct fuse_entry_out *out = (const void *)slot.reply;

	fake.base.entry_timeout = 1000000001u;
	fake.base.attr_timeout = 3000000000u;
	drive_prepare(&drive, &fake.base, false);
	fake_add(state, "name", DW_MODE_FILE | 0600, "abc");
	call.message.name = "name";
	assert_int_equal(dispatch(&call), 0);
	assert_int_equal(out->entry_valid, 1);
	assert_int_equal(out->entry_valid_nsec, 1);
	assert_int_equal(out->attr_valid, 3);
	assert_int_equal(out->attr.size, 3);
	assert_int_equal(out->attr.blksize, 4096);
}

/* Read-only by either word: no call is made. */
static void read_only(void **unused)
{
	static const uint32_t changes[] = {FUSE_SETATTR,     FUSE_SYMLINK,  FUSE_MKNOD,	    FUSE_MKDIR,
					   FUSE_UNLINK,	     FUSE_RMDIR,    FUSE_RENAME,    FUSE_LINK,
					   FUSE_WRITE,	     FUSE_SETXATTR, FUSE_CREATE,    FUSE_RENAME2,
					   FUSE_REMOVEXATTR, FUSE_TMPFILE,  FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE};

	drive_prepare(&drive, &fake.base, true);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct call call = call_of(changes[i], 1);

		call.message.name = "name";
		call.message.name2 = "other";
		assert_int_equal(dispatch(&call), -EROFS);
	}
	assert_int_equal(atomic_load(&state->made), 0);
}

static int not_implemented(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			   uint64_t owner)
{
	return -ENOSYS;
}

/* A missing member is missing for good; a file system's own -ENOSYS is not. */
static void missing_or_not(void **unused)
{
	struct call call = call_of(FUSE_FLUSH, 1);

	assert_int_equal(dispatch(&call), -ENOSYS);
	fake.ops.flush = not_implemented;
	drive_prepare(&drive, &fake.base, false);
	assert_int_equal(dispatch(&call), -EOPNOTSUPP);
}

static void owner_change(void **unused)
{
	uint64_t file = fake_add(state, "file", DW_MODE_FILE | DW_MODE_SETUID | 0755, "");
	uint64_t folder = fake_add(state, "folder", DW_MODE_FOLDER | DW_MODE_SETGID | 0755, NULL);
	struct call call = call_of(FUSE_SETATTR, file);

	drive.flags = FUSE_HANDLE_KILLPRIV_V2;
	call.message.in.setattr.valid = FATTR_UID;
	call.message.in.setattr.uid = 5;
	assert_int_equal(dispatch(&call), 0);
	assert_int_equal(state->nodes[file].attr.mode, DW_MODE_FILE | 0755);
	assert_int_equal(state->nodes[file].attr.uid, 5);
	call.message.node = folder;
	assert_int_equal(dispatch(&call), 0);
	assert_int_equal(state->nodes[folder].attr.mode, DW_MODE_FOLDER | DW_MODE_SETGID | 0755);
}

static void truncating_open_clears(void **unused)
{
	uint64_t file = fake_add(state, "file", DW_MODE_FILE | DW_MODE_SETUID | 0755, "text");
	struct call call = call_of(FUSE_OPEN, file);

	call.message.in.open.flags = DW_O_WRONLY | DW_O_TRUNC;
	call.message.in.open.open_flags = FUSE_OPEN_KILL_SUIDGID;
	call.req.flags = DW_REQUEST_NOWAIT;
	assert_int_equal(dispatch(&call), -EAGAIN);
	assert_int_equal(atomic_load(&state->opened), 0);
	call.req.flags = 0;
	assert_int_equal(dispatch(&call), 0);
	assert_int_equal(state->nodes[file].attr.mode, DW_MODE_FILE | 0755);
	assert_int_equal(state->nodes[file].attr.size, 0);
}

static void set_acl(struct fake_node *node, const struct acl_entry *entries, size_t count)
{
	static const uint32_t version = 2;

	assert_true(sizeof(version) + count * sizeof(*entries) <= sizeof(node->xattr_value));
	snprintf(node->xattr_name, sizeof(node->xattr_name), "%s", "system.posix_acl_access");
	memcpy(node->xattr_value, &version, sizeof(version));
	memcpy(node->xattr_value + sizeof(version), entries, count * sizeof(*entries));
	node->xattr_size = (uint32_t)(sizeof(version) + count * sizeof(*entries));
}

static int access_of(uint64_t node, uint32_t uid, uint32_t gid, uint32_t mask)
{
	struct call call = call_of(FUSE_ACCESS, node);

	call.req.uid = uid;
	call.req.gid = gid;
	call.message.in.access.mask = mask;
	return dispatch(&call);
}

/* access(2) where the kernel does not check. Numbers that no group of this process has. */
static void access_by_mode_and_acl(void **unused)
{
	enum { OWNER = 7000001, USER, MEMBER, STRANGER, GROUP = 7000101, NAMED_GROUP };
	static const struct acl_entry entries[] = {
		{1, 6, UINT32_MAX},  {2, 7, USER},	  {4, 4, UINT32_MAX},
		{8, 3, NAMED_GROUP}, {16, 6, UINT32_MAX}, {32, 1, UINT32_MAX},
	};
	uint64_t file = fake_add(state, "file", DW_MODE_FILE | 0641, "");
	struct fake_node *node = &state->nodes[file];
	uint32_t granted[2][5] = {{0}};

	node->attr.uid = OWNER;
	node->attr.gid = GROUP;
	set_acl(node, entries, sizeof(entries) / sizeof(entries[0]));
	for (int acl = 0; acl < 2; acl++) {
		fake.base.flags = acl ? DW_FS_NOWAIT | DW_FS_ACL : DW_FS_NOWAIT;
		node->attr.mode = DW_MODE_FILE | (acl ? 0661 : 0641);
		for (uint32_t bit = 4; bit > 0; bit >>= 1) {
			granted[acl][0] |= access_of(file, OWNER, STRANGER, bit) ? 0 : bit;
			granted[acl][1] |= access_of(file, USER, STRANGER, bit) ? 0 : bit;
			granted[acl][2] |= access_of(file, MEMBER, GROUP, bit) ? 0 : bit;
			granted[acl][3] |= access_of(file, MEMBER, NAMED_GROUP, bit) ? 0 : bit;
			granted[acl][4] |= access_of(file, STRANGER, STRANGER, bit) ? 0 : bit;
		}
	}
	assert_memory_equal(granted[0], ((uint32_t[]){6, 1, 4, 1, 1}), sizeof(granted[0]));
	/* The mask, 6, takes from all but the owner and the others. */
	assert_memory_equal(granted[1], ((uint32_t[]){6, 6, 4, 2, 1}), sizeof(granted[1]));
	assert_int_equal(access_of(file, USER, GROUP, 4 | 2), 0);
	assert_int_equal(access_of(file, USER, GROUP, 4 | 1), -EACCES);
	/* No single entry grants both. */
	assert_int_equal(access_of(file, MEMBER, NAMED_GROUP, 4 | 2), -EACCES);
	assert_int_equal(access_of(file, 0, 0, 7), 0);
	/* Group bits all clear: the ACL does not count, in the kernel neither. */
	node->attr.mode = DW_MODE_FILE | 0604;
	assert_int_equal(access_of(file, USER, STRANGER, 4), 0);
	assert_int_equal(access_of(file, 0, 0, 1), -EACCES);
	/* What is no ACL counts for none. */
	node->attr.mode = DW_MODE_FILE | 0664;
	node->xattr_size = 3;
	assert_int_equal(access_of(file, STRANGER, STRANGER, 4), 0);
	node->xattr_value[0] = 3;
	node->xattr_size = 44;
	assert_int_equal(access_of(file, STRANGER, STRANGER, 4), 0);
	drive.read_only = true;
	assert_int_equal(access_of(file, OWNER, GROUP, 2), -EROFS);
	assert_int_equal(access_of(file, OWNER, GROUP, 4), 0);
}

/* A request that needs its payload a second time still has it after the reply was built. */
static void payload_stays(void **unused)
{
	struct fake_node *root = &state->nodes[1];
	struct call call = call_of(FUSE_GETXATTR, 1);

	call.ring = true;
	memcpy(buffer, "user.name", sizeof("user.name"));
	snprintf(root->xattr_name, sizeof(root->xattr_name), "%s", "user.name");
	memset(root->xattr_value, 'v', 60);
	root->xattr_size = 60;
	call.message.name = buffer;
	call.message.in.getxattr.size = 64;
	assert_int_equal(dispatch(&call), 0);
	assert_string_equal(buffer, "user.name");
	assert_int_equal(slot.reply_external, 1);
	assert_int_equal(slot.reply_size, 60);
	assert_memory_equal(buffer + slot.reply_offset, root->xattr_value, 60);
	call.message.in.getxattr.size = 0;
	assert_int_equal(dispatch(&call), 0);
	assert_int_equal(((const struct fuse_getxattr_out *)(const void *)slot.reply)->size, 60);
	call.message.in.getxattr.size = 10;
	assert_int_equal(dispatch(&call), -ERANGE);
}

/* Listing through the smallest windows gives every entry exactly once. */
static void listing_windows(void **unused)
{
	for (int plus = 0; plus < 2; plus++) {
		uint64_t offset = 0;
		unsigned seen = 0;

		for (int i = 0; i < 10; i++) {
			char name[8] = {'n', (char)('0' + i), 0};

			fake_add(state, name, DW_MODE_FILE | 0600, "");
		}
		for (;;) {
			struct call call = call_of(plus ? FUSE_READDIRPLUS : FUSE_READDIR, 1);
			const struct fuse_dirent *entry;

			call.message.in.read.offset = offset;
			call.message.in.read.size = plus ? sizeof(struct fuse_direntplus) + 8 : sizeof(*entry) + 8;
			assert_int_equal(dispatch(&call), 0);
			if (slot.reply_size == 0)
				break;
			assert_true(slot.reply_size <= call.message.in.read.size);
			entry = plus ? &((const struct fuse_direntplus *)(const void *)(buffer + slot.reply_offset))
						->dirent
				     : (const void *)(buffer + slot.reply_offset);
			offset = entry->off;
			assert_true(++seen < 20);
		}
		assert_int_equal(seen, 12);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(device_numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(errors_that_the_kernel_takes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_that_are_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(default_timeouts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(read_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(missing_or_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(owner_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(truncating_open_clears, set_up, tear_down),
		cmocka_unit_test_setup_teardown(access_by_mode_and_acl, set_up, tear_down),
		cmocka_unit_test_setup_teardown(payload_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(listing_windows, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
