/* SPDX-License-Identifier: MIT */
/*
 * emulated.h - a Box account of the emulator's, for the tests of the Box remote
 *
 * emulated_start runs the emulator with its data in a temporary folder, and makes a state folder for logins beside it.
 * Failures end the test program. Threads: one.
 */
#ifndef TESTS_BOX_EMULATED_H
#define TESTS_BOX_EMULATED_H

#include <driveway/remote.h>
#include <jansson.h>
#include <sys/types.h>

#define EMULATED_OPTIONS 20

struct emulated {
	char room[64];	/* temporary folder */
	char state[96]; /* for logins */
	char api[128];
	char secure[128]; /* the API over TLS, as nobody trusts it without ca */
	char ca[128];
	char control[256];
	char token[128];
	pid_t pid;
	struct http_client *http;
};

/* setting: "name=number" of the emulator; NULL: none. */
void emulated_start(struct emulated *emulated, const char *program, const char *setting);
void emulated_stop(struct emulated *emulated);
/* A call of the control interface; body may be NULL. The answer is the caller's; NULL: there is none. */
json_t *emulated_control(struct emulated *emulated, const char *method, const char *path, const char *body);
/* How many calls of this kind there were; NULL: of all. */
long emulated_count(struct emulated *emulated, const char *kind);
/* Open the remote. more: "key=value"..., ends with NULL; the API's address is always given. -errno as open says. */
int emulated_open(struct emulated *emulated, const char *rest, const char *const *more, struct dw_remote **out,
		  char *error, size_t error_size);
/* The same for a login; ask answers answers[0], answers[1], ... (NULL: -ECANCELED); browse goes to the page, and on to
 * where it leads when follow is set, or keeps where it leads in answers[0]. */
struct emulated_person {
	struct dw_remote_login login;
	struct emulated *emulated;
	bool follow;
	unsigned asked;
	char answers[3][1024];
	char said[256];
};
int emulated_login(struct emulated *emulated, const char *const *more, struct emulated_person *person, char *error,
		   size_t error_size);

extern const struct dw_remote_provider driveway_remote;

#endif
