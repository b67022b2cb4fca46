/* SPDX-License-Identifier: MIT */
#include "tests/cache/drive.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "cache/module.h"

/* Of the test program: set once, by main, before there is any drive. */
static const struct dw_remote_provider *plugin;
static const struct dw_provider *provider;
static const struct dw_remote_ops *real;
static struct dw_remote_ops counted;
static struct calls calls;

/* Something to be done once, behind a call. */
struct hook {
	_Atomic(void (*)(void *)) act;
	void *context;
};
static struct hook at_list, before_upload, at_upload;

/* --- The remote, counted -------------------------------------------------------------------------------- */

static void run_hook(struct hook *hook)
{
	void (*act)(void *) = atomic_exchange(&hook->act, NULL);

	if (act)
		act(hook->context);
}

static void set_hook(struct hook *hook, void (*act)(void *), void *context)
{
	hook->context = context;
	atomic_store(&hook->act, act);
}

void drive_at_list(void (*act)(void *), void *context)
{
	set_hook(&at_list, act, context);
}

void drive_before_upload(void (*act)(void *), void *context)
{
	set_hook(&before_upload, act, context);
}

void drive_at_upload(void (*act)(void *), void *context)
{
	set_hook(&at_upload, act, context);
}

static int count_list(struct dw_remote *remote, struct dw_remote_call *call, const char *folder, char *cursor,
		      const struct dw_remote_items *items)
{
	int ret = real->list(remote, call, folder, cursor, items);

	calls.list++;
	run_hook(&at_list);
	return ret;
}

static int count_read(struct dw_remote *remote, struct dw_remote_call *call, const char *id, const char *content,
		      uint64_t offset, uint64_t bytes, const struct dw_remote_sink *sink)
{
	calls.read++;
	return real->read(remote, call, id, content, offset, bytes, sink);
}

static int count_quota(struct dw_remote *remote, struct dw_remote_call *call, struct dw_remote_quota *out)
{
	calls.quota++;
	return real->quota(remote, call, out);
}

static int count_upload(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
			const struct dw_remote_content *content, const struct dw_remote_items *items)
{
	int ret;

	run_hook(&before_upload);
	calls.upload++;
	ret = real->upload(remote, call, place, content, items);
	run_hook(&at_upload);
	return ret;
}

static int count_mkdir(struct dw_remote *remote, struct dw_remote_call *call, const char *parent, const char *name,
		       const struct dw_remote_items *items)
{
	calls.mkdir++;
	return real->mkdir(remote, call, parent, name, items);
}

static int count_move(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		      const char *etag, const char *parent, const char *name, const struct dw_remote_items *items)
{
	calls.move++;
	return real->move(remote, call, id, type, etag, parent, name, items);
}

static int count_remove(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
			const char *etag, bool recursive)
{
	calls.remove++;
	return real->remove(remote, call, id, type, etag, recursive);
}

static int count_set_properties(struct dw_remote *remote, struct dw_remote_call *call, const char *id,
				enum dw_remote_type type, const struct dw_remote_property *properties, size_t count)
{
	calls.set_properties++;
	return real->set_properties(remote, call, id, type, properties, count);
}

static int count_session_part(struct dw_remote *remote, struct dw_remote_call *call,
			      const struct dw_remote_session *session, const struct dw_remote_content *content,
			      uint64_t offset, struct dw_remote_part *out)
{
	int ret = real->session_part(remote, call, session, content, offset, out);

	calls.session_part += ret == 0;
	return ret;
}

static int open_counted(const struct dw_remote_provider *self, const struct dw_remote_source *source,
			struct dw_remote **out, char *error, size_t error_size)
{
	int ret = plugin->open(plugin, source, out, error, error_size);

	(void)self;
	if (!ret)
		(*out)->ops = &counted;
	return ret;
}

static void set_up(const struct dw_remote_ops *ops)
{
	real = ops;
	counted = *ops;
	counted.list = count_list;
	counted.read = count_read;
	counted.quota = count_quota;
	counted.upload = count_upload;
	counted.mkdir = count_mkdir;
	counted.move = count_move;
	counted.remove = count_remove;
	counted.set_properties = count_set_properties;
	counted.session_part = count_session_part;
}

void drive_plugin(const char *path)
{
	static struct dw_remote_provider counting;
	void *object = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	char error[256] = "";

	plugin = object ? dlsym(object, DW_REMOTE_SYMBOL) : NULL;
	if (!plugin) {
		fprintf(stderr, "the plug-in cannot be loaded: %s\n", dlerror());
		exit(1);
	}
	counting = *plugin;
	counting.open = open_counted;
	if (cache_provider_wrap(&counting, &provider, error, sizeof(error))) {
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
}

/* --- The host ------------------------------------------------------------------------------------------- */

static int host_keep(struct dw_host *base, const char *name, uint64_t size, void **address, bool *fresh, int *fd)
{
	struct drive *drive = (struct drive *)base;
	struct region *region = NULL;

	if (fd)
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < drive->count; i++) {
		if (strcmp(drive->regions[i].name, name) == 0)
			region = &drive->regions[i];
	}
	*fresh = !region;
	if (!region) {
		if (drive->count == DRIVE_REGIONS)
			return -ENOSPC;
		region = &drive->regions[drive->count];
		snprintf(region->name, sizeof(region->name), "%s", name);
		region->size = size;
		region->address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (region->address == MAP_FAILED)
			return -errno;
		drive->count++;
	}
	*address = region->address;
	return region->size == size ? 0 : -EINVAL;
}

static void host_log(struct dw_host *host, int level, const char *message)
{
	(void)host;
	fprintf(stderr, "log %d: %s\n", level, message);
}

static int host_invalidate_node(struct dw_host *host, uint64_t node, uint64_t offset, uint64_t length)
{
	atomic_fetch_add(&((struct drive *)host)->invalidated, 1);
	return 0;
}

static int host_invalidate_entry(struct dw_host *host, uint64_t parent, const char *name, bool expire_only)
{
	return 0;
}

static int host_entry_deleted(struct dw_host *host, uint64_t parent, uint64_t child, const char *name)
{
	return 0;
}

/* --- A drive -------------------------------------------------------------------------------------------- */

static void path_in(const struct drive *drive, char path[512], const char *below, const char *name)
{
	snprintf(path, 512, "%s/%s%s%s", drive->folder, below, *name ? "/" : "", name);
}

static void make_folder(const struct drive *drive, const char *name)
{
	char path[512];

	path_in(drive, path, name, "");
	assert_int_equal(mkdir(path, 0700), 0);
}

static void open_peer(struct drive *drive)
{
	static const struct dw_option options[] = {{.key = "durable", .value = "no"}, {.key = "rescan", .value = "0"}};
	char error[256] = "", rest[512], state[512];
	struct dw_remote_source source = {
		.size = sizeof(source), .rest = rest, .state = state, .options = options, .option_count = 2};

	path_in(drive, rest, "server", "");
	path_in(drive, state, "state", "");
	if (plugin->open(plugin, &source, &drive->peer, error, sizeof(error)))
		fail_msg("peer: %s", error);
	if (!real)
		set_up(drive->peer->ops);
}

void drive_make(struct drive *drive, ...)
{
	static const char *const always[][2] = {{"durable", "no"}, {"rescan", "1"}, {"cache-min-free", "0"}};
	static const char *const texts[] = {"cache", "server", "state"};
	const char *key;
	va_list words;

	memset(drive, 0, sizeof(*drive));
	drive->host = (struct dw_host){.size = sizeof(drive->host),
				       .log = host_log,
				       .keep = host_keep,
				       .invalidate_node = host_invalidate_node,
				       .invalidate_entry = host_invalidate_entry,
				       .entry_deleted = host_entry_deleted};
	memcpy(drive->folder, "/tmp/test-drive.XXXXXX", 23);
	assert_non_null(mkdtemp(drive->folder));
	for (size_t i = 0; i < 3; i++)
		make_folder(drive, texts[i]);
	drive->calls = &calls;
	memset(&calls, 0, sizeof(calls));
	for (size_t i = 0; i < 3; i++)
		drive->options[drive->option_count++] = (struct dw_option){always[i][0], always[i][1]};
	va_start(words, drive);
	while ((key = va_arg(words, const char *)))
		drive->options[drive->option_count++] = (struct dw_option){key, va_arg(words, const char *)};
	va_end(words);
	assert_true(drive->option_count < 14);
	open_peer(drive);
	drive_map(drive, false);
}

void drive_map(struct drive *drive, bool restarted)
{
	char error[256] = "", cache[512], server[512], faults[512], state[512];
	struct dw_option options[16];
	struct dw_source source = {.size = sizeof(source),
				   .rest = server,
				   .cache = cache,
				   .options = options,
				   .option_count = drive->option_count + 2,
				   .restarted = restarted};

	path_in(drive, cache, "cache", "");
	path_in(drive, server, "server", "");
	path_in(drive, faults, "faults", "");
	path_in(drive, state, "state", "");
	memcpy(options, drive->options, sizeof(options));
	options[drive->option_count] = (struct dw_option){"faults", faults};
	options[drive->option_count + 1] = (struct dw_option){"state", state};
	if (provider->open(provider, &source, &drive->host, &drive->fs, error, sizeof(error)))
		fail_msg("map: %s", error);
}

void drive_unmap(struct drive *drive)
{
	drive->fs->ops->close(drive->fs);
	drive->fs = NULL;
}

void drive_destroy(struct drive *drive)
{
	char command[512];

	if (drive->fs)
		drive_unmap(drive);
	drive->peer->ops->close(drive->peer);
	for (unsigned i = 0; i < drive->count; i++)
		munmap(drive->regions[i].address, drive->regions[i].size);
	snprintf(command, sizeof(command), "rm -rf --one-file-system '%s'", drive->folder);
	assert_int_equal(system(command), 0);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void drive_faults(struct drive *drive, const char *rules)
{
	char path[512], fresh[512];

	path_in(drive, path, "faults", "");
	path_in(drive, fresh, "faults.new", "");
	write_file(fresh, rules);
	assert_int_equal(rename(fresh, path), 0);
}

/* --- The server ----------------------------------------------------------------------------------------- */

static int ignore_item(const struct dw_remote_items *items, const struct dw_remote_item *item)
{
	unsigned *count = items->context;

	(void)item;
	(*count)++;
	return 0;
}

unsigned server_count(struct drive *drive)
{
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	struct dw_remote_call call = {.size = sizeof(call)};
	unsigned count = 0;
	struct dw_remote_items items = {.item = ignore_item, .context = &count};

	do {
		assert_int_equal(drive->peer->ops->list(drive->peer, &call, drive->peer->root, cursor, &items), 0);
	} while (cursor[0]);
	return count;
}

void server_look(struct drive *drive)
{
	(void)server_count(drive);
}

void server_write(struct drive *drive, const char *name, const char *text)
{
	char path[512];

	path_in(drive, path, "server", name);
	write_file(path, text);
	server_look(drive);
}

void server_remove(struct drive *drive, const char *name)
{
	char path[512];

	path_in(drive, path, "server", name);
	assert_int_equal(remove(path), 0);
	server_look(drive);
}

void server_rename(struct drive *drive, const char *from, const char *to)
{
	char path[512], other[512];

	path_in(drive, path, "server", from);
	path_in(drive, other, "server", to);
	assert_int_equal(rename(path, other), 0);
	server_look(drive);
}

bool server_has(struct drive *drive, const char *name)
{
	char path[512];

	path_in(drive, path, "server", name);
	return access(path, F_OK) == 0;
}

bool server_is(struct drive *drive, const char *name, const char *text)
{
	char path[512], bytes[4096];
	ssize_t size;
	int fd;

	path_in(drive, path, "server", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, bytes, sizeof(bytes));
	close(fd);
	return size == (ssize_t)strlen(text) && memcmp(bytes, text, (size_t)size) == 0;
}

/* --- Operations ----------------------------------------------------------------------------------------- */

struct dw_request *request_new(struct drive *drive, struct request *request)
{
	static const uint32_t not_interrupted;

	memset(request, 0, sizeof(*request));
	request->req = (struct dw_request){.size = sizeof(request->req),
					   .id = ++drive->next_request,
					   .uid = geteuid(),
					   .gid = getegid(),
					   .notes = &request->notes,
					   .interrupted = &not_interrupted};
	return &request->req;
}

struct dw_request *request_again(struct request *request)
{
	request->req.flags |= DW_REQUEST_REPLAYED;
	return &request->req;
}

uint64_t node_of(struct drive *drive, uint64_t parent, const char *name)
{
	struct dw_entry entry = {.node = 0};
	struct request r;
	int ret = drive->fs->ops->lookup(drive->fs, request_new(drive, &r), parent, name, &entry);

	return ret ? 0 : entry.node;
}

int do_mkdir(struct drive *drive, uint64_t parent, const char *name, uint64_t *node)
{
	struct dw_entry entry = {.node = 0};
	struct request r;
	int ret = drive->fs->ops->mkdir(drive->fs, request_new(drive, &r), parent, name, 0755, &entry);

	*node = entry.node;
	return ret;
}

int do_create(struct drive *drive, uint64_t parent, const char *name, uint64_t *node, uint64_t *handle)
{
	struct dw_entry entry = {.node = 0};
	struct dw_open opened = {.handle = 0};
	struct request r;
	int ret = drive->fs->ops->create(drive->fs, request_new(drive, &r), parent, name, 0644, DW_O_RDWR, &entry,
					 &opened);

	*node = entry.node;
	*handle = opened.handle;
	return ret;
}

int do_open(struct drive *drive, uint64_t node, uint32_t flags, uint64_t *handle)
{
	struct dw_open opened = {.handle = 0};
	struct request r;
	int ret = drive->fs->ops->open(drive->fs, request_new(drive, &r), node, flags, &opened);

	*handle = opened.handle;
	return ret;
}

int do_write(struct drive *drive, uint64_t node, uint64_t handle, const char *text, uint64_t offset)
{
	struct request r;
	size_t done = 0;
	int ret = drive->fs->ops->write(drive->fs, request_new(drive, &r), node, handle, text, strlen(text), offset, 0,
					&done);

	return ret ? ret : (int)done;
}

int do_read(struct drive *drive, uint64_t node, uint64_t handle, char *text, size_t size)
{
	struct request r;
	size_t done = 0;
	int ret = drive->fs->ops->read(drive->fs, request_new(drive, &r), node, handle, text, size - 1, 0, &done);

	text[ret ? 0 : done] = '\0';
	return ret ? ret : (int)done;
}

void do_close(struct drive *drive, uint64_t node, uint64_t handle)
{
	struct request r;

	assert_int_equal(drive->fs->ops->flush(drive->fs, request_new(drive, &r), node, handle, 0), 0);
	drive->fs->ops->release(drive->fs, request_new(drive, &r), node, handle);
}

int do_unlink(struct drive *drive, uint64_t parent, const char *name)
{
	struct request r;

	return drive->fs->ops->unlink(drive->fs, request_new(drive, &r), parent, name);
}

int do_rmdir(struct drive *drive, uint64_t parent, const char *name)
{
	struct request r;

	return drive->fs->ops->rmdir(drive->fs, request_new(drive, &r), parent, name);
}

int do_rename(struct drive *drive, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
	      uint32_t flags)
{
	struct request r;

	return drive->fs->ops->rename(drive->fs, request_new(drive, &r), parent, name, new_parent, new_name, flags);
}

int do_truncate(struct drive *drive, uint64_t node, uint64_t size)
{
	const struct dw_setattr set = {.valid = DW_SET_SIZE, .size = size};
	struct dw_attr attr;
	struct request r;

	return drive->fs->ops->setattr(drive->fs, request_new(drive, &r), node, DW_NO_HANDLE, &set, &attr);
}

int do_setxattr(struct drive *drive, uint64_t node, const char *name, const char *value)
{
	struct request r;

	return drive->fs->ops->setxattr(drive->fs, request_new(drive, &r), node, name, value, strlen(value), 0);
}

int do_getxattr(struct drive *drive, uint64_t node, const char *name, char *value, size_t size)
{
	struct request r;
	size_t length = size - 1;
	int ret = drive->fs->ops->getxattr(drive->fs, request_new(drive, &r), node, name, value, &length);

	value[ret ? 0 : length] = '\0';
	return ret;
}

uint64_t size_of(struct drive *drive, uint64_t node)
{
	uint64_t timeout = DW_TIMEOUT_DEFAULT;
	struct dw_attr attr;
	struct request r;

	assert_int_equal(
		drive->fs->ops->getattr(drive->fs, request_new(drive, &r), node, DW_NO_HANDLE, &attr, &timeout), 0);
	return attr.size;
}

void report_of(struct drive *drive, char *json, size_t size)
{
	assert_int_equal(drive->fs->ops->report(drive->fs, json, &size), 0);
}

bool report_has(struct drive *drive, const char *text)
{
	char json[16384];

	report_of(drive, json, sizeof(json));
	return strstr(json, text) != NULL;
}

void put_file(struct drive *drive, const char *name, const char *text)
{
	uint64_t node = node_of(drive, DW_NODE_ROOT, name), handle;

	if (node)
		assert_int_equal(do_open(drive, node, DW_O_RDWR | DW_O_TRUNC, &handle), 0);
	else
		assert_int_equal(do_create(drive, DW_NODE_ROOT, name, &node, &handle), 0);
	assert_int_equal(do_write(drive, node, handle, text, 0), strlen(text));
	do_close(drive, node, handle);
}

bool file_is(struct drive *drive, const char *name, const char *text)
{
	uint64_t node = node_of(drive, DW_NODE_ROOT, name), handle;
	char bytes[4096];
	int size;

	if (!node || do_open(drive, node, DW_O_RDONLY, &handle))
		return false;
	size = do_read(drive, node, handle, bytes, sizeof(bytes));
	do_close(drive, node, handle);
	return size == (int)strlen(text) && strcmp(bytes, text) == 0;
}

void settle(struct drive *drive)
{
	assert_int_equal(do_setxattr(drive, DW_NODE_ROOT, "user.driveway.sync", "1"), 0);
}
