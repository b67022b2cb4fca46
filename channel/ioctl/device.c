/* SPDX-License-Identifier: MIT */
#include "channel/ioctl/device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Not nt.h: this is the file that has Windows' own. */
#include <windows.h>

#include "channel/ioctl/dispatch.h"

#define OFFERS	     16u	  /* buffers that lie with the driver */
#define SMALL	     (16u * 1024) /* what is copied so that the buffer can go back */
#define REPARSE_ROOM 16384u

#define NT_INSUFFICIENT_RESOURCES ((int32_t)0xC000009A)
#define NT_INVALID_PARAMETER	  ((int32_t)0xC000000D)
#define NT_NO_SUCH_DEVICE	  ((int32_t)0xC000000E)
#define NT_UNEXPECTED_IO_ERROR	  ((int32_t)0xC00000E9)

/* One buffer with the driver. */
struct offer {
	OVERLAPPED overlapped; /* first */
	void *buffer;	       /* FS_REQUEST_MAX */
};

/* One request in its work item. */
struct item {
	struct ioctl_device *device;
	void *message; /* malloc, or an offer's buffer */
	size_t size;
};

struct disk {
	uint64_t number;
	struct volume *volume; /* NULL: no disk */
	unsigned users;
	bool removing;
};

struct ioctl_device {
	struct ioctl_owner *owner;
	HANDLE handle;
	TP_IO *io;
	struct offer offers[OFFERS];

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct disk disks[FS_DISKS_MAX];
	unsigned items;	  /* work items under way */
	unsigned offered; /* buffers with the driver */
	bool closing;
	bool lost;
};

/* --- Talking to the driver --- */

/* A control code, waited for: 0 or the error of Win32. */
static DWORD control(HANDLE handle, DWORD code, const void *in, DWORD in_size, void *out, DWORD out_size)
{
	OVERLAPPED overlapped = {.Internal = 0};
	DWORD error = 0, done;
	HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);

	if (!event)
		return GetLastError();
	/* The low bit keeps the thread pool out of it: who asks waits himself. */
	overlapped.hEvent = (HANDLE)((ULONG_PTR)event | 1);
	if (!DeviceIoControl(handle, code, (void *)(uintptr_t)in, in_size, out, out_size, NULL, &overlapped))
		error = GetLastError();
	if (error == ERROR_IO_PENDING) {
		error = 0;
		WaitForSingleObject(event, INFINITE);
		if (!GetOverlappedResult(handle, &overlapped, &done, TRUE))
			error = GetLastError();
	}
	CloseHandle(event);
	return error;
}

static void tell_lost(struct ioctl_device *device)
{
	bool first;

	pthread_mutex_lock(&device->lock);
	first = !device->lost && !device->closing;
	device->lost = true;
	pthread_mutex_unlock(&device->lock);
	if (first)
		device->owner->lost(device->owner);
}

/* Give a buffer to the driver. */
static void offer_send(struct ioctl_device *device, struct offer *offer)
{
	DWORD error = 0;

	pthread_mutex_lock(&device->lock);
	if (device->closing || !offer->buffer) {
		pthread_mutex_unlock(&device->lock);
		return;
	}
	device->offered++;
	pthread_mutex_unlock(&device->lock);
	memset(&offer->overlapped, 0, sizeof(offer->overlapped));
	StartThreadpoolIo(device->io);
	if (!DeviceIoControl(device->handle, IOCTL_FS_SEND_REQUEST, NULL, 0, offer->buffer, FS_REQUEST_MAX, NULL,
			     &offer->overlapped))
		error = GetLastError();
	if (error == 0 || error == ERROR_IO_PENDING)
		return;
	CancelThreadpoolIo(device->io);
	pthread_mutex_lock(&device->lock);
	device->offered--;
	pthread_cond_broadcast(&device->changed);
	pthread_mutex_unlock(&device->lock);
	tell_lost(device);
}

/* --- Disks --- */

static struct disk *find(struct ioctl_device *device, uint64_t number)
{
	for (size_t i = 0; i < FS_DISKS_MAX; i++)
		if (device->disks[i].volume && device->disks[i].number == number && !device->disks[i].removing)
			return &device->disks[i];
	return NULL;
}

static struct disk *disk_get(struct ioctl_device *device, uint64_t number)
{
	struct disk *disk;

	pthread_mutex_lock(&device->lock);
	disk = find(device, number);
	if (disk)
		disk->users++;
	pthread_mutex_unlock(&device->lock);
	return disk;
}

static void disk_put(struct ioctl_device *device, struct disk *disk)
{
	pthread_mutex_lock(&device->lock);
	disk->users--;
	pthread_cond_broadcast(&device->changed);
	pthread_mutex_unlock(&device->lock);
}

static int32_t disk_add(struct ioctl_device *device, const struct fs_request *request)
{
	struct volume *volume;
	struct disk *place = NULL;
	int32_t status = device->owner->disk_added(device->owner, request, &volume);

	if (status < 0)
		return status;
	pthread_mutex_lock(&device->lock);
	for (size_t i = 0; i < FS_DISKS_MAX && !find(device, request->disk); i++) {
		if (device->disks[i].volume)
			continue;
		place = &device->disks[i];
		*place = (struct disk){.number = request->disk, .volume = volume};
		break;
	}
	pthread_mutex_unlock(&device->lock);
	if (place)
		return status;
	device->owner->disk_removed(device->owner, request->disk, volume, false);
	return NT_INSUFFICIENT_RESOURCES;
}

static int32_t disk_remove(struct ioctl_device *device, uint64_t number, bool unmapped)
{
	struct volume *volume;
	struct disk *disk;

	pthread_mutex_lock(&device->lock);
	disk = find(device, number);
	if (!disk) {
		pthread_mutex_unlock(&device->lock);
		return NT_NO_SUCH_DEVICE;
	}
	disk->removing = true;
	while (disk->users)
		pthread_cond_wait(&device->changed, &device->lock);
	volume = disk->volume;
	pthread_mutex_unlock(&device->lock);
	device->owner->disk_removed(device->owner, number, volume, unmapped);
	pthread_mutex_lock(&device->lock);
	disk->volume = NULL;
	pthread_mutex_unlock(&device->lock);
	return 0;
}

/* --- Requests --- */

/* Room that the answer may need. */
static size_t room_of(const struct fs_request *in)
{
	size_t room = 0;

	if (in->type == FS_READ)
		room = in->u.io.length;
	else if (in->type == FS_LIST)
		room = in->u.list.room;
	else if (in->type == FS_QUERY_SECURITY)
		room = in->u.security.room;
	else if (in->type == FS_FILE_CONTROL)
		room = in->u.control.room;
	else if (in->type == FS_CREATE)
		room = REPARSE_ROOM;
	return room < FS_TRANSFER_MAX ? room : FS_TRANSFER_MAX;
}

static void answer(struct ioctl_device *device, const struct item *item)
{
	struct fs_request in = {.size = 0};
	struct fs_response response;
	uint32_t ticket = IOCTL_NO_TICKET;
	struct disk *disk = NULL;
	void *data = NULL;
	size_t room;

	memcpy(&in, item->message, item->size < sizeof(in) ? item->size : sizeof(in));
	room = room_of(&in);
	if (room)
		data = malloc(room);
	if (room && !data) {
		ioctl_refuse(item->message, item->size, NT_INSUFFICIENT_RESOURCES, &response);
	} else if (!ioctl_check(item->message, item->size, room)) {
		ioctl_refuse(item->message, item->size, NT_INVALID_PARAMETER, &response);
	} else if (in.type == FS_DISK_ADDED) {
		ioctl_refuse(item->message, item->size, disk_add(device, item->message), &response);
	} else if (in.type == FS_DISK_REMOVED) {
		ioctl_refuse(item->message, item->size, disk_remove(device, in.disk, true), &response);
	} else {
		disk = disk_get(device, in.disk);
		if (disk)
			ticket = ioctl_dispatch(disk->volume, item->message, item->size, &response, data, room);
		else
			ioctl_refuse(item->message, item->size, NT_NO_SUCH_DEVICE, &response);
	}
	/* A request that was taken back has no place for its answer any more, and a cancellation has none at all. */
	if (in.type != FS_CANCEL &&
	    control(device->handle, IOCTL_FS_RECEIVE_RESPONSE, &response, sizeof(response), data, response.data)) {
		/* Or the driver does not believe this answer: then the program is not to wait for ever. */
		ioctl_refuse(item->message, item->size, NT_UNEXPECTED_IO_ERROR, &response);
		(void)control(device->handle, IOCTL_FS_RECEIVE_RESPONSE, &response, sizeof(response), NULL, 0);
	}
	if (disk) {
		ioctl_answered(disk->volume, ticket);
		disk_put(device, disk);
	}
	free(data);
}

static void CALLBACK work_item(TP_CALLBACK_INSTANCE *instance, void *context)
{
	struct item *item = context;
	struct ioctl_device *device = item->device;

	/* It may wait for a network: the pool is to start another thread if it needs one. */
	(void)CallbackMayRunLong(instance);
	answer(device, item);
	free(item->message);
	free(item);
	pthread_mutex_lock(&device->lock);
	device->items--;
	pthread_cond_broadcast(&device->changed);
	pthread_mutex_unlock(&device->lock);
}

/* The request that came in offer's buffer to a work item of its own. A small one leaves the buffer where it is. */
static bool hand_over(struct ioctl_device *device, struct offer *offer, size_t size)
{
	struct item *item = malloc(sizeof(*item));
	void *other = malloc(size <= SMALL ? size : FS_REQUEST_MAX);

	if (!item || !other) {
		free(item);
		free(other);
		return false;
	}
	*item = (struct item){.device = device, .size = size};
	if (size <= SMALL) {
		memcpy(other, offer->buffer, size);
		item->message = other;
	} else {
		item->message = offer->buffer;
		offer->buffer = other;
	}
	pthread_mutex_lock(&device->lock);
	device->items++;
	pthread_mutex_unlock(&device->lock);
	if (TrySubmitThreadpoolCallback(work_item, item, NULL))
		return true;
	pthread_mutex_lock(&device->lock);
	device->items--;
	pthread_mutex_unlock(&device->lock);
	if (size > SMALL) {
		other = offer->buffer;
		offer->buffer = item->message;
	}
	free(other);
	free(item);
	return false;
}

/* A buffer came back from the driver: with a request, or because the driver gives all of them back. */
static void CALLBACK DeviceRequestThreadProc(TP_CALLBACK_INSTANCE *instance, void *context, void *overlapped,
					     ULONG error, ULONG_PTR size, TP_IO *io)
{
	struct ioctl_device *device = context;
	struct offer *offer = (struct offer *)overlapped;
	struct fs_response response;

	(void)instance;
	(void)io;
	if (!error && size >= sizeof(struct fs_request) && size <= FS_REQUEST_MAX &&
	    !hand_over(device, offer, (size_t)size)) {
		ioctl_refuse(offer->buffer, (size_t)size, NT_INSUFFICIENT_RESOURCES, &response);
		if (response.type != FS_CANCEL)
			(void)control(device->handle, IOCTL_FS_RECEIVE_RESPONSE, &response, sizeof(response), NULL, 0);
	}
	if (error)
		tell_lost(device);
	else
		offer_send(device, offer);
	/* Last: from then on the device may be gone. */
	pthread_mutex_lock(&device->lock);
	device->offered--;
	pthread_cond_broadcast(&device->changed);
	pthread_mutex_unlock(&device->lock);
}

/* --- Beginning and end --- */

static void device_free(struct ioctl_device *device)
{
	if (device->io)
		CloseThreadpoolIo(device->io);
	if (device->handle != INVALID_HANDLE_VALUE)
		CloseHandle(device->handle);
	for (size_t i = 0; i < OFFERS; i++)
		free(device->offers[i].buffer);
	pthread_mutex_destroy(&device->lock);
	pthread_cond_destroy(&device->changed);
	free(device);
}

static DWORD device_start(struct ioctl_device *device, uint32_t patience)
{
	struct fs_start start = {.version = FS_PROTOCOL_VERSION, .patience = patience};
	struct fs_started started;

	device->handle = CreateFileW(L"\\\\.\\DrivewayCommunication", GENERIC_READ | GENERIC_WRITE, 0, NULL,
				     OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
	if (device->handle == INVALID_HANDLE_VALUE)
		return GetLastError();
	device->io = CreateThreadpoolIo(device->handle, DeviceRequestThreadProc, device, NULL);
	if (!device->io)
		return GetLastError();
	return control(device->handle, IOCTL_FS_START, &start, sizeof(start), &started, sizeof(started));
}

uint32_t ioctl_device_open(struct ioctl_device **out, struct ioctl_owner *owner, uint32_t patience)
{
	struct ioctl_device *device = calloc(1, sizeof(*device));
	DWORD error = 0;

	if (!device)
		return ERROR_NOT_ENOUGH_MEMORY;
	device->owner = owner;
	device->handle = INVALID_HANDLE_VALUE;
	pthread_mutex_init(&device->lock, NULL);
	pthread_cond_init(&device->changed, NULL);
	for (size_t i = 0; i < OFFERS && !error; i++) {
		device->offers[i].buffer = malloc(FS_REQUEST_MAX);
		if (!device->offers[i].buffer)
			error = ERROR_NOT_ENOUGH_MEMORY;
	}
	if (!error)
		error = device_start(device, patience);
	if (error) {
		device_free(device);
		return error;
	}
	*out = device;
	for (size_t i = 0; i < OFFERS; i++)
		offer_send(device, &device->offers[i]);
	return 0;
}

void ioctl_device_close(struct ioctl_device *device, bool stop)
{
	pthread_mutex_lock(&device->lock);
	device->closing = true;
	pthread_mutex_unlock(&device->lock);
	/* Both give the buffers back. */
	if (stop)
		(void)control(device->handle, IOCTL_FS_STOP, NULL, 0, NULL, 0);
	CancelIoEx(device->handle, NULL);
	pthread_mutex_lock(&device->lock);
	while (device->offered || device->items)
		pthread_cond_wait(&device->changed, &device->lock);
	pthread_mutex_unlock(&device->lock);
	WaitForThreadpoolIoCallbacks(device->io, FALSE);
	for (size_t i = 0; i < FS_DISKS_MAX; i++)
		if (device->disks[i].volume)
			(void)disk_remove(device, device->disks[i].number, false);
	device_free(device);
}
