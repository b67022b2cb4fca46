/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/reader.h"

#include <archive.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SMALL (8u << 10) /* after a seek or a skip: most often only a header is wanted there */
#define BLOCK_LARGE (256u << 10)
#define NO_FORMAT   EILSEQ /* what libarchive says on Linux of data that it does not know */

/* What libarchive's callbacks work on; freed by the close callback. */
struct reader {
	struct space *space;
	uint64_t start;
	uint64_t position; /* from start */
	size_t block;
	char buffer[BLOCK_LARGE];
};

static la_ssize_t reader_on_read(struct archive *archive, void *data, const void **buffer)
{
	struct reader *reader = data;
	size_t got;
	int error;

	error = space_read(reader->space, reader->buffer, reader->block, reader->start + reader->position, false, NULL,
			   &got);
	if (error) {
		archive_set_error(archive, -error, "the data below cannot be read or is damaged");
		return -1;
	}
	reader->position += got;
	if (reader->block < BLOCK_LARGE)
		reader->block *= 2;
	*buffer = reader->buffer;
	return (la_ssize_t)got;
}

static la_int64_t reader_on_skip(struct archive *archive, void *data, la_int64_t request)
{
	struct reader *reader = data;
	uint64_t left, size = space_size(reader->space);

	if (request <= 0 || size == UINT64_MAX)
		return 0;
	left = size > reader->start + reader->position ? size - reader->start - reader->position : 0;
	if ((uint64_t)request > left)
		request = (la_int64_t)left;
	reader->position += (uint64_t)request;
	reader->block = BLOCK_SMALL;
	return request;
}

static la_int64_t reader_on_seek(struct archive *archive, void *data, la_int64_t offset, int whence)
{
	struct reader *reader = data;
	uint64_t size = space_size(reader->space) - reader->start;
	int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)reader->position : (int64_t)size;
	int64_t target;

	if (__builtin_add_overflow(base, offset, &target) || target < 0) {
		archive_set_error(archive, EINVAL, "a place outside of the archive is named");
		return ARCHIVE_FATAL;
	}
	reader->position = (uint64_t)target;
	reader->block = BLOCK_SMALL;
	return target;
}

static int reader_on_close(struct archive *archive, void *data)
{
	free(data);
	return ARCHIVE_OK;
}

static void reader_support(struct archive *archive, enum reader_what what)
{
	switch (what) {
	case READER_FILTERS:
		archive_read_support_filter_bzip2(archive);
		archive_read_support_filter_compress(archive);
		archive_read_support_filter_gzip(archive);
		archive_read_support_filter_lz4(archive);
		archive_read_support_filter_lzip(archive);
		archive_read_support_filter_lzma(archive);
		archive_read_support_filter_rpm(archive);
		archive_read_support_filter_xz(archive);
		archive_read_support_filter_zstd(archive);
		archive_read_support_format_raw(archive);
		break;
	case READER_MEMBERS:
		archive_read_support_format_7zip(archive);
		archive_read_support_format_ar(archive);
		archive_read_support_format_cab(archive);
		archive_read_support_format_cpio(archive);
		archive_read_support_format_iso9660(archive);
		archive_read_support_format_lha(archive);
		archive_read_support_format_rar(archive);
		archive_read_support_format_rar5(archive);
		archive_read_support_format_tar(archive);
		archive_read_support_format_warc(archive);
		archive_read_support_format_xar(archive);
		archive_read_support_format_zip(archive);
		break;
	case READER_ZIP_MEMBER:
		archive_read_support_format_zip_streamable(archive);
		break;
	}
}

int reader_open(struct archive **out, struct space *space, uint64_t start, enum reader_what what, const char *password)
{
	struct archive *archive = archive_read_new();
	struct reader *reader = malloc(sizeof(*reader));
	int error = -ENOMEM;

	if (!archive || !reader)
		goto fail;
	reader->space = space;
	reader->start = start;
	reader->position = 0;
	reader->block = what == READER_FILTERS ? BLOCK_LARGE : BLOCK_SMALL;
	reader_support(archive, what);
	if (password && archive_read_add_passphrase(archive, password) != ARCHIVE_OK)
		goto fail;
	archive_read_set_callback_data(archive, reader);
	archive_read_set_read_callback(archive, reader_on_read);
	archive_read_set_close_callback(archive, reader_on_close);
	if (space_size(space) != UINT64_MAX) {
		archive_read_set_skip_callback(archive, reader_on_skip);
		archive_read_set_seek_callback(archive, reader_on_seek);
	}
	reader = NULL; /* the close callback frees it, whatever happens */
	if (archive_read_open1(archive) < ARCHIVE_WARN) {
		error = archive_errno(archive) == NO_FORMAT ? -EINVAL : reader_errno(archive);
		goto fail;
	}
	*out = archive;
	return 0;

fail:
	free(reader);
	reader_close(archive);
	return error;
}

void reader_close(struct archive *archive)
{
	if (archive)
		archive_read_free(archive);
}

const char *reader_error(struct archive *archive)
{
	const char *text = archive_error_string(archive);

	return text ? text : "it is damaged";
}

int reader_errno(struct archive *archive)
{
	const char *text = archive_error_string(archive);

	if (text && strstr(text, "assphrase"))
		return -EACCES;
	return archive_errno(archive) == ENOMEM ? -ENOMEM : -EIO;
}
