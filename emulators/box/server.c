/* SPDX-License-Identifier: MIT */
#include "emulators/box/server.h"

#include "emulators/box/answer.h"
#include "emulators/box/body.h"
#include "emulators/box/control.h"
#include "emulators/box/events.h"
#include "emulators/box/oauth.h"
#include "emulators/box/route.h"
#include "emulators/box/upload.h"
#include "support/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTION_MEMORY (256u << 10)
#define CONNECTIONS	  2000

struct server {
	struct emulator *emulator;
	struct MHD_Daemon *daemon;
	int port;
	bool secure, control;
};

const char *request_header(struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_query(struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

int64_t request_query_number(struct request *request, const char *name, int64_t otherwise, int64_t most)
{
	const char *text = request_query(request, name);
	uint64_t number;

	if (!text)
		return otherwise;
	return text_parse_number(text, (uint64_t)most, &number) ? -1 : (int64_t)number;
}

bool request_query_true(struct request *request, const char *name)
{
	const char *text = request_query(request, name);

	return text && (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

json_t *request_json(struct request *request)
{
	json_t *body = request->body_size ? json_loadb(request->body, request->body_size, 0, NULL) : json_object();

	if (json_is_object(body))
		return body;
	json_decref(body);
	answer_error(request, 400, NULL, "The body is no JSON object");
	return NULL;
}

/* The name of a host of Box, or, where the client says an address of this machine, another name of it. */
static const char *request_host_name(const char *name, enum request_host host)
{
	static const char *const names[] = {
		[HOST_API] = "api.box.com",
		[HOST_UPLOAD] = "upload.box.com",
		[HOST_DOWNLOAD] = "dl.boxcloud.com",
	};
	const char *dot = strstr(name, ".box");

	if (dot && (strcmp(dot, ".box.com") == 0 || strcmp(dot, ".boxcloud.com") == 0))
		return names[host];
	if (host == HOST_API)
		return name;
	if (strcmp(name, "127.0.0.1") == 0)
		return "localhost";
	return strcmp(name, "localhost") == 0 ? "127.0.0.1" : name;
}

bool request_base(struct request *request, enum request_host host, char *out, size_t size)
{
	static const char *const paths[] = {[HOST_API] = "/2.0", [HOST_UPLOAD] = "/api/2.0", [HOST_DOWNLOAD] = ""};
	const char *header = request_header(request, "Host"), *port;
	char name[256];

	if (!header || !text_copy(name, sizeof(name), header))
		return false;
	port = header + strcspn(header, ":");
	name[port - header] = '\0';
	/* What comes from outside goes into a URL. */
	if (!*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] ||
	    (*port && port[1 + strspn(port + 1, "0123456789")]))
		return false;
	return text_format(out, size, "%s://%s%s%s", request->secure ? "https" : "http", request_host_name(name, host),
			   port, paths[host]);
}

static struct request *server_request(struct server *server, struct MHD_Connection *connection, const char *url,
				      const char *method)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->emulator = server->emulator;
	request->connection = connection;
	request->secure = server->secure;
	request->answer.fd = -1;
	request->effect.retry_after = -1;
	request->path = strdup(url);
	if (!request->path || !emulator_random_hex(request->id, 8)) {
		free(request->path);
		free(request);
		return NULL;
	}
	text_copy(request->method, sizeof(request->method), method);
	return request;
}

static void server_request_free(struct request *request)
{
	upload_end(request);
	answer_clear(&request->answer);
	free(request->attributes);
	free(request->body);
	free(request->path);
	free(request);
}

/* The headers are here: what will happen to this request. */
static void server_begin(struct server *server, struct request *request)
{
	bool known = false;

	if (server->control)
		return;
	request->route = route_find(request, &known);
	faults_choose(server->emulator->faults, request->route ? request->route->kind : NULL, request->method,
		      request->path, &request->effect);
	if (!request->route) {
		answer_error(request, known ? 405 : 404, NULL, known ? "Method Not Allowed" : "Not Found");
		return;
	}
	if (request->route->body != BODY_COLLECT)
		request->body_error = upload_begin(request);
}

static void server_collect(struct request *request, const char *data, size_t size)
{
	char *more;

	if (size > REQUEST_BODY_MAX - request->body_size) {
		request->body_error = -EFBIG;
		return;
	}
	more = realloc(request->body, request->body_size + size + 1);
	if (!more) {
		request->body_error = -ENOMEM;
		return;
	}
	request->body = more;
	memcpy(more + request->body_size, data, size);
	request->body_size += size;
	more[request->body_size] = '\0';
}

/* False: the connection is to be broken off. */
static bool server_take(struct server *server, struct request *request, const char *data, size_t size)
{
	if (!server->control)
		faults_carry(server->emulator->faults, size, true);
	request->upload_size += size;
	if (fault_has(&request->effect, FAULT_RESET_UPLOAD) &&
	    request->upload_size >= (uint64_t)request->effect.upload_at)
		return false;
	if (request->route && request->route->body != BODY_COLLECT)
		upload_take(request, data, size);
	else if (!request->body_error)
		server_collect(request, data, size);
	return true;
}

static void server_retry_after(struct request *request, int64_t seconds)
{
	char text[24];

	if (seconds < 0)
		return;
	text_format(text, sizeof(text), "%lld", (long long)seconds);
	answer_header(request, "Retry-After", text);
}

/* Faults that answer instead of the handler. */
static bool server_fault_answers(struct request *request)
{
	const struct fault_effect *effect = &request->effect;

	if (fault_has(effect, FAULT_EXPIRED_TOKEN)) {
		oauth_unauthorized(request, true);
	} else if (fault_has(effect, FAULT_STATUS)) {
		answer_error(request, effect->status, *effect->code ? effect->code : NULL, "This was asked for");
		server_retry_after(request, effect->retry_after);
	} else if (fault_has(effect, FAULT_ACCEPTED)) {
		answer_empty(request, 202);
		server_retry_after(request, effect->retry_after);
	} else {
		return false;
	}
	return true;
}

static bool server_within_rates(struct request *request)
{
	struct emulator *emulator = request->emulator;
	bool upload = request->route->upload;
	int64_t now = clock_now(&emulator->clock), limit;
	int wait;

	if (!emulator_setting(emulator, SETTING_RATE_LIMITS))
		return true;
	limit = emulator_setting(emulator, SETTING_CALLS_A_MINUTE);
	wait = rates_take(emulator->rates, request->user.id, false, now, limit);
	if (!wait && upload)
		wait = rates_take(emulator->rates, request->user.id, true, now,
				  emulator_setting(emulator, SETTING_UPLOADS_A_MINUTE));
	if (!wait)
		return true;
	answer_error(request, 429, NULL, "Request rate limit exceeded, please try again later");
	server_retry_after(request, wait);
	return false;
}

static void server_handle(struct request *request)
{
	struct emulator *emulator = request->emulator;
	const struct route *route = request->route;
	struct store *store = emulator->store;
	bool allowed, write = route->lock == LOCK_WRITE;
	int error = 0;

	if (request->body_error == -EFBIG) {
		answer_error(request, 413, "request_entity_too_large", "The body is too large");
		return;
	}
	store_lock(store);
	if (write)
		store_begin(store);
	allowed = (route->open || oauth_check(request)) && (route->open || server_within_rates(request));
	request->actor = request->user.id;
	if (allowed && route->lock != LOCK_NONE)
		route->handler(request);
	if (write && (!allowed || (request->answer.status >= 400 && !route->open) || request->answer.status >= 500))
		store_rollback(store);
	else
		error = write ? store_commit(store) : store_end(store);
	store_unlock(store);
	if (error)
		answer_error(request, 500, NULL, "the database failed");
	else if (allowed && write && request->answer.status < 400)
		events_wake(emulator->events);
	if (allowed && !error && route->lock == LOCK_NONE)
		route->handler(request);
}

static enum MHD_Result server_send(struct server *server, struct request *request)
{
	struct answer *answer = &request->answer;
	struct MHD_Response *response;
	enum MHD_Result result;
	char date[CLOCK_TEXT];
	uint64_t size = answer->fd >= 0 ? answer->length : answer->size;

	if (!server->control) {
		calls_count(server->emulator->calls, request->route ? request->route->kind : NULL, request->method,
			    request->path, answer->status, request->upload_size, size);
	}
	response = body_response(request);
	if (!response)
		return MHD_NO;
	if (answer->type)
		MHD_add_response_header(response, "Content-Type", answer->type);
	for (int i = 0; i < answer->headers; i++)
		MHD_add_response_header(response, answer->header[i].name, answer->header[i].value);
	clock_format_http(date, clock_now(&server->emulator->clock) + request->effect.skew);
	MHD_add_response_header(response, "Date", date);
	MHD_add_response_header(response, "box-request-id", request->id);
	result = MHD_queue_response(request->connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

/* The whole request is here. */
static enum MHD_Result server_finish(struct server *server, struct request *request)
{
	const struct fault_effect *effect = &request->effect;
	struct faults *faults = server->emulator->faults;

	if (server->control) {
		control_handle(request);
		return server_send(server, request);
	}
	if (fault_has(effect, FAULT_LATENCY))
		faults_sleep(faults, effect->latency_ms);
	if (fault_has(effect, FAULT_STALL) && effect->stall_at < 0)
		faults_sleep(faults, effect->stall_seconds * 1000);
	if (faults_wait_dropped(faults, request->route ? request->route->kind : NULL, request->method, request->path) ||
	    fault_has(effect, FAULT_RESET_BEFORE)) {
		body_reset(request->connection);
		return MHD_NO;
	}
	if (!request->answer.status && !server_fault_answers(request))
		server_handle(request);
	if (fault_has(effect, FAULT_RESET_AFTER)) {
		body_reset(request->connection);
		return MHD_NO;
	}
	return server_send(server, request);
}

static enum MHD_Result server_on_request(void *context, struct MHD_Connection *connection, const char *url,
					 const char *method, const char *version, const char *data, size_t *size,
					 void **state)
{
	struct server *server = context;
	struct request *request = *state;

	if (!request) {
		request = server_request(server, connection, url, method);
		if (!request)
			return MHD_NO;
		*state = request;
		server_begin(server, request);
		return MHD_YES;
	}
	if (*size) {
		if (!server_take(server, request, data, *size)) {
			body_reset(connection);
			return MHD_NO;
		}
		*size = 0;
		return MHD_YES;
	}
	return server_finish(server, request);
}

static void server_on_completed(void *context, struct MHD_Connection *connection, void **state,
				enum MHD_RequestTerminationCode code)
{
	if (*state)
		server_request_free(*state);
	*state = NULL;
}

int server_start(struct server **out, struct emulator *emulator, const char *host, int port, const char *certificate,
		 const char *key, bool control)
{
	struct server *server = calloc(1, sizeof(*server));
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	const union MHD_DaemonInfo *info;
	struct addrinfo *addresses = NULL;
	unsigned int flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
			     MHD_USE_SUPPRESS_DATE_NO_CLOCK;
	char service[16];
	int error = -ENOMEM;

	if (!server)
		goto fail;
	server->emulator = emulator;
	server->control = control;
	server->secure = certificate;
	text_format(service, sizeof(service), "%d", port);
	error = -EINVAL;
	if (getaddrinfo(host, service, &hints, &addresses))
		goto fail;
	if (addresses->ai_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	if (certificate)
		flags |= MHD_USE_TLS;
	errno = 0;
	server->daemon = MHD_start_daemon(
		flags, (uint16_t)port, NULL, NULL, server_on_request, server, MHD_OPTION_SOCK_ADDR, addresses->ai_addr,
		MHD_OPTION_NOTIFY_COMPLETED, server_on_completed, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS,
		MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_LISTEN_BACKLOG_SIZE, 512u,
		certificate ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, certificate, MHD_OPTION_HTTPS_MEM_KEY, key,
		MHD_OPTION_END);
	error = errno ? -errno : -EIO;
	if (!server->daemon)
		goto fail;
	info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
	server->port = info && info->port ? info->port : port;
	freeaddrinfo(addresses);
	*out = server;
	return 0;

fail:
	if (addresses)
		freeaddrinfo(addresses);
	free(server);
	*out = NULL;
	return error;
}

int server_port(const struct server *server)
{
	return server->port;
}

void server_stop(struct server *server)
{
	if (!server)
		return;
	MHD_stop_daemon(server->daemon);
	free(server);
}
