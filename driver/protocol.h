/* SPDX-License-Identifier: MIT */
/*
 * protocol.h - what the Windows driver, its service and the command say to one another
 *
 * The driver, driveway.sys, has two devices that programs open:
 *
 *    \\.\DrivewayControl         the command: ADD_DISK, DELETE_DISK, GET_DISKS
 *    \\.\DrivewayCommunication   the service: START, SEND_REQUEST, RECEIVE_RESPONSE, FILE_CACHE_CONTROL, STOP
 *
 * The service offers buffers by SEND_REQUEST, which stays pending until there is a request; the driver puts the request
 * into the buffer and completes it (an inverted call). The answer goes back by RECEIVE_RESPONSE. Answers come in any
 * order. Many SEND_REQUESTs may wait at once.
 *
 *    program                driveway.sys                                drivewayd.exe
 *    ReadFile --IRP_MJ_READ--> queue --+--- SEND_REQUEST (waits) <--------- offers a buffer
 *                                      +--> FS_READ, id 7 ----------------> dw_filesystem.read
 *    done <------ IRP completed <---------- RECEIVE_RESPONSE, id 7 <------- status, bytes
 *
 * Ids of requests are drawn at random: an answer whose id, type or length is not that of a request which was given to
 * this very service is refused, and changes nothing. A request keeps its id when the service died and it is given to
 * the next one, with FS_REQUEST_REPLAYED set: what had taken effect is known by it.
 *
 * Numbers are little-endian, structs are packed by hand: every member lies at a multiple of its size, every struct is a
 * multiple of 8 bytes long, and nothing in it is left uninitialised. Text is UTF-16 without a NUL; lengths and offsets
 * are in bytes, and an offset counts from the beginning of the struct that holds it. Times are in units of 100 ns since
 * 1601-01-01 UTC; 0: not known (answers), leave it (requests). Status values are NTSTATUS.
 *
 * This header includes nothing of Windows: the driver, programs for Win32, and tests on other systems use it alike.
 */
#ifndef DRIVEWAY_DRIVER_PROTOCOL_H
#define DRIVEWAY_DRIVER_PROTOCOL_H

#include <stdint.h>

/* Changes whenever an older service cannot work with the driver any more; START refuses another one. */
#define FS_PROTOCOL_VERSION 1u

#define FS_CONTROL_NAME	      "DrivewayControl"
#define FS_COMMUNICATION_NAME "DrivewayCommunication"
#define FS_REDIRECTOR_NAME    "DrivewayRedirector"

/* --- Control codes: CTL_CODE(type, function, method, access) -------------------------------------------- */

#define FS_DEVICE_TYPE	   0x8d17u /* of those that are free for makers of devices */
#define FS_METHOD_BUFFERED 0u
#define FS_METHOD_IN	   1u /* METHOD_IN_DIRECT */
#define FS_METHOD_OUT	   2u /* METHOD_OUT_DIRECT */
#define FS_ACCESS_READ	   1u
#define FS_ACCESS_WRITE	   2u
#define FS_CODE(function, method, access)                                                                              \
	((uint32_t)(FS_DEVICE_TYPE << 16 | (access) << 14 | (0x800u + (function)) << 2 | (method)))

/* In: struct fs_add_disk; out: struct fs_added_disk. */
#define IOCTL_FS_ADD_DISK FS_CODE(1u, FS_METHOD_BUFFERED, FS_ACCESS_WRITE)
/* In: struct fs_delete_disk. */
#define IOCTL_FS_DELETE_DISK FS_CODE(2u, FS_METHOD_BUFFERED, FS_ACCESS_WRITE)
/* Out: struct fs_disk, one after another; STATUS_BUFFER_OVERFLOW when there are more. */
#define IOCTL_FS_GET_DISKS FS_CODE(3u, FS_METHOD_BUFFERED, FS_ACCESS_READ)

/* In: struct fs_start; out: struct fs_started. */
#define IOCTL_FS_START FS_CODE(16u, FS_METHOD_BUFFERED, FS_ACCESS_READ | FS_ACCESS_WRITE)
#define IOCTL_FS_STOP  FS_CODE(17u, FS_METHOD_BUFFERED, FS_ACCESS_READ | FS_ACCESS_WRITE)
/* Out: one struct fs_request; room for FS_REQUEST_MAX bytes. */
#define IOCTL_FS_SEND_REQUEST FS_CODE(18u, FS_METHOD_OUT, FS_ACCESS_READ | FS_ACCESS_WRITE)
/* In: one struct fs_response. What a read, a listing or a security descriptor brought is in the second buffer. */
#define IOCTL_FS_RECEIVE_RESPONSE FS_CODE(19u, FS_METHOD_IN, FS_ACCESS_READ | FS_ACCESS_WRITE)
/* In: struct fs_cache_control. */
#define IOCTL_FS_FILE_CACHE_CONTROL FS_CODE(20u, FS_METHOD_BUFFERED, FS_ACCESS_READ | FS_ACCESS_WRITE)

/* --- Limits ---------------------------------------------------------------------------------------------- */

#define FS_PATH_MAX	65534u	       /* bytes of a path */
#define FS_NAME_MAX	510u	       /* bytes of one name */
#define FS_LABEL_MAX	64u	       /* bytes of a volume's label */
#define FS_TEXT_MAX	32768u	       /* bytes of a source, and of all options of a disk */
#define FS_TRANSFER_MAX (1024u * 1024) /* bytes of one read or write; the driver cuts longer ones */
#define FS_REQUEST_MAX	((uint32_t)(sizeof(struct fs_request) + FS_TRANSFER_MAX))
#define FS_DISKS_MAX	26u

/* --- The control device ---------------------------------------------------------------------------------- */

/* A piece of text behind the struct. */
struct fs_text {
	uint32_t offset;
	uint32_t length;
};

#define FS_DISK_READ_ONLY (1u << 0)

/*
 * A new drive. Text: source is "PROVIDER:REST"; label may be empty: then the volume gets a generated name; options are
 * "key=value" one after another, each ended by a NUL. The call ends when the service has opened the source: with its
 * status, and when that is a failure everything is as it was.
 *    STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_COLLISION (the letter is taken), STATUS_DEVICE_NOT_READY (no service
 *    runs), STATUS_INSUFFICIENT_RESOURCES, or what the service answers.
 */
struct fs_add_disk {
	uint32_t size;	 /* of it all */
	uint16_t letter; /* 'A' to 'Z'; 0: the first that is free from 'Z' down */
	uint16_t reserved;
	uint32_t flags; /* FS_DISK_* */
	uint32_t reserved2;
	struct fs_text label, source, cache, options;
};

struct fs_added_disk {
	uint64_t disk; /* its number, never used again */
	uint16_t letter;
	uint16_t reserved[3];
};

#define FS_DELETE_FORCE (1u << 0) /* also while files are open: they get STATUS_VOLUME_DISMOUNTED from then on */

/* STATUS_NO_SUCH_DEVICE, STATUS_DEVICE_BUSY (files are open). */
struct fs_delete_disk {
	uint16_t letter;
	uint16_t reserved;
	uint32_t flags; /* FS_DELETE_* */
};

struct fs_disk {
	uint64_t disk;
	uint16_t letter;
	uint16_t reserved;
	uint32_t flags;	     /* FS_DISK_* */
	uint32_t open_files; /* handles, and what the system holds of them */
	uint32_t waiting;    /* requests that no answer has come for */
	uint16_t label_length;
	uint16_t volume_length;
	uint32_t source_length;
	uint16_t label[FS_LABEL_MAX / 2];
	uint16_t volume[64];  /* the device's name behind \Device\ */
	uint16_t source[256]; /* source_length bytes of it, all that fit */
};

/* --- The communication device: beginning and end --------------------------------------------------------- */

/*
 * From now on the handle's owner is the service. STATUS_REVISION_MISMATCH; STATUS_DEVICE_BUSY: there is one already.
 * Disks that an earlier service left come as FS_DISK_ADDED with FS_REQUEST_REPLAYED, then their open files as
 * FS_REOPEN, then what was not answered; nothing else is sent before.
 */
struct fs_start {
	uint32_t version;  /* FS_PROTOCOL_VERSION */
	uint32_t patience; /* seconds that requests wait for the next service when this one dies, at most 3600 */
};

struct fs_started {
	uint32_t version;
	uint32_t disks; /* that are taken over */
};

/* --- Files ----------------------------------------------------------------------------------------------- */

/* What is known of a file, in answers. */
struct fs_file {
	uint64_t node; /* the same for every open of a file, and of no other file of the disk at the same time */
	uint64_t size;
	uint64_t allocated; /* bytes */
	uint64_t created, accessed, written, changed;
	uint32_t attributes;  /* FILE_ATTRIBUTE_* */
	uint32_t reparse_tag; /* IO_REPARSE_TAG_*, with FILE_ATTRIBUTE_REPARSE_POINT */
	uint32_t links;
	uint32_t reserved;
};

/* One entry of a listing; name_length bytes of name follow, then what is missing to a multiple of 8. */
struct fs_entry {
	uint32_t size; /* of it all */
	uint32_t name_length;
	uint64_t next; /* marker from which a listing goes on behind it; never 0 */
	struct fs_file file;
};

/* --- Requests -------------------------------------------------------------------------------------------- */

enum fs_type {
	FS_DISK_ADDED = 1,
	FS_DISK_REMOVED,
	FS_CREATE,
	FS_REOPEN,
	FS_OVERWRITE,
	FS_CLEANUP,
	FS_CLOSE,
	FS_READ,
	FS_WRITE,
	FS_FLUSH,
	FS_QUERY_FILE,
	FS_SET_BASIC,
	FS_SET_SIZE,
	FS_RENAME,
	FS_CAN_DELETE,
	FS_LIST,
	FS_QUERY_VOLUME,
	FS_SET_LABEL,
	FS_QUERY_SECURITY,
	FS_SET_SECURITY,
	FS_FILE_CONTROL,
	FS_CANCEL,
	FS_TYPES
};

#define FS_REQUEST_REPLAYED (1u << 0) /* an earlier service was given it, and may have done it */

#define FS_OPEN_CASE_SENSITIVE (1u << 0)
#define FS_OPEN_TARGET_FOLDER  (1u << 1) /* the folder that the name is in (SL_OPEN_TARGET_DIRECTORY) */
#define FS_OPEN_REPARSE	       (1u << 2) /* STATUS_REPARSE is an answer */

/*
 * Open or make a file. name is the whole path from the root, "\a\b", "\" the root itself. A file that is there and is
 * to be overwritten or superseded is opened only; the driver looks whether that may be and then sends FS_OVERWRITE.
 * Links that lead to somewhere on the disk are followed by the service. One that leads elsewhere is answered, with
 * FS_OPEN_REPARSE, by STATUS_REPARSE: no file is open, data is its REPARSE_DATA_BUFFER, information how many bytes of
 * name are behind it; without, by STATUS_REPARSE_POINT_NOT_RESOLVED.
 */
struct fs_create {
	uint32_t access;      /* ACCESS_MASK that is asked for */
	uint32_t options;     /* FILE_* of CreateOptions */
	uint32_t disposition; /* FILE_SUPERSEDE to FILE_OVERWRITE_IF */
	uint32_t attributes;  /* of a new file */
	uint64_t allocation;
	uint32_t flags; /* FS_OPEN_* */
	uint32_t reserved;
	struct fs_text name;
	uint64_t file; /* FS_REOPEN: what it was called; 0 */
};

struct fs_overwrite {
	uint32_t attributes;
	uint32_t supersede; /* 1: its attributes are replaced; 0: added to */
	uint64_t allocation;
};

#define FS_CLEANUP_DELETE (1u << 0) /* the last handle of a file that is to be deleted: its name goes now */

struct fs_cleanup {
	uint32_t flags; /* FS_CLEANUP_* */
	uint32_t reserved;
	struct fs_text name; /* with FS_CLEANUP_DELETE */
};

#define FS_IO_PAGING (1u << 0) /* of a mapped file: a write beyond the end is cut off there */
#define FS_IO_APPEND (1u << 1) /* write at the end of the file, whatever offset says */

/* FS_READ, FS_WRITE: data, of a write, is behind the request. */
struct fs_io {
	uint64_t offset;
	uint32_t length;
	uint32_t flags; /* FS_IO_* */
	uint32_t data;	/* offset of the data */
	uint32_t reserved;
};

/* 0: leave it. */
struct fs_set_basic {
	uint64_t created, accessed, written, changed;
	uint32_t attributes;
	uint32_t reserved;
};

#define FS_SIZE_END	   1u
#define FS_SIZE_ALLOCATION 2u

struct fs_set_size {
	uint64_t size;
	uint32_t what; /* FS_SIZE_* */
	uint32_t reserved;
};

#define FS_RENAME_REPLACE (1u << 0)
#define FS_RENAME_LINK	  (1u << 1) /* a further name instead (FileLinkInformation) */

/* Both are whole paths. */
struct fs_rename {
	struct fs_text from, to;
	uint32_t flags; /* FS_RENAME_* */
	uint32_t reserved;
};

#define FS_LIST_ONE (1u << 0) /* no more than one entry is wanted */

/*
 * pattern as FsRtlIsNameInExpression has it, in any case of letters; empty: every name. A folder but the root has "."
 * and ".." first. When there is nothing (more): STATUS_NO_SUCH_FILE from the beginning, STATUS_NO_MORE_FILES from a
 * marker; STATUS_BUFFER_TOO_SMALL when not even one entry fits.
 */
struct fs_list {
	uint64_t marker; /* 0: from the beginning */
	uint32_t room;	 /* bytes that the answer may have */
	uint32_t flags;	 /* FS_LIST_* */
	struct fs_text pattern;
};

/* FS_QUERY_SECURITY: room; FS_SET_SECURITY: descriptor, self-relative. STATUS_BUFFER_OVERFLOW brings no data. */
struct fs_security {
	uint32_t information; /* SECURITY_INFORMATION */
	uint32_t room;
	struct fs_text descriptor;
};

/* FS_FILE_CONTROL: an FSCTL_* of reparse points; what it brings is the data of the answer. */
struct fs_file_control {
	uint32_t code;
	uint32_t room;
	struct fs_text input;
};

/* FS_DISK_ADDED. */
struct fs_disk_added {
	uint16_t letter;
	uint16_t reserved;
	uint32_t flags; /* FS_DISK_* */
	struct fs_text label, source, cache, options;
};

/*
 * What is not said for a type is 0. FS_FLUSH of file 0 is the whole disk; FS_DISK_REMOVED closes all its files, and may
 * be of a disk that this service was not told of. FS_QUERY_VOLUME and FS_SET_LABEL have no file. FS_SET_LABEL has only
 * text; FS_CANCEL only the id of another request, and no answer.
 */
struct fs_request {
	uint32_t size; /* of it all */
	uint32_t type; /* enum fs_type */
	uint64_t id;
	uint64_t disk;
	uint64_t file; /* what CREATE answered; 0 where none is meant */
	uint32_t process;
	uint32_t flags; /* FS_REQUEST_* */
	union {
		struct fs_disk_added disk_added;
		struct fs_create create;
		struct fs_overwrite overwrite;
		struct fs_cleanup cleanup;
		struct fs_io io;
		struct fs_set_basic basic;
		struct fs_set_size set_size;
		struct fs_rename rename;
		struct fs_list list;
		struct fs_security security;
		struct fs_file_control control;
		struct fs_text text;
		uint64_t cancelled;
		uint64_t room[8];
	} u;
};

/* --- Answers --------------------------------------------------------------------------------------------- */

/* FS_CREATE, FS_REOPEN. */
struct fs_created {
	uint64_t file; /* the service's name of this open file; not 0 */
	/*
	 * FILE_OPENED, FILE_CREATED; FILE_OVERWRITTEN or FILE_SUPERSEDED: OVERWRITE is to come. With
	 * FS_OPEN_TARGET_FOLDER: FILE_EXISTS or FILE_DOES_NOT_EXIST.
	 */
	uint32_t information;
	uint32_t granted; /* ACCESS_MASK, of what was asked for */
};

struct fs_volume {
	uint64_t total, free, available; /* bytes */
	uint64_t created;
	uint32_t serial;
	uint32_t attributes; /* FILE_* of FileFsAttributeInformation */
	uint32_t name_max;   /* characters */
	uint32_t unit;	     /* bytes of an allocation unit, a multiple of 512 */
	uint32_t label_length;
	uint32_t reserved;
	uint16_t label[FS_LABEL_MAX / 2];
};

/*
 * data is how many bytes of the second buffer count: what was read, entries, a descriptor. information: bytes that were
 * written. file: FS_CREATE, FS_REOPEN, FS_OVERWRITE, FS_WRITE, FS_QUERY_FILE, FS_SET_BASIC, FS_SET_SIZE, of the file as
 * it is then. A status that is a failure makes all of it 0, but for STATUS_BUFFER_OVERFLOW with data of that type.
 */
struct fs_response {
	uint32_t size; /* sizeof(struct fs_response) */
	uint32_t type; /* the request's */
	uint64_t id;   /* the request's */
	int32_t status;
	uint32_t data;
	uint64_t information;
	struct fs_file file;
	union {
		struct fs_created created;
		struct fs_volume volume;
	} u;
};

/* --- News from the service ------------------------------------------------------------------------------- */

enum fs_cache_operation {
	FS_CACHE_PURGE = 1, /* what the system has cached of the file goes, unwritten changes of a mapping with it */
	FS_CACHE_FLUSH,	    /* what a mapping has changed is written */
	FS_CACHE_CHANGED,   /* programs that watch the folder of name are told of action and filter */
};

/*
 * STATUS_NO_SUCH_DEVICE, STATUS_INVALID_PARAMETER, STATUS_USER_MAPPED_FILE (purge: a program has it mapped). A file
 * that the system has nothing of is no error.
 */
struct fs_cache_control {
	uint32_t size;	    /* of it all */
	uint32_t operation; /* enum fs_cache_operation */
	uint64_t disk;
	uint64_t node;		 /* of purge and flush */
	uint64_t offset, length; /* length 0: to the end */
	uint32_t action;	 /* FILE_ACTION_* */
	uint32_t filter;	 /* FILE_NOTIFY_CHANGE_* */
	struct fs_text name;	 /* whole path */
};

#endif
