/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <stdio.h>
#include <stdlib.h>

static void *must(void *memory)
{
	if (!memory)
		nt_fail("the test itself has no memory");
	return memory;
}

/* --- Files ----------------------------------------------------------------------------------------------- */

void model_init(struct model *model)
{
	memset(model, 0, sizeof(*model));
	model->last_node = 100;
	model_add(model, "\\", true, NULL);
}

void model_free(struct model *model)
{
	for (unsigned i = 0; i < MODEL_FILES; i++)
		free(model->files[i].data);
}

static bool same_text(const uint16_t *a, const uint16_t *b, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes / 2; i++) {
		unsigned x = a[i], y = b[i];

		if (x >= 'a' && x <= 'z')
			x -= 32;
		if (y >= 'a' && y <= 'z')
			y -= 32;
		if (x != y)
			return false;
	}
	return true;
}

static struct model_file *find(struct model *model, const uint16_t *path, uint32_t length)
{
	for (unsigned i = 0; i < MODEL_FILES; i++) {
		struct model_file *file = &model->files[i];

		if (file->used && !file->deleted && file->path_length == length && same_text(file->path, path, length))
			return file;
	}
	return NULL;
}

static struct model_file *add(struct model *model, const uint16_t *path, uint32_t length, bool folder)
{
	for (unsigned i = 0; i < MODEL_FILES; i++) {
		struct model_file *file = &model->files[i];

		if (file->used || length > sizeof(file->path))
			continue;
		free(file->data);
		*file = (struct model_file){.used = true,
					    .folder = folder,
					    .path_length = length,
					    .node = ++model->last_node,
					    .attributes = folder ? FILE_ATTRIBUTE_DIRECTORY : FILE_ATTRIBUTE_ARCHIVE};
		memcpy(file->path, path, length);
		return file;
	}
	return NULL;
}

static uint32_t widen(const char *text, uint16_t *out)
{
	uint32_t n = 0;

	for (; text[n]; n++)
		out[n] = (unsigned char)text[n];
	return 2 * n;
}

struct model_file *model_add(struct model *model, const char *path, bool folder, const char *data)
{
	uint16_t wide[128];
	uint32_t length = widen(path, wide);
	struct model_file *file = must(add(model, wide, length, folder));

	if (data) {
		file->size = strlen(data);
		file->data = must(malloc(file->size + 1));
		memcpy(file->data, data, file->size);
	}
	return file;
}

struct model_file *model_find(struct model *model, const char *path)
{
	uint16_t wide[128];

	return find(model, wide, widen(path, wide));
}

static void resize(struct model_file *file, uint64_t size)
{
	file->data = must(realloc(file->data, size + 1));
	if (size > file->size)
		memset(file->data + file->size, 0, size - file->size);
	file->size = size;
}

static struct model_file *of_open(struct model *model, uint64_t name)
{
	for (unsigned i = 0; i < RTL_NUMBER_OF(model->opens); i++)
		if (name && model->opens[i].name == name)
			return model->opens[i].file;
	return NULL;
}

static uint64_t open_make(struct model *model, struct model_file *file)
{
	for (unsigned i = 0; i < RTL_NUMBER_OF(model->opens); i++)
		if (!model->opens[i].name) {
			model->opens[i].name = ++model->last_open;
			model->opens[i].file = file;
			file->opens++;
			return model->last_open;
		}
	nt_fail("the test has too many files open");
}

static void open_end(struct model *model, uint64_t name)
{
	for (unsigned i = 0; i < RTL_NUMBER_OF(model->opens); i++)
		if (model->opens[i].name == name) {
			struct model_file *file = model->opens[i].file;

			model->opens[i].name = 0;
			if (--file->opens == 0 && file->deleted)
				file->used = false;
		}
}

static void describe(const struct model_file *file, struct fs_file *out)
{
	*out = (struct fs_file){.node = file->node,
				.size = file->size,
				.allocated = (file->size + 511) & ~511ULL,
				.created = 1000,
				.accessed = 2000,
				.written = 3000,
				.changed = 4000,
				.attributes = file->attributes,
				.links = 1};
}

/* Is it right below the folder? Then where its last name begins. */
static uint32_t name_in(const struct model_file *file, const struct model_file *folder)
{
	uint32_t at = folder->path_length == 2 ? 2 : folder->path_length + 2;

	if (file == folder || file->path_length <= at || !same_text(file->path, folder->path, folder->path_length) ||
	    file->path[at / 2 - 1] != '\\')
		return 0;
	for (uint32_t i = at; i < file->path_length; i += 2)
		if (file->path[i / 2] == '\\')
			return 0;
	return at;
}

/* --- Answers --------------------------------------------------------------------------------------------- */

static const uint16_t *text_of(const struct fs_request *request, const struct fs_text *text)
{
	if (text->length && (text->offset < sizeof(*request) || text->offset + text->length > request->size))
		nt_fail("the driver sends a request of type %u whose text lies outside of it", request->type);
	return (const uint16_t *)(const void *)((const char *)request + text->offset);
}

static struct model_file *parent_of(struct model *model, const uint16_t *path, uint32_t length)
{
	while (length > 2 && path[length / 2 - 1] != '\\')
		length -= 2;
	return find(model, path, length == 2 ? 2 : length - 2);
}

static NTSTATUS create(struct model *model, const struct fs_request *request, struct fs_response *response)
{
	const struct fs_create *c = &request->u.create;
	const uint16_t *path = text_of(request, &c->name);
	uint32_t length = c->name.length;
	struct model_file *file;
	bool made = false;

	if (c->flags & FS_OPEN_TARGET_FOLDER) {
		file = parent_of(model, path, length);
	} else {
		file = find(model, path, length);
		if (file && c->disposition == FILE_CREATE)
			return STATUS_OBJECT_NAME_COLLISION;
		if (!file && !parent_of(model, path, length))
			return STATUS_OBJECT_PATH_NOT_FOUND;
		if (!file && (c->disposition == FILE_OPEN || c->disposition == FILE_OVERWRITE))
			return STATUS_OBJECT_NAME_NOT_FOUND;
		if (!file) {
			file = add(model, path, length, (c->options & FILE_DIRECTORY_FILE) != 0);
			made = true;
		}
	}
	if (!file)
		return STATUS_OBJECT_PATH_NOT_FOUND;
	if (file->folder && (c->options & FILE_NON_DIRECTORY_FILE))
		return STATUS_FILE_IS_A_DIRECTORY;
	if (!file->folder && (c->options & FILE_DIRECTORY_FILE))
		return STATUS_NOT_A_DIRECTORY;
	describe(file, &response->file);
	response->u.created.file = open_make(model, file);
	response->u.created.granted = c->access & MAXIMUM_ALLOWED ? FILE_ALL_ACCESS : c->access;
	response->u.created.information = made				     ? FILE_CREATED
					  : c->disposition == FILE_SUPERSEDE ? FILE_SUPERSEDED
					  : c->disposition >= FILE_OVERWRITE ? FILE_OVERWRITTEN
									     : FILE_OPENED;
	return STATUS_SUCCESS;
}

static NTSTATUS list(struct model *model, const struct fs_request *request, const struct model_file *folder,
		     struct fs_response *response, void **data)
{
	const struct fs_list *l = &request->u.list;
	UNICODE_STRING pattern = {(USHORT)l->pattern.length, (USHORT)l->pattern.length,
				  (WCHAR *)(uintptr_t)text_of(request, &l->pattern)};
	uint16_t upper[128] = {0};
	uint32_t used = 0;
	char *out = must(calloc(1, l->room + 8));

	for (unsigned i = 0; i < pattern.Length / 2u; i++)
		upper[i] = RtlUpcaseUnicodeChar(pattern.Buffer[i]);
	pattern.Buffer = (WCHAR *)upper;
	*data = out;
	for (unsigned i = (unsigned)l->marker; i < MODEL_FILES; i++) {
		struct model_file *file = &model->files[i];
		uint32_t at = file->used && !file->deleted ? name_in(file, folder) : 0, size;
		UNICODE_STRING name;
		struct fs_entry *entry;

		if (!at)
			continue;
		name = (UNICODE_STRING){(USHORT)(file->path_length - at), (USHORT)(file->path_length - at),
					(WCHAR *)(void *)((char *)file->path + at)};
		if (pattern.Length && !FsRtlIsNameInExpression(&pattern, &name, TRUE, NULL))
			continue;
		size = (uint32_t)(sizeof(*entry) + name.Length + 7) & ~7u;
		if (used + size > l->room)
			break;
		entry = (void *)(out + used);
		entry->size = size;
		entry->name_length = name.Length;
		entry->next = i + 1;
		describe(file, &entry->file);
		memcpy(entry + 1, name.Buffer, name.Length);
		used += size;
		if (l->flags & FS_LIST_ONE)
			break;
	}
	response->data = used;
	return STATUS_SUCCESS;
}

static NTSTATUS rename_file(struct model *model, const struct fs_request *request, struct model_file *file)
{
	const struct fs_rename *r = &request->u.rename;
	const uint16_t *to = text_of(request, &r->to);
	struct model_file *there = find(model, to, r->to.length);

	if (there && there != file && !(r->flags & FS_RENAME_REPLACE))
		return STATUS_OBJECT_NAME_COLLISION;
	if (!parent_of(model, to, r->to.length))
		return STATUS_OBJECT_PATH_NOT_FOUND;
	if (there && there != file) {
		there->deleted = true;
		if (!there->opens)
			there->used = false;
	}
	memcpy(file->path, to, r->to.length);
	file->path_length = r->to.length;
	return STATUS_SUCCESS;
}

static NTSTATUS by_model(struct service *service, const struct fs_request *request, struct fs_response *response,
			 void **data)
{
	static const uint16_t label[] = {'T', 'e', 's', 't'};
	struct model *model = service->model;
	struct model_file *file = of_open(model, request->file);
	uint64_t end, n;

	if (!file && request->type > FS_REOPEN && request->type != FS_QUERY_VOLUME && request->type != FS_SET_LABEL &&
	    request->type != FS_CLOSE) {
		if (service->lenient)
			return STATUS_FILE_CLOSED;
		nt_fail("a request of type %u names no open file", request->type);
	}
	switch (request->type) {
	case FS_DISK_ADDED:
	case FS_DISK_REMOVED:
	case FS_FLUSH:
	case FS_SET_LABEL:
	case FS_SET_SECURITY:
		return STATUS_SUCCESS;
	case FS_CREATE:
	case FS_REOPEN:
		return create(model, request, response);
	case FS_OVERWRITE:
		resize(file, 0);
		break;
	case FS_CLEANUP:
		if (request->u.cleanup.flags & FS_CLEANUP_DELETE)
			file->deleted = true;
		return STATUS_SUCCESS;
	case FS_CLOSE:
		open_end(model, request->file);
		return STATUS_SUCCESS;
	case FS_READ:
		n = request->u.io.offset >= file->size ? 0 : file->size - request->u.io.offset;
		response->data = (uint32_t)(n < request->u.io.length ? n : request->u.io.length);
		*data = must(malloc(response->data + 1));
		if (response->data)
			memcpy(*data, file->data + request->u.io.offset, response->data);
		return STATUS_SUCCESS;
	case FS_WRITE:
		n = request->u.io.flags & FS_IO_APPEND ? file->size : request->u.io.offset;
		end = n + request->u.io.length;
		if (request->u.io.flags & FS_IO_PAGING && end > file->size)
			end = file->size;
		if (end > 1u << 26)
			return STATUS_DISK_FULL;
		if (end > file->size)
			resize(file, end);
		if (end > n)
			memcpy(file->data + n, (const char *)request + request->u.io.data, end - n);
		response->information = end > n ? end - n : 0;
		break;
	case FS_QUERY_FILE:
		break;
	case FS_SET_BASIC:
		if (request->u.basic.attributes)
			file->attributes = request->u.basic.attributes & ~FILE_ATTRIBUTE_NORMAL;
		break;
	case FS_SET_SIZE:
		if (request->u.set_size.size > 1u << 26)
			return STATUS_DISK_FULL;
		if (request->u.set_size.what == FS_SIZE_END || request->u.set_size.size < file->size)
			resize(file, request->u.set_size.size);
		break;
	case FS_RENAME:
		return rename_file(model, request, file);
	case FS_CAN_DELETE:
		for (unsigned i = 0; i < MODEL_FILES; i++)
			if (model->files[i].used && !model->files[i].deleted && name_in(&model->files[i], file))
				return STATUS_DIRECTORY_NOT_EMPTY;
		return STATUS_SUCCESS;
	case FS_LIST:
		return list(model, request, file, response, data);
	case FS_QUERY_VOLUME:
		response->u.volume = (struct fs_volume){.total = 1u << 30,
							.free = 1u << 29,
							.available = 1u << 29,
							.created = 5000,
							.serial = 0x1234,
							.attributes = FILE_CASE_PRESERVED_NAMES | FILE_UNICODE_ON_DISK,
							.name_max = 255,
							.unit = 4096,
							.label_length = sizeof(label)};
		memcpy(response->u.volume.label, label, sizeof(label));
		return STATUS_SUCCESS;
	case FS_QUERY_SECURITY:
		if (request->u.security.room < 20)
			return STATUS_BUFFER_OVERFLOW;
		response->data = 20;
		*data = must(calloc(1, 20));
		((SECURITY_DESCRIPTOR_RELATIVE *)*data)->Revision = 1;
		((SECURITY_DESCRIPTOR_RELATIVE *)*data)->Control = SE_SELF_RELATIVE;
		return STATUS_SUCCESS;
	case FS_FILE_CONTROL:
		return STATUS_NOT_A_REPARSE_POINT;
	default:
		nt_fail("the driver sends a request of unknown type %u", request->type);
	}
	describe(file, &response->file);
	return STATUS_SUCCESS;
}

NTSTATUS service_respond(struct service *service, const struct fs_response *response, void *data, uint32_t room)
{
	struct nt_process *former = PsGetCurrentProcess() == PsInitialSystemProcess ? NULL : PsGetCurrentProcess();
	struct nt_request *request;
	NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;

	nt_process_enter(service->process);
	for (unsigned tries = 0; tries < 3 && status == STATUS_INSUFFICIENT_RESOURCES; tries++) {
		request = nt_ioctl(service->handle, IOCTL_FS_RECEIVE_RESPONSE, response, sizeof(*response), data, room);
		if (!request->done)
			nt_fail("RECEIVE_RESPONSE pends");
		status = nt_finish(request, NULL);
	}
	nt_process_enter(former);
	return status;
}

void service_reply(struct service *service, struct fs_request *request)
{
	struct fs_response response = {.size = sizeof(response), .type = request->type, .id = request->id};
	void *data = NULL;
	NTSTATUS status;

	if (!service->answer || !service->answer(service, request, &response, &data)) {
		response.status = by_model(service, request, &response, &data);
		if (response.status != STATUS_SUCCESS) {
			memset(&response.file, 0, sizeof(response.file));
			memset(&response.u, 0, sizeof(response.u));
		}
	}
	status = service_respond(service, &response, data, response.data);
	if (!NT_SUCCESS(status))
		service->last_refusal = status;
	free(data);
}

/* Buffers of offers are large: they are used again. */
static char *spare[OFFERS * 2];
static unsigned spare_count;

static char *offer_buffer(void)
{
	return spare_count ? spare[--spare_count] : must(malloc(FS_REQUEST_MAX));
}

static void offer_done(char *buffer)
{
	if (buffer && spare_count < RTL_NUMBER_OF(spare))
		spare[spare_count++] = buffer;
	else
		free(buffer);
}

/* --- The service ----------------------------------------------------------------------------------------- */

void service_offer(struct service *service)
{
	for (unsigned i = 0; i < OFFERS; i++) {
		if (service->offers[i].request)
			continue;
		service->offers[i].buffer = offer_buffer();
		service->offers[i].request = nt_ioctl(service->handle, IOCTL_FS_SEND_REQUEST, NULL, 0,
						      service->offers[i].buffer, FS_REQUEST_MAX);
	}
}

NTSTATUS service_start(struct service *service, struct model *model, uint32_t patience)
{
	struct nt_process *former = PsGetCurrentProcess() == PsInitialSystemProcess ? NULL : PsGetCurrentProcess();
	struct nt_open open = {.path = "\\??\\" FS_COMMUNICATION_NAME,
			       .access = GENERIC_READ | GENERIC_WRITE,
			       .disposition = FILE_OPEN,
			       .mode = UserMode};
	struct fs_start start = {.version = FS_PROTOCOL_VERSION, .patience = patience};
	struct fs_started started;
	struct nt_request *request;
	NTSTATUS status;

	memset(service, 0, sizeof(*service));
	service->model = model;
	service->process = nt_process_make(NT_SYSTEM);
	nt_process_enter(service->process);
	request = nt_open(&open);
	service->handle = request->handle;
	status = nt_finish(request, NULL);
	if (NT_SUCCESS(status)) {
		request = nt_ioctl(service->handle, IOCTL_FS_START, &start, sizeof(start), &started, sizeof(started));
		nt_wait(request);
		status = nt_finish(request, NULL);
		if (!NT_SUCCESS(status))
			nt_close(service->handle);
		else
			service_offer(service);
	}
	nt_process_enter(former);
	return status;
}

static void take(struct service *service, unsigned i)
{
	ULONG_PTR size;
	NTSTATUS status = nt_finish(service->offers[i].request, &size);
	struct fs_request *request = (void *)service->offers[i].buffer;
	char *buffer = service->offers[i].buffer;

	service->offers[i].request = NULL;
	service->offers[i].buffer = NULL;
	if (!NT_SUCCESS(status)) {
		offer_done(buffer);
		return;
	}
	if (request->size != size || size < sizeof(*request) || size > FS_REQUEST_MAX || request->type == 0 ||
	    request->type >= FS_TYPES)
		nt_fail("a request of type %u has %llu bytes and says %u", request->type, size, request->size);
	request = must(malloc(size));
	memcpy(request, buffer, size);
	offer_done(buffer);
	service->seen[request->type]++;
	service->replayed += (request->flags & FS_REQUEST_REPLAYED) != 0;
	if (request->type == FS_CANCEL) {
		free(request);
	} else if (service->hold && service->held_count < RTL_NUMBER_OF(service->held)) {
		service->held[service->held_count++] = request;
	} else {
		service_reply(service, request);
		free(request);
	}
}

static bool service_take(struct service *service)
{
	struct nt_process *former = PsGetCurrentProcess() == PsInitialSystemProcess ? NULL : PsGetCurrentProcess();
	bool any = false;

	if (!service->handle)
		return false;
	nt_process_enter(service->process);
	for (unsigned i = 0; i < OFFERS; i++)
		if (service->offers[i].request && nt_done(service->offers[i].request)) {
			take(service, i);
			any = true;
		}
	if (any)
		service_offer(service);
	nt_process_enter(former);
	return any;
}

bool service_step(struct service *service)
{
	bool any = service_take(service);

	nt_run();
	return any;
}

void service_thread(void *argument)
{
	struct service *service = argument;

	while (!service->leave) {
		service_take(service);
		nt_yield();
	}
	service->leave = false;
}

bool service_pump(void *service)
{
	return service_step(service);
}

void service_release(struct service *service)
{
	unsigned n = service->held_count;
	struct fs_request *held[RTL_NUMBER_OF(service->held)];

	memcpy(held, service->held, sizeof(held));
	service->held_count = 0;
	service->hold = false;
	for (unsigned i = 0; i < n; i++) {
		service_reply(service, held[i]);
		free(held[i]);
	}
	while (service_step(service))
		;
}

static void forget(struct service *service)
{
	for (unsigned i = 0; i < OFFERS; i++) {
		if (service->offers[i].request) {
			nt_wait(service->offers[i].request);
			nt_finish(service->offers[i].request, NULL);
		}
		offer_done(service->offers[i].buffer);
		service->offers[i].request = NULL;
		service->offers[i].buffer = NULL;
	}
	while (service->held_count)
		free(service->held[--service->held_count]);
	service->handle = NULL;
}

NTSTATUS service_stop(struct service *service)
{
	NTSTATUS status = run(nt_ioctl(service->handle, IOCTL_FS_STOP, NULL, 0, NULL, 0), NULL);

	nt_close(service->handle);
	forget(service);
	return status;
}

void service_die(struct service *service)
{
	nt_process_end(service->process);
	forget(service);
}

/* --- Programs -------------------------------------------------------------------------------------------- */

NTSTATUS run(struct nt_request *request, ULONG_PTR *information)
{
	if (!nt_wait(request))
		nt_fail("a request does not end");
	return nt_finish(request, information);
}

HANDLE control_open(unsigned account, NTSTATUS *status)
{
	struct nt_open open = {.path = "\\??\\" FS_CONTROL_NAME,
			       .access = GENERIC_READ | GENERIC_WRITE,
			       .disposition = FILE_OPEN,
			       .mode = UserMode};
	struct nt_request *request;
	HANDLE handle;

	nt_process_enter(nt_process_make(account));
	request = nt_open(&open);
	handle = request->handle;
	*status = nt_finish(request, NULL);
	return handle;
}

struct nt_request *map_start(HANDLE control, char letter, const char *source, struct fs_added_disk *added)
{
	static _Alignas(8) char buffer[1024];
	struct fs_add_disk *add = (void *)buffer;
	uint32_t length;

	memset(buffer, 0, sizeof(buffer));
	length = widen(source, (uint16_t *)(void *)(add + 1));
	add->size = (uint32_t)sizeof(*add) + length;
	add->letter = (uint16_t)letter;
	add->source = (struct fs_text){sizeof(*add), length};
	return nt_ioctl(control, IOCTL_FS_ADD_DISK, add, add->size, added, sizeof(*added));
}

NTSTATUS map(HANDLE control, char letter, const char *source, struct fs_added_disk *added)
{
	return run(map_start(control, letter, source, added), NULL);
}

NTSTATUS unmap(HANDLE control, char letter, bool force)
{
	struct fs_delete_disk delete = {.letter = (uint16_t)letter, .flags = force ? FS_DELETE_FORCE : 0};

	return run(nt_ioctl(control, IOCTL_FS_DELETE_DISK, &delete, sizeof(delete), NULL, 0), NULL);
}

uint32_t disks_count(HANDLE control)
{
	static struct fs_disk disks[FS_DISKS_MAX];
	ULONG_PTR bytes;

	if (!NT_SUCCESS(run(nt_ioctl(control, IOCTL_FS_GET_DISKS, NULL, 0, disks, sizeof(disks)), &bytes)))
		nt_fail("GET_DISKS fails");
	return (uint32_t)(bytes / sizeof(disks[0]));
}

NTSTATUS open_file(const char *path, ACCESS_MASK access, ULONG disposition, ULONG options, HANDLE *handle,
		   ULONG_PTR *information)
{
	struct nt_open open = {.path = path,
			       .access = access,
			       .share = FILE_SHARE_VALID_FLAGS,
			       .disposition = disposition,
			       .options = options,
			       .attributes = FILE_ATTRIBUTE_NORMAL,
			       .mode = UserMode};
	struct nt_request *request = nt_open(&open);

	if (!nt_wait(request))
		nt_fail("an open does not end");
	*handle = request->handle;
	return nt_finish(request, information);
}
