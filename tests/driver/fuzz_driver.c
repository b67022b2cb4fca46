/* SPDX-License-Identifier: MIT */
/*
 * Any bytes for any IOCTL, any parameters of any IRP, any answer of a hostile service: a status, and nothing else. The
 * input is a script of steps, each a kind, a length and that many bytes. Built for libFuzzer where the compiler has it;
 * elsewhere FUZZ_REPLAY makes a main that mutates scripts of its own from a fixed seed: fuzz_driver_replay [SEED
 * [RUNS]].
 */
#include <stdio.h>
#include <stdlib.h>

#include "service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

DRIVER_INITIALIZE DriverEntry;

#define PENDING_MAX 64

enum step { CONTROL, COMMUNICATION, IRP_OF_FILE, CODE_OF_FILE, ANSWER, OPEN, ADVANCE, STEPS };

static struct model model;
static struct service service;
static HANDLE control, files[3];
static struct nt_request *pending[PENDING_MAX];
static unsigned pending_count;
static const uint8_t *spoil; /* what the next answers are spoilt with */
static size_t spoil_size;
static _Alignas(8) char room[70000];

/* The answer is right but for the bytes that the script says: where, and what is exclusive-ored there. */
static void spoil_answer(void *bytes, size_t size)
{
	for (; spoil_size >= 2 && size; spoil += 2, spoil_size -= 2)
		((uint8_t *)bytes)[spoil[0] % size] ^= spoil[1];
}

static bool hostile(struct service *of, const struct fs_request *request, struct fs_response *response, void **data)
{
	struct fs_response copy;

	if (!spoil_size || request->type == FS_DISK_ADDED)
		return false;
	/* First a spoilt one; when it is refused, the service answers again, by the model. */
	copy = *response;
	copy.file.node = 7;
	copy.u.created.file = 7;
	copy.data = spoil[0];
	spoil_answer(&copy, sizeof(copy));
	for (size_t i = 0; i < 256; i++)
		room[i] = (char)(spoil_size ? spoil[i % spoil_size] & 0x3f : 0);
	service_respond(of, &copy, room, 256);
	return false;
}

static void keep(struct nt_request *request)
{
	for (unsigned i = 0; i < pending_count;)
		if (nt_done(pending[i])) {
			if (pending[i]->handle)
				nt_close(pending[i]->handle);
			nt_finish(pending[i], NULL);
			pending[i] = pending[--pending_count];
		} else {
			i++;
		}
	if (pending_count == PENDING_MAX) {
		nt_cancel(pending[0]);
		while (service_step(&service))
			;
	}
	nt_wait(request);
	if (nt_done(request)) {
		if (request->handle)
			nt_close(request->handle);
		nt_finish(request, NULL);
	} else if (pending_count < PENDING_MAX) {
		pending[pending_count++] = request;
	} else {
		nt_fail("the test has too many requests");
	}
}

static uint32_t number(const uint8_t *data, size_t size, size_t at)
{
	uint32_t value = 0;

	for (size_t i = 0; i < 4 && at + i < size; i++)
		value |= (uint32_t)data[at + i] << 8 * i;
	return value;
}

struct parameters {
	const uint8_t *data;
	size_t size;
	ULONG length;
};

/* The parameter block as the script has it, but for pointers, which are the I/O manager's. */
static void set_parameters(IO_STACK_LOCATION *stack, void *context)
{
	static UNICODE_STRING pattern;
	static LARGE_INTEGER length;
	static uint16_t text[64];
	struct parameters *p = context;

	stack->Parameters.Others.Argument2 = (void *)(uintptr_t)number(p->data, p->size, 4);
	stack->Parameters.Others.Argument3 = (void *)((uintptr_t)number(p->data, p->size, 8) |
						      (uintptr_t)(number(p->data, p->size, 12) & 0x800000ff) << 32);
	stack->Parameters.Others.Argument4 = NULL;
	stack->Parameters.Read.Length = p->length;
	switch (stack->MajorFunction) {
	case IRP_MJ_DIRECTORY_CONTROL:
		if (stack->MinorFunction == IRP_MN_QUERY_DIRECTORY) {
			pattern.Length = (USHORT)(p->size < 64 ? p->size & ~1u : 64);
			pattern.MaximumLength = pattern.Length;
			memcpy(text, p->data, pattern.Length);
			pattern.Buffer = (WCHAR *)text;
			stack->Parameters.QueryDirectory.FileName = p->size % 3 ? &pattern : NULL;
			stack->Parameters.QueryDirectory.FileInformationClass = number(p->data, p->size, 2) % 70;
		}
		break;
	case IRP_MJ_QUERY_INFORMATION:
	case IRP_MJ_SET_INFORMATION:
	case IRP_MJ_QUERY_VOLUME_INFORMATION:
	case IRP_MJ_SET_VOLUME_INFORMATION:
		stack->Parameters.SetFile.FileInformationClass = number(p->data, p->size, 2) % 80;
		stack->Parameters.SetFile.FileObject = NULL;
		break;
	case IRP_MJ_LOCK_CONTROL:
		length.QuadPart = (LONGLONG)number(p->data, p->size, 0);
		stack->Parameters.LockControl.Length = &length;
		break;
	case IRP_MJ_QUERY_EA:
		stack->Parameters.QueryEa.EaList = NULL;
		stack->Parameters.QueryEa.EaListLength = 0;
		break;
	case IRP_MJ_QUERY_SECURITY:
		stack->Parameters.QuerySecurity.SecurityInformation = p->data[0];
		stack->Parameters.QuerySecurity.Length = p->length;
		break;
	default:
		break;
	}
}

static void file_irp(const uint8_t *data, size_t size)
{
	static const UCHAR majors[] = {IRP_MJ_READ,
				       IRP_MJ_WRITE,
				       IRP_MJ_QUERY_INFORMATION,
				       IRP_MJ_SET_INFORMATION,
				       IRP_MJ_QUERY_EA,
				       IRP_MJ_SET_EA,
				       IRP_MJ_FLUSH_BUFFERS,
				       IRP_MJ_QUERY_VOLUME_INFORMATION,
				       IRP_MJ_SET_VOLUME_INFORMATION,
				       IRP_MJ_DIRECTORY_CONTROL,
				       IRP_MJ_LOCK_CONTROL,
				       IRP_MJ_QUERY_SECURITY,
				       IRP_MJ_SHUTDOWN,
				       IRP_MJ_PNP,
				       IRP_MJ_POWER,
				       IRP_MJ_QUERY_QUOTA};
	struct parameters parameters;
	struct nt_io io = {.set = set_parameters, .context = &parameters};

	if (size < 8)
		return;
	io.major = majors[data[0] % RTL_NUMBER_OF(majors)];
	io.minor = data[1] % 5;
	io.flags = data[2];
	io.length = number(data, size, 3) % 600;
	if (io.major == IRP_MJ_PNP || io.major == IRP_MJ_POWER || io.major == IRP_MJ_SHUTDOWN ||
	    io.major == IRP_MJ_FLUSH_BUFFERS || io.major == IRP_MJ_LOCK_CONTROL || io.major == IRP_MJ_QUERY_QUOTA)
		io.length = 0;
	io.buffer = io.length ? room : NULL;
	for (size_t i = 0; i < 600; i++)
		room[i] = (char)(data[7 + i % (size - 7)] == NT_PATTERN ? 0 : data[7 + i % (size - 7)]);
	if ((io.major == IRP_MJ_READ || io.major == IRP_MJ_WRITE) && data[2] & 0x80) {
		io.irp_flags = IRP_PAGING_IO | IRP_NOCACHE;
		io.kernel = true;
	}
	parameters = (struct parameters){data + 7, size - 7, io.length};
	keep(nt_io(files[data[1] % 3], &io));
}

static void file_code(const uint8_t *data, size_t size)
{
	static const ULONG codes[] = {FSCTL_REQUEST_OPLOCK_LEVEL_1,
				      FSCTL_REQUEST_OPLOCK_LEVEL_2,
				      FSCTL_REQUEST_BATCH_OPLOCK,
				      FSCTL_OPLOCK_BREAK_ACKNOWLEDGE,
				      FSCTL_REQUEST_OPLOCK,
				      FSCTL_GET_REPARSE_POINT,
				      FSCTL_SET_REPARSE_POINT,
				      FSCTL_DELETE_REPARSE_POINT,
				      FSCTL_IS_VOLUME_MOUNTED,
				      FSCTL_IS_PATHNAME_VALID,
				      FSCTL_LOCK_VOLUME,
				      FSCTL_UNLOCK_VOLUME,
				      FSCTL_GET_COMPRESSION,
				      IOCTL_STORAGE_QUERY_PROPERTY,
				      IOCTL_DISK_GET_DRIVE_GEOMETRY,
				      IOCTL_MOUNTDEV_QUERY_UNIQUE_ID,
				      IOCTL_MOUNTDEV_QUERY_DEVICE_NAME};
	ULONG code, in, out;

	if (size < 6)
		return;
	code = data[0] & 0x80 ? number(data, size, 1) & ~3u : codes[data[0] % RTL_NUMBER_OF(codes)];
	in = data[4] % (ULONG)(size - 5);
	out = data[5];
	if (DEVICE_TYPE_FROM_CTL_CODE(code) == FILE_DEVICE_FILE_SYSTEM)
		keep(nt_fsctl(files[data[4] % 3], code, data + 5, in, room, out));
	else
		keep(nt_ioctl(files[data[4] % 3], code, data + 5, in, room, out));
}

static void open_any(const uint8_t *data, size_t size)
{
	struct nt_open open = {.share = 7, .mode = UserMode};
	uint16_t path[80] = {'\\', '?', '?', '\\', 'X', ':'};
	unsigned n = 6;

	if (size < 8)
		return;
	open.access = number(data, size, 0) & 0x83ffffff;
	open.options = number(data, size, 2) & FILE_VALID_OPTION_FLAGS;
	open.disposition = data[5] % 8;
	open.attributes = data[6];
	open.stack_flags = data[7];
	for (size_t i = 8; i < size && n < RTL_NUMBER_OF(path); i++)
		path[n++] = data[i] & 0x40 ? data[i] : "\\folder\\file.txt"[data[i] & 15];
	open.wide = (WCHAR *)path;
	open.wide_length = (USHORT)(2 * n);
	keep(nt_open(&open));
}

static void step(enum step kind, const uint8_t *data, size_t size)
{
	ULONG code;

	switch (kind) {
	case CONTROL:
		code = (ULONG[]){IOCTL_FS_ADD_DISK, IOCTL_FS_GET_DISKS, IOCTL_FS_ADD_DISK, 0x12345678}[size & 3];
		keep(nt_ioctl(control, code, data, (ULONG)size, room, 40));
		break;
	case COMMUNICATION:
		code = (ULONG[]){IOCTL_FS_START, IOCTL_FS_RECEIVE_RESPONSE, IOCTL_FS_FILE_CACHE_CONTROL,
				 IOCTL_FS_FILE_CACHE_CONTROL}[size & 3];
		keep(nt_ioctl(service.handle, code, data, (ULONG)size, room, 100));
		break;
	case IRP_OF_FILE:
		file_irp(data, size);
		break;
	case CODE_OF_FILE:
		file_code(data, size);
		break;
	case ANSWER:
		spoil = data;
		spoil_size = size;
		break;
	case OPEN:
		open_any(data, size);
		break;
	default:
		nt_advance(size ? data[0] : 1);
	}
}

static void set_up(void)
{
	struct fs_added_disk added;
	NTSTATUS status;

	nt_boot();
	model_init(&model);
	model_add(&model, "\\folder", true, NULL);
	model_add(&model, "\\folder\\file.txt", false, "alpha");
	model_add(&model, "\\file", false, "contents of it");
	nt_pump(service_pump, &service);
	spoil_size = 0;
	if (nt_load(DriverEntry))
		nt_fail("the driver does not load");
	control = control_open(NT_ADMIN, &status);
	if (status || service_start(&service, &model, 30) || map(control, 'X', "memory:", &added) ||
	    open_file("\\??\\X:\\file", GENERIC_READ | GENERIC_WRITE, FILE_OPEN, 0, &files[0], NULL) ||
	    open_file("\\??\\X:\\folder", GENERIC_READ, FILE_OPEN, FILE_DIRECTORY_FILE, &files[1], NULL) ||
	    open_file("\\??\\X:", GENERIC_READ, FILE_OPEN, 0, &files[2], NULL))
		nt_fail("the test cannot begin");
	service.answer = hostile;
	service.lenient = true;
}

static void tear_down(void)
{
	spoil_size = 0;
	for (unsigned i = 0; i < 3; i++)
		nt_close(files[i]);
	for (unsigned i = 0; i < pending_count; i++) {
		nt_cancel(pending[i]);
		if (!nt_wait(pending[i]))
			nt_fail("a request that is cancelled does not end");
		if (pending[i]->handle)
			nt_close(pending[i]->handle);
		nt_finish(pending[i], NULL);
	}
	pending_count = 0;
	while (service_step(&service))
		;
	nt_close(control);
	service_stop(&service);
	nt_run();
	if (!nt_unload())
		nt_fail("the driver cannot be unloaded");
	nt_shutdown();
	model_free(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	set_up();
	for (unsigned steps = 0; size >= 2 && steps < 24; steps++) {
		size_t length = data[1] < size - 2 ? data[1] : size - 2;
		uint8_t *exact = malloc(length ? length : 1);

		if (!exact)
			abort();
		memcpy(exact, data + 2, length);
		/* The kernel takes this byte for memory that nobody has filled. */
		for (size_t i = 0; i < length; i++)
			if (exact[i] == NT_PATTERN)
				exact[i] = 0;
		step(data[0] % STEPS, exact, length);
		if (data[0] % STEPS == ANSWER) {
			uint8_t *former = exact;

			/* It is used by what comes next. */
			data += 2 + length;
			size -= 2 + length;
			if (size >= 2) {
				length = data[1] < size - 2 ? data[1] : size - 2;
				step(data[0] % STEPS == ANSWER ? OPEN : data[0] % STEPS, data + 2, length);
			} else {
				length = 0;
			}
			spoil_size = 0;
			free(former);
			if (size < 2)
				break;
		} else {
			free(exact);
		}
		data += 2 + length;
		size -= 2 + length;
	}
	tear_down();
	return 0;
}

#ifdef FUZZ_REPLAY
static uint64_t state;

static uint32_t draw(uint32_t below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % below;
}

/* A good ADD_DISK for another letter, spoilt in a few places; or bytes of which many are small. */
static void one(const char *folder, unsigned long number)
{
	uint8_t script[2048];
	size_t size = 0;

	for (unsigned steps = 1 + draw(20); steps; steps--) {
		uint8_t kind = (uint8_t)draw(STEPS), length = (uint8_t)draw(kind == CONTROL ? 120 : 200);

		if (size + 2 + length > sizeof(script))
			break;
		script[size++] = kind;
		script[size++] = length;
		if (kind == CONTROL && draw(2)) {
			struct fs_add_disk add = {.size = length, .letter = (uint16_t)('A' + draw(26))};

			add.source = (struct fs_text){sizeof(add), (length - draw(8)) & ~1u};
			memset(script + size, 'm', length);
			for (size_t i = sizeof(add); i < length; i += 2)
				script[size + i + (i + 1 < length)] = 0;
			memcpy(script + size, &add, length < sizeof(add) ? length : sizeof(add));
		} else {
			for (unsigned i = 0; i < length; i++)
				script[size + i] = (uint8_t)(draw(3) ? draw(256) : draw(4));
		}
		for (unsigned spoils = draw(3); spoils && length; spoils--)
			script[size + draw(length)] = (uint8_t)draw(256);
		size += length;
	}
	if (folder) {
		char name[4096];
		FILE *file;

		snprintf(name, sizeof(name), "%s/%lu", folder, number);
		file = fopen(name, "w");
		if (!file || fwrite(script, 1, size, file) != size || fclose(file) != 0)
			nt_fail("%s cannot be written", name);
	}
	LLVMFuzzerTestOneInput(script, size);
}

int main(int count, char **words)
{
	uint64_t seed = count > 1 ? strtoull(words[1], NULL, 0) : 1;
	unsigned long runs = count > 2 ? strtoul(words[2], NULL, 0) : 400;

	for (unsigned long i = 0; i < runs; i++) {
		state = seed + i;
		one(count > 3 ? words[3] : NULL, i);
	}
	return 0;
}
#endif
