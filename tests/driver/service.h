/* SPDX-License-Identifier: MIT */
/*
 * service.h - a scripted service for tests of the driver: it takes requests, and answers them from files in memory
 *
 * The files (struct model) outlive a service, so that the next one takes over. A test may answer by itself (answer),
 * have requests kept (hold), or see each one (seen). service_pump is what nt_pump wants: it lets the service do one
 * thing.
 */
#ifndef TESTS_DRIVER_SERVICE_H
#define TESTS_DRIVER_SERVICE_H

#include <ntkernel.h>

#include "driver/protocol.h"

#define MODEL_FILES 64
#define OFFERS	    4

struct model_file {
	bool used, folder, deleted;
	uint16_t path[128];
	uint32_t path_length; /* bytes */
	uint64_t node;
	uint32_t attributes, opens;
	char *data;
	uint64_t size;
};

struct model {
	struct model_file files[MODEL_FILES];
	uint64_t last_node, last_open;
	struct {
		uint64_t name; /* 0: free */
		struct model_file *file;
	} opens[256];
};

struct service;
/* True: the test has filled in the answer, and *data of response->data bytes. */
typedef bool service_answer_fn(struct service *service, const struct fs_request *request, struct fs_response *response,
			       void **data);

struct service {
	struct nt_process *process;
	HANDLE handle;
	struct model *model;
	struct {
		struct nt_request *request;
		char *buffer;
	} offers[OFFERS];
	bool leave;
	bool lenient; /* files that it does not know may be named: it has lied about them */
	bool hold;    /* what comes is kept, not answered */
	struct fs_request *held[256];
	unsigned held_count;
	service_answer_fn *answer;
	void *context;
	unsigned seen[FS_TYPES], replayed;
	NTSTATUS last_refusal; /* of an answer */
	struct fs_request *last;
};

void model_init(struct model *model);
void model_free(struct model *model);
struct model_file *model_add(struct model *model, const char *path, bool folder, const char *data);
struct model_file *model_find(struct model *model, const char *path);

/* Opens the communication device and says START. */
NTSTATUS service_start(struct service *service, struct model *model, uint32_t patience);
void service_offer(struct service *service);
bool service_step(struct service *service);
bool service_pump(void *service);
/* For a thread of its own, until leave is set; it is cleared then. */
void service_thread(void *service);
/* Answers by the model, or as response says. */
void service_reply(struct service *service, struct fs_request *request);
NTSTATUS service_respond(struct service *service, const struct fs_response *response, void *data, uint32_t room);
void service_release(struct service *service); /* answers what is held */
NTSTATUS service_stop(struct service *service);
void service_die(struct service *service); /* the process ends */

/* Lets the service run until the request is done. */
NTSTATUS run(struct nt_request *request, ULONG_PTR *information);
HANDLE control_open(unsigned account, NTSTATUS *status);
NTSTATUS map(HANDLE control, char letter, const char *source, struct fs_added_disk *added);
NTSTATUS unmap(HANDLE control, char letter, bool force);
struct nt_request *map_start(HANDLE control, char letter, const char *source, struct fs_added_disk *added);
uint32_t disks_count(HANDLE control);

NTSTATUS open_file(const char *path, ACCESS_MASK access, ULONG disposition, ULONG options, HANDLE *handle,
		   ULONG_PTR *information);

#endif
