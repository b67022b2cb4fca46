/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/scan.h"
#include "filesystems/archive/attributes.h"
#include "filesystems/archive/builder.h"
#include "filesystems/archive/reader.h"
#include "filesystems/archive/window.h"
#include "filesystems/archive/zip.h"
#include "filesystems/archive/zisofs.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERIFY_SIZE  512u
#define DRAIN_SIZE   (1u << 20)
#define EXTENTS_MAX  (1u << 20)
#define ISO_PART_MAX ((uint64_t)0xfffff800) /* a larger file may be in several pieces */

struct scan {
	const struct scan_source *source;
	struct archive *archive;
	struct builder *builder;
	struct zip_directory *directory;
	bool directory_tried;
	uint32_t ordinal; /* of the member at hand */
	struct accounts accounts;
	struct window window; /* on the base space */
	struct index_head head;
};

static void set_time(struct index_node *node, int which, int64_t seconds, long nanoseconds)
{
	node->seconds[which] = seconds;
	node->nanoseconds[which] = nanoseconds >= 0 && nanoseconds < 1000000000 ? (uint32_t)nanoseconds : 0;
}

/* The attributes of folders that are only implied: the archive file's time and owner. */
static struct index_node implied_folder(const struct stat *state)
{
	struct index_node node = {.mode = S_IFDIR | 0755, .uid = state->st_uid, .gid = state->st_gid};

	for (int i = TIME_MODIFIED; i <= TIME_CHANGED; i++)
		set_time(&node, i, state->st_mtim.tv_sec, state->st_mtim.tv_nsec);
	return node;
}

/* Formats without owners give the archive file's, so that a mode without rights for others does not lock the user out.
 */
static bool format_has_owners(int format)
{
	return format == ARCHIVE_FORMAT_TAR || format == ARCHIVE_FORMAT_CPIO || format == ARCHIVE_FORMAT_AR ||
	       format == ARCHIVE_FORMAT_ISO9660 || format == ARCHIVE_FORMAT_XAR;
}

static void scan_attributes(struct scan *scan, struct archive_entry *entry, struct index_node *node)
{
	const struct stat *state = scan->source->state;
	int format = archive_format(scan->archive) & ARCHIVE_FORMAT_BASE_MASK;

	memset(node, 0, sizeof(*node));
	node->mode = (uint16_t)(archive_entry_mode(entry) & (S_IFMT | 07777));
	switch (node->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFSOCK:
	case S_IFIFO:
		break;
	case S_IFCHR:
	case S_IFBLK:
		node->first = (uint32_t)archive_entry_rdevmajor(entry);
		node->count = (uint32_t)archive_entry_rdevminor(entry);
		break;
	default:
		node->mode = (uint16_t)(S_IFREG | (node->mode & 07777));
	}
	node->uid = (uint32_t)archive_entry_uid(entry);
	node->gid = (uint32_t)archive_entry_gid(entry);
	if (!node->uid && !node->gid && !format_has_owners(format)) {
		node->uid = state->st_uid;
		node->gid = state->st_gid;
	}
	set_time(node, TIME_MODIFIED, state->st_mtim.tv_sec, state->st_mtim.tv_nsec);
	if (archive_entry_mtime_is_set(entry))
		set_time(node, TIME_MODIFIED, archive_entry_mtime(entry), archive_entry_mtime_nsec(entry));
	set_time(node, TIME_ACCESSED, node->seconds[TIME_MODIFIED], node->nanoseconds[TIME_MODIFIED]);
	if (archive_entry_atime_is_set(entry))
		set_time(node, TIME_ACCESSED, archive_entry_atime(entry), archive_entry_atime_nsec(entry));
	set_time(node, TIME_CHANGED, node->seconds[TIME_MODIFIED], node->nanoseconds[TIME_MODIFIED]);
	if (archive_entry_ctime_is_set(entry))
		set_time(node, TIME_CHANGED, archive_entry_ctime(entry), archive_entry_ctime_nsec(entry));
	if (archive_entry_birthtime_is_set(entry))
		set_time(node, TIME_BORN, archive_entry_birthtime(entry), archive_entry_birthtime_nsec(entry));
}

/* Decode the member at hand to learn its size. What cannot be decoded ends it. */
static uint64_t scan_measure(struct scan *scan)
{
	uint64_t size = 0;
	unsigned empty = 0;
	const void *block;
	la_int64_t offset;
	size_t length;
	int result;

	while (empty < EMPTY_BLOCKS_MAX) {
		result = archive_read_data_block(scan->archive, &block, &length, &offset);
		if (result == ARCHIVE_EOF || result < ARCHIVE_WARN)
			break;
		empty = length ? 0 : empty + 1;
		if (offset >= 0 && (uint64_t)offset + length > size)
			size = (uint64_t)offset + length;
	}
	return size;
}

static int scan_zip(struct scan *scan, struct archive_entry *entry, struct index_node *node)
{
	uint64_t data = (uint64_t)archive_filter_bytes(scan->archive, 0);
	uint64_t hint = (uint64_t)archive_read_header_position(scan->archive);
	struct zip_member member;
	bool checked;
	int error;

	if (!scan->directory_tried) {
		error = zip_directory_read(&scan->directory, scan->source->base);
		if (error)
			return error;
		scan->directory_tried = true;
	}
	if (!zip_locate(scan->directory, &scan->window, data, hint, &member)) {
		if (!archive_entry_size_is_set(entry))
			node->size = scan_measure(scan);
		return node->size ? builder_sequence(scan->builder, scan->ordinal, node) : 0;
	}
	checked = scan->directory || !(member.flags & ZIP_FLAG_STREAMED);
	if (member.flags & ZIP_FLAG_ENCRYPTED)
		node->flags |= NODE_ENCRYPTED;
	if (!archive_entry_size_is_set(entry))
		node->size = scan_measure(scan);
	if (!node->size)
		return 0;
	node->check = member.check;
	if (checked)
		node->flags |= NODE_HAS_CHECK;
	node->place = data;
	if (!(member.flags & ZIP_FLAG_ENCRYPTED) && member.method == ZIP_STORED &&
	    (!checked || member.packed_size == node->size)) {
		node->content = CONTENT_DIRECT;
	} else if (!(member.flags & ZIP_FLAG_ENCRYPTED) && member.method == ZIP_DEFLATED) {
		node->content = CONTENT_DEFLATE;
	} else {
		node->content = CONTENT_ZIP;
		node->place = member.header;
	}
	return 0;
}

/* Whether what is at place can be looked at without decoding it. */
static bool scan_can_compare(struct scan *scan, uint64_t place, size_t length)
{
	return !scan->source->filtered || place + length <= space_spilled(scan->source->base);
}

/* Whether the base space holds, at place, what libarchive returned; yes where it cannot be compared. */
static bool scan_agrees(struct scan *scan, uint64_t place, const void *block, size_t length)
{
	char there[VERIFY_SIZE];

	if (length > VERIFY_SIZE)
		length = VERIFY_SIZE;
	if (!scan_can_compare(scan, place, length))
		return true;
	return window_read(&scan->window, there, length, place) && memcmp(there, block, length) == 0;
}

/* The pieces of a file with holes, one behind the other from place on. Returns the count, or -1 when they make no
 * sense. */
static int scan_extents(struct archive_entry *entry, uint64_t place, uint64_t size, struct index_extent **out)
{
	int count = archive_entry_sparse_reset(entry), kept = 0;
	uint64_t end = 0;
	la_int64_t offset, length;

	if (count < 0 || (unsigned)count > EXTENTS_MAX)
		return -1;
	*out = calloc((size_t)count + 1, sizeof(**out));
	if (!*out)
		return -1;
	while (archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK && kept < count) {
		if (length == 0)
			continue;
		if (offset < 0 || length < 0 || (uint64_t)offset < end || (uint64_t)offset > size ||
		    (uint64_t)length > size - (uint64_t)offset)
			return -1;
		(*out)[kept++] = (struct index_extent){(uint64_t)offset, (uint64_t)length, place};
		end = (uint64_t)(offset + length);
		place += (uint64_t)length;
	}
	return kept;
}

/* A member whose bytes stand in the base space as they are, if they do. */
static int scan_stored(struct scan *scan, struct archive_entry *entry, struct index_node *node)
{
	bool iso = (archive_format(scan->archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_ISO9660;
	struct index_extent *extents = NULL;
	const void *block = NULL;
	la_int64_t offset = 0;
	size_t length = 0;
	uint64_t place;
	int result, count, error = 0;
	bool as_it_is;

	if (iso && node->size >= ISO_PART_MAX)
		return builder_sequence(scan->builder, scan->ordinal, node);
	result = archive_read_data_block(scan->archive, &block, &length, &offset);
	place = (uint64_t)archive_filter_bytes(scan->archive, 0);
	/* A file of an iso may be compressed by itself, which only the bytes there tell. */
	if (iso && !scan_can_compare(scan, place, VERIFY_SIZE))
		return builder_sequence(scan->builder, scan->ordinal, node);
	as_it_is = length && !offset && scan_agrees(scan, place, block, length);
	if (iso && !as_it_is && zisofs_is_at(scan->source->base, place, node->size)) {
		node->content = CONTENT_ZISOFS;
		node->place = place;
	} else if (iso && !as_it_is) {
		error = builder_sequence(scan->builder, scan->ordinal, node);
	} else if (archive_entry_sparse_count(entry) > 0 || result == ARCHIVE_EOF) {
		count = scan_extents(entry, place, node->size, &extents);
		if (count < 0 || (length && (!count || extents[0].offset != (uint64_t)offset)) ||
		    (length && !scan_agrees(scan, place, block, length))) {
			error = builder_sequence(scan->builder, scan->ordinal, node);
		} else {
			node->content = CONTENT_EXTENTS;
			node->count = (uint32_t)count;
			error = builder_extents(scan->builder, extents, node->count, &node->place);
		}
	} else if (length && !as_it_is) {
		error = builder_sequence(scan->builder, scan->ordinal, node);
	} else {
		node->content = CONTENT_DIRECT;
		node->place = place;
	}
	free(extents);
	return error;
}

static int scan_content(struct scan *scan, struct archive_entry *entry, struct index_node *node)
{
	int format = archive_format(scan->archive) & ARCHIVE_FORMAT_BASE_MASK;

	if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0)
		node->size = (uint64_t)archive_entry_size(entry);
	if (archive_entry_is_data_encrypted(entry))
		node->flags |= NODE_ENCRYPTED;
	if (format == ARCHIVE_FORMAT_ZIP) {
		scan->head.flags |= INDEX_PASSWORD;
		return scan_zip(scan, entry, node);
	}
	if (!archive_entry_size_is_set(entry))
		node->size = scan_measure(scan);
	if (!node->size)
		return 0;
	if (format == ARCHIVE_FORMAT_TAR || format == ARCHIVE_FORMAT_CPIO || format == ARCHIVE_FORMAT_AR ||
	    format == ARCHIVE_FORMAT_ISO9660 || format == ARCHIVE_FORMAT_WARC)
		return scan_stored(scan, entry, node);
	return builder_sequence(scan->builder, scan->ordinal, node);
}

static int scan_member(struct scan *scan, struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry);
	const char *link = archive_entry_hardlink(entry);
	const char *target = NULL;
	struct index_node node;
	char unnamed[32];
	int error = 0;

	if (!path)
		path = archive_entry_pathname_utf8(entry);
	if (!path) {
		snprintf(unnamed, sizeof(unnamed), "member-%u", scan->ordinal);
		path = unnamed;
	}
	if (!link)
		link = archive_entry_hardlink_utf8(entry);
	scan_attributes(scan, entry, &node);
	if (link) {
		node.mode = (uint16_t)(S_IFREG | (node.mode & 07777));
		if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0)
			error = scan_content(scan, entry, &node);
		return error ? error : builder_link(scan->builder, path, link, node.size ? &node : NULL);
	}
	error = attributes_add(&scan->accounts, entry, scan->builder, &node, &scan->head.flags);
	if (!error && S_ISREG(node.mode))
		error = scan_content(scan, entry, &node);
	if (S_ISLNK(node.mode)) {
		target = archive_entry_symlink(entry);
		if (!target)
			target = archive_entry_symlink_utf8(entry);
	}
	return error ? error : builder_add(scan->builder, path, &node, target, NULL);
}

/* One line, printable. */
static void copy_line(char *to, size_t size, const char *from)
{
	size_t i = 0;

	for (; from[i] && i + 1 < size; i++)
		to[i] = from[i] == '\n' || from[i] == '\r' ? ' ' : from[i];
	to[i] = 0;
}

/* The content behind the filters is no archive: show it as the one file that it is. */
static int scan_single(struct scan *scan, char *error_text, size_t error_size)
{
	static const char *const endings[] = {".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".lz", ".Z"};
	const struct stat *state = scan->source->state;
	struct index_node node = implied_folder(state);
	char *name = strdup(scan->source->name);
	char *buffer = malloc(DRAIN_SIZE);
	size_t got = 0;
	int error = -ENOMEM;

	if (!name || !buffer)
		goto out;
	do {
		error = space_read(scan->source->base, buffer, DRAIN_SIZE, node.size, false, NULL, &got);
		if (!error)
			node.size += got;
	} while (!error && got);
	if (error == -ENOMEM)
		goto out;
	if (error && !node.size) {
		snprintf(error_text, error_size,
			 "the compressed data is damaged from its start on; get the file again");
		goto out;
	}
	if (error) {
		scan->head.flags |= INDEX_DAMAGED;
		copy_line(scan->head.damage, sizeof(scan->head.damage), "the compressed data is damaged");
	}
	node.mode = S_IFREG | 0644;
	if (node.size)
		node.content = CONTENT_DIRECT;
	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		size_t length = strlen(name), ending = strlen(endings[i]);

		if (length > ending && strcmp(name + length - ending, endings[i]) == 0) {
			name[length - ending] = 0;
			break;
		}
	}
	copy_line(scan->head.format, sizeof(scan->head.format), "one compressed file");
	error = builder_add(scan->builder, name, &node, NULL, NULL);
out:
	free(buffer);
	free(name);
	return error;
}

static int scan_members(struct scan *scan, char *error_text, size_t error_size)
{
	struct archive_entry *entry;
	uint32_t failed = 0;
	int error = 0;

	for (;;) {
		int result = archive_read_next_header(scan->archive, &entry);

		if (result == ARCHIVE_EOF)
			break;
		if (result == ARCHIVE_RETRY)
			continue;
		if (result >= ARCHIVE_WARN) {
			error = scan_member(scan, entry);
			if (error)
				return error;
		} else if (scan->ordinal == 0 && result == ARCHIVE_FATAL) {
			copy_line(error_text, error_size, reader_error(scan->archive));
			return reader_errno(scan->archive) == -ENOMEM ? -ENOMEM : -EIO;
		} else {
			scan->head.flags |= INDEX_DAMAGED;
			copy_line(scan->head.damage, sizeof(scan->head.damage), reader_error(scan->archive));
			if (result == ARCHIVE_FATAL || ++failed > 1000)
				break;
		}
		scan->ordinal++;
	}
	if (archive_format_name(scan->archive))
		copy_line(scan->head.format, sizeof(scan->head.format), archive_format_name(scan->archive));
	return 0;
}

int scan_archive(const struct scan_source *source, struct index *out, char *error_text, size_t error_size)
{
	struct scan scan = {.source = source};
	struct index_node implied = implied_folder(source->state);
	locale_t text = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = text ? uselocale(text) : (locale_t)0;
	int error;

	window_open(&scan.window, source->base);
	scan.head.identity = source->identity;
	scan.head.flags = source->filtered ? INDEX_FILTERED : 0;
	error = builder_create(&scan.builder, &implied);
	if (!error)
		error = reader_open(&scan.archive, source->base, 0, READER_MEMBERS, source->password);
	if (!error)
		error = scan_members(&scan, error_text, error_size);
	else if (error == -EINVAL && source->filtered)
		error = scan_single(&scan, error_text, error_size);
	else if (error == -EINVAL)
		copy_line(error_text, error_size,
			  "this is not an archive; give a zip, tar, 7z, iso, cpio, rar, cab, xar, lha or ar file, "
			  "compressed or not");
	else if (error == -EIO)
		copy_line(error_text, error_size, "the file cannot be read or is damaged at its start; get it again");
	/* What the scan needed goes before the index is laid out, so that both are not in memory at once. */
	zip_directory_free(scan.directory);
	reader_close(scan.archive);
	if (!error)
		error = builder_finish(scan.builder, &scan.head, out);
	builder_destroy(scan.builder);
	if (text) {
		uselocale(before);
		freelocale(text);
	}
	return error;
}
