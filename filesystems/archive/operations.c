/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/drive.h"
#include "filesystems/archive/zisofs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* A deflated file leaves a copy of the decoder every part of this, but not more often than the least distance. */
#define DEFLATE_PARTS 192u
#define DEFLATE_STEP  (1u << 20)

static struct archive_drive *drive_of(struct dw_filesystem *fs)
{
	return (struct archive_drive *)fs;
}

static int find_node(struct archive_drive *drive, uint64_t id, uint32_t *number)
{
	uint64_t low = id & NODE_MASK;

	if (id == DW_NODE_ROOT) {
		*number = 0;
		return 0;
	}
	if (id >> NODE_BITS != drive->epoch || low < 2 || low > drive->index.head->node_count)
		return -ESTALE;
	*number = (uint32_t)(low - 1);
	return drive->index.nodes[*number].nlink ? 0 : -ESTALE;
}

static uint64_t node_id(const struct archive_drive *drive, uint32_t number)
{
	return number ? drive->epoch << NODE_BITS | ((uint64_t)number + 1) : DW_NODE_ROOT;
}

static uint64_t node_blocks(const struct archive_drive *drive, const struct index_node *node)
{
	uint64_t bytes = 0;

	if (!S_ISREG(node->mode))
		return 0;
	if (node->content != CONTENT_EXTENTS)
		return (node->size + 511) / 512;
	for (uint32_t i = 0; i < node->count; i++)
		bytes += drive->index.extents[node->place + i].size;
	return (bytes + 511) / 512;
}

static struct dw_time node_time(const struct index_node *node, int which)
{
	return (struct dw_time){.seconds = node->seconds[which], .nanoseconds = node->nanoseconds[which]};
}

static void fill_attr(const struct archive_drive *drive, uint32_t number, struct dw_attr *out)
{
	const struct index_node *node = &drive->index.nodes[number];

	*out = (struct dw_attr){
		.ino = node_id(drive, number),
		.size = S_ISREG(node->mode) || S_ISLNK(node->mode) ? node->size : 0,
		.blocks = node_blocks(drive, node),
		.mode = node->mode,
		.nlink = node->nlink,
		.uid = node->uid,
		.gid = node->gid,
		.blksize = 128u << 10,
		.atime = node_time(node, TIME_ACCESSED),
		.mtime = node_time(node, TIME_MODIFIED),
		.ctime = node_time(node, TIME_CHANGED),
		.btime = node_time(node, TIME_BORN),
	};
	if (S_ISCHR(node->mode) || S_ISBLK(node->mode)) {
		out->rdev_major = node->first;
		out->rdev_minor = node->count;
	}
}

static void fill_entry(const struct archive_drive *drive, uint32_t number, struct dw_entry *out)
{
	*out = (struct dw_entry){
		.node = node_id(drive, number),
		.generation = drive->epoch,
		.entry_timeout = DW_TIMEOUT_DEFAULT,
		.attr_timeout = DW_TIMEOUT_DEFAULT,
	};
	fill_attr(drive, number, &out->attr);
}

static int archive_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			  struct dw_entry *out)
{
	struct archive_drive *drive = drive_of(fs);
	uint32_t number, entry;
	int error = find_node(drive, parent, &number);

	if (error)
		return error;
	if (!S_ISDIR(drive->index.nodes[number].mode))
		return -ENOTDIR;
	entry = index_find(&drive->index, number, name);
	if (entry == INDEX_NONE) {
		memset(out, 0, sizeof(*out));
		out->entry_timeout = DW_TIMEOUT_DEFAULT;
		return 0;
	}
	fill_entry(drive, drive->index.entries[entry].node, out);
	return 0;
}

static int archive_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			   struct dw_attr *out, uint64_t *timeout)
{
	struct archive_drive *drive = drive_of(fs);
	uint32_t number;
	int error = find_node(drive, node, &number);

	if (!error)
		fill_attr(drive, number, out);
	return error;
}

static int archive_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			   uint64_t offset, struct dw_listing *listing)
{
	struct archive_drive *drive = drive_of(fs);
	const struct index_node *folder;
	struct dw_entry entry;
	uint32_t number;
	int error = find_node(drive, node, &number);

	if (error)
		return error;
	folder = &drive->index.nodes[number];
	if (!S_ISDIR(folder->mode))
		return -ENOTDIR;
	if (offset > folder->count)
		return -EINVAL;
	for (uint64_t i = offset; i < folder->count; i++) {
		uint32_t at = folder->first + (uint32_t)i;
		const char *name = index_name(&drive->index, at);

		fill_entry(drive, drive->index.entries[at].node, &entry);
		if (!listing->add(listing, name, strlen(name), i + 1, &entry))
			break;
	}
	return 0;
}

static int archive_readlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *out,
			    size_t *length)
{
	struct archive_drive *drive = drive_of(fs);
	const struct index_node *link;
	const char *target;
	uint32_t number;
	size_t size;
	int error = find_node(drive, node, &number);

	if (error)
		return error;
	link = &drive->index.nodes[number];
	if (!S_ISLNK(link->mode))
		return -EINVAL;
	target = drive->index.names + link->place;
	size = strlen(target);
	if (size > *length)
		return -ENAMETOOLONG;
	memcpy(out, target, size);
	*length = size;
	return 0;
}

static int archive_getxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
			    void *value, size_t *size)
{
	const struct index *index = &drive_of(fs)->index;
	const struct index_attribute *attribute;
	uint32_t number;
	int error = find_node(drive_of(fs), node, &number);

	if (error)
		return error;
	attribute = index->attributes + index->nodes[number].attributes;
	while (attribute->name && strcmp(index->names + attribute->name, name) != 0)
		attribute++;
	if (!attribute->name)
		return -ENODATA;
	if (*size && *size < attribute->size)
		return -ERANGE;
	if (*size)
		memcpy(value, index->names + attribute->value, attribute->size);
	*size = attribute->size;
	return 0;
}

static int archive_listxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *list,
			     size_t *size)
{
	const struct index *index = &drive_of(fs)->index;
	const struct index_attribute *attribute;
	size_t total = 0;
	uint32_t number;
	int error = find_node(drive_of(fs), node, &number);

	if (error)
		return error;
	attribute = index->attributes + index->nodes[number].attributes;
	for (; attribute->name; attribute++) {
		const char *name = index->names + attribute->name;
		size_t length = strlen(name) + 1;

		if (req->uid != 0 && strncmp(name, "trusted.", 8) == 0)
			continue;
		if (*size && length > *size - total)
			return -ERANGE;
		if (*size)
			memcpy(list + total, name, length);
		total += length;
	}
	*size = total;
	return 0;
}

static int archive_statfs(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out)
{
	const struct index_head *head = drive_of(fs)->index.head;

	*out = (struct dw_statfs){
		.blocks = (head->content_size + 511) / 512,
		.files = head->node_count,
		.block_size = 512,
		.name_max = 255,
	};
	return 0;
}

/* Whether the content cannot be read for want of a password, or of a decoder that takes one. */
static bool node_is_locked(const struct archive_drive *drive, const struct index_node *node)
{
	return (node->flags & NODE_ENCRYPTED) && (!drive->password || !(drive->index.head->flags & INDEX_PASSWORD));
}

/* -ESTALE once the file was changed in place: its bytes are no longer those that were indexed. */
static int check_unchanged(struct archive_drive *drive)
{
	struct stat state;

	if (fstat(drive->fd, &state))
		return -EIO;
	if ((uint64_t)state.st_size == drive->identity.size && state.st_mtim.tv_sec == drive->identity.mtime_seconds &&
	    (uint64_t)state.st_mtim.tv_nsec == drive->identity.mtime_nanoseconds)
		return 0;
	if (!atomic_exchange(&drive->changed, true))
		archive_log(drive, 0, "the archive was changed while it is mapped; unmap and map it again");
	return -ESTALE;
}

static int read_extents(struct archive_drive *drive, const struct index_node *node, char *buffer, size_t size,
			uint64_t offset, bool nowait, const volatile uint32_t *interrupted)
{
	const struct index_extent *extents = drive->index.extents + node->place;
	uint64_t end = offset + size;
	uint32_t low = 0, high = node->count;
	int error = 0;

	memset(buffer, 0, size);
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (extents[middle].offset + extents[middle].size <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	for (; !error && low < node->count && extents[low].offset < end; low++) {
		const struct index_extent *extent = &extents[low];
		uint64_t from = offset > extent->offset ? offset : extent->offset;
		uint64_t to = end < extent->offset + extent->size ? end : extent->offset + extent->size;
		size_t got;

		error = space_read(drive->base, buffer + (from - offset), (size_t)(to - from),
				   extent->place + (from - extent->offset), nowait, interrupted, &got);
		if (!error && got < to - from)
			error = -EIO;
	}
	return error;
}

static int read_sequence(struct archive_drive *drive, const struct index_node *node, void *buffer, size_t size,
			 uint64_t offset, bool nowait, const volatile uint32_t *interrupted, size_t *done)
{
	int error = space_read(drive->sequence, buffer, size, node->place + offset, nowait, interrupted, done);

	if (!error && atomic_load(&drive->members_context.bad[node->first]))
		error = -EIO;
	return error;
}

int archive_read_content(struct archive_drive *drive, uint32_t number, void *buffer, size_t size, uint64_t offset,
			 const struct dw_request *req)
{
	const struct index_node *node = &drive->index.nodes[number];
	bool nowait = req->flags & DW_REQUEST_NOWAIT;
	uint64_t step = node->size / DEFLATE_PARTS > DEFLATE_STEP ? node->size / DEFLATE_PARTS : DEFLATE_STEP;
	size_t got = size;
	int error = -EIO;

	if (node_is_locked(drive, node))
		return -EACCES;
	switch (node->content) {
	case CONTENT_DIRECT:
		error = space_read(drive->base, buffer, size, node->place + offset, nowait, req->interrupted, &got);
		break;
	case CONTENT_EXTENTS:
		error = read_extents(drive, node, buffer, size, offset, nowait, req->interrupted);
		break;
	case CONTENT_DEFLATE:
		error = nowait ? -EAGAIN
			       : cursors_read(drive->deflate, number, step, buffer, size, offset, req->interrupted,
					      &got);
		break;
	case CONTENT_ZIP:
		error = nowait ? -EAGAIN
			       : cursors_read(drive->zip_member, number, 0, buffer, size, offset, req->interrupted,
					      &got);
		break;
	case CONTENT_ZISOFS:
		error = nowait ? -EAGAIN
			       : zisofs_read(drive->base, node->place, node->size, buffer, size, offset,
					     req->interrupted);
		break;
	case CONTENT_SEQUENCE:
		error = read_sequence(drive, node, buffer, size, offset, nowait, req->interrupted, &got);
		break;
	default:
		break;
	}
	return !error && got < size ? -EIO : error;
}

static int archive_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			void *buffer, size_t size, uint64_t offset, size_t *done)
{
	struct archive_drive *drive = drive_of(fs);
	const struct index_node *file;
	uint32_t number;
	int error = find_node(drive, node, &number);

	if (error)
		return error;
	file = &drive->index.nodes[number];
	if (S_ISDIR(file->mode))
		return -EISDIR;
	if (!S_ISREG(file->mode))
		return -EINVAL;
	*done = 0;
	if (offset >= file->size || !size)
		return 0;
	if (size > file->size - offset)
		size = (size_t)(file->size - offset);
	error = check_unchanged(drive);
	if (!error)
		error = archive_read_content(drive, number, buffer, size, offset, req);
	if (!error)
		*done = size;
	return error;
}

static int archive_lseek(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			 uint64_t offset, uint32_t whence, uint64_t *out)
{
	struct archive_drive *drive = drive_of(fs);
	const struct index_extent *extents;
	const struct index_node *file;
	uint32_t number;
	int error = find_node(drive, node, &number);

	if (error)
		return error;
	file = &drive->index.nodes[number];
	if (offset >= file->size)
		return -ENXIO;
	if (file->content != CONTENT_EXTENTS) {
		*out = whence == DW_SEEK_DATA ? offset : file->size;
		return 0;
	}
	extents = drive->index.extents + file->place;
	for (uint32_t i = 0; i < file->count; i++) {
		if (extents[i].offset + extents[i].size <= offset)
			continue;
		if (whence == DW_SEEK_DATA) {
			*out = offset > extents[i].offset ? offset : extents[i].offset;
			return 0;
		}
		if (extents[i].offset > offset)
			break;
		offset = extents[i].offset + extents[i].size;
	}
	*out = offset;
	return whence == DW_SEEK_DATA ? -ENXIO : 0;
}

/* The content of an archive never changes: what the kernel has cached of a file stays right. */
static int archive_open_file(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
			     struct dw_open *out)
{
	struct archive_drive *drive = drive_of(fs);
	uint32_t number;
	int error = find_node(drive, node, &number);

	if (error)
		return error;
	if ((flags & DW_O_ACCMODE) != DW_O_RDONLY || (flags & DW_O_TRUNC))
		return -EROFS;
	if (node_is_locked(drive, &drive->index.nodes[number]))
		return -EACCES;
	*out = (struct dw_open){.flags = DW_OPEN_KEEP_CACHE | DW_OPEN_NO_FLUSH};
	return 0;
}

static int archive_open_folder(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node,
			       struct dw_open *out)
{
	*out = (struct dw_open){.flags = DW_OPEN_CACHE_DIR | DW_OPEN_KEEP_CACHE};
	return 0;
}

const struct dw_filesystem_ops archive_ops = {
	.size = sizeof(struct dw_filesystem_ops),
	.lookup = archive_lookup,
	.getattr = archive_getattr,
	.readdir = archive_readdir,
	.read = archive_read,
	.close = archive_close,
	.statfs = archive_statfs,
	.readlink = archive_readlink,
	.getxattr = archive_getxattr,
	.listxattr = archive_listxattr,
	.open = archive_open_file,
	.opendir = archive_open_folder,
	.lseek = archive_lseek,
};
