/* SPDX-License-Identifier: MIT */
/* Requests over support/http, against a server that misbehaves on demand. */
#include "support/http/http.h"
#include "tests/http/server.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define SECOND 1000000000ull

struct fixture {
	struct server *server;
	struct http_client *client;
	char url[256];
};

static uint64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * SECOND + (uint64_t)at.tv_nsec;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->server = server_start();
	assert_non_null(fixture->server);
	assert_int_equal(http_client_create(&fixture->client, &(struct http_options){.proxy = "", .agent = "test"}), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	http_client_destroy(fixture->client);
	server_stop(fixture->server);
	free(fixture);
	return 0;
}

static const char *url_of(struct fixture *fixture, const char *path)
{
	snprintf(fixture->url, sizeof(fixture->url), "http://127.0.0.1:%u%s", server_port(fixture->server), path);
	return fixture->url;
}

static int get(struct fixture *fixture, const char *path, struct http_response *out)
{
	return http_perform(fixture->client,
			    &(struct http_request){.method = "GET", .url = url_of(fixture, path), .repeatable = true},
			    out);
}

static void test_text(void **state)
{
	struct http_response response;

	assert_int_equal(get(*state, "/text", &response), 0);
	assert_int_equal(response.status, 200);
	assert_int_equal(response.outcome, HTTP_ANSWERED);
	assert_int_equal(response.body_size, 5);
	assert_string_equal(response.body, "hello");
	assert_string_equal(http_response_header(&response, "X-TWO"), "second");
	assert_null(http_response_header(&response, "x-three"));
	assert_null(http_response_header(&response, "x-tw"));
	http_response_free(&response);
}

static void test_connection_is_kept(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 10; i++) {
		struct http_response response;

		assert_int_equal(get(fixture, "/text", &response), 0);
		http_response_free(&response);
	}
	assert_int_equal(server_connections(fixture->server), 1);
	assert_int_equal(server_requests(fixture->server), 10);
}

static void test_bodies(void **state)
{
	static const char *const methods[] = {"POST", "PUT", "OPTIONS", "DELETE"};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < 4; i++) {
		struct http_response response;
		struct http_request request = {
			.method = methods[i], .url = url_of(fixture, "/echo"), .body = "{\"a\":1}", .body_size = 7};

		assert_int_equal(http_perform(fixture->client, &request, &response), 0);
		assert_string_equal(response.body, "{\"a\":1}");
		http_response_free(&response);
		request.url = url_of(fixture, "/head");
		assert_int_equal(http_perform(fixture->client, &request, &response), 0);
		assert_int_equal(strncmp(response.body, methods[i], strlen(methods[i])), 0);
		assert_null(strstr(response.body, "Expect:"));
		assert_null(strstr(response.body, "chunked"));
		assert_null(strstr(response.body, "Content-Type:"));
		http_response_free(&response);
	}
	assert_int_equal(server_connections(fixture->server), 1);
}

struct sink {
	uint64_t got;
	uint64_t fail_at;
	unsigned heads;
	bool wrong, slow;
};

static int sink_head(void *context, const struct http_response *response)
{
	struct sink *sink = context;

	sink->heads++;
	return response->status == 404 ? -EDOM : 0;
}

static int sink_data(void *context, const void *data, size_t size)
{
	struct sink *sink = context;
	const unsigned char *bytes = data;

	if (!sink->heads)
		sink->wrong = true;
	for (size_t i = 0; i < size; i++)
		sink->wrong = sink->wrong || bytes[i] != (sink->got + i) % 251;
	sink->got += size;
	if (sink->slow && sink->got % 7 == 0)
		usleep(500);
	return sink->fail_at && sink->got >= sink->fail_at ? -ERANGE : 0;
}

static int stream(struct fixture *fixture, const char *path, struct sink *sink, struct http_response *response)
{
	return http_perform(fixture->client,
			    &(struct http_request){.method = "GET",
						   .url = url_of(fixture, path),
						   .head = sink_head,
						   .data = sink_data,
						   .context = sink,
						   .repeatable = true},
			    response);
}

static void test_streams(void **state)
{
	static const struct {
		const char *path;
		uint64_t size;
		bool slow;
	} cases[] = {{"/bytes/0", 0, false},
		     {"/bytes/1", 1, false},
		     {"/bytes/262144", 262144, false},
		     {"/bytes/262145", 262145, true},
		     {"/bytes/20000000", 20000000, false},
		     {"/bytes/3000000", 3000000, true},
		     {"/chunked/1000000", 1000000, true}};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sink sink = {.slow = cases[i].slow};
		struct http_response response;

		assert_int_equal(stream(fixture, cases[i].path, &sink, &response), 0);
		assert_int_equal(sink.got, cases[i].size);
		assert_int_equal(sink.heads, 1);
		assert_false(sink.wrong);
		assert_null(response.body);
		http_response_free(&response);
	}
	assert_int_equal(server_connections(fixture->server), 1);
}

static void test_callbacks_end_it(void **state)
{
	struct sink sink = {.fail_at = 100000}, other = {.fail_at = 0}, last = {.fail_at = 5};
	struct http_response response;

	assert_int_equal(stream(*state, "/bytes/20000000", &sink, &response), -ERANGE);
	assert_true(sink.got < 1000000);
	http_response_free(&response);
	assert_int_equal(stream(*state, "/status/404", &other, &response), -EDOM);
	http_response_free(&response);
	/* also when the server was done before the callback was */
	assert_int_equal(stream(*state, "/bytes/5", &last, &response), -ERANGE);
	http_response_free(&response);
}

static void test_other_statuses_are_kept(void **state)
{
	struct http_response response;
	struct sink sink = {.got = 0};

	assert_int_equal(stream(*state, "/status/503", &sink, &response), 0);
	assert_int_equal(response.status, 503);
	assert_string_equal(response.body, "status");
	assert_int_equal(sink.got, 0);
	assert_string_equal(http_response_header(&response, "retry-after"), "3");
	assert_int_equal(response.date, 784111777);
	http_response_free(&response);

	assert_int_equal(get(*state, "/redirect", &response), 0);
	assert_int_equal(response.status, 302);
	assert_string_equal(http_response_header(&response, "location"), "/text");
	http_response_free(&response);

	assert_int_equal(get(*state, "/continue", &response), 0);
	assert_int_equal(response.status, 200);
	assert_null(http_response_header(&response, "x-early"));
	http_response_free(&response);
}

struct supply {
	uint64_t fail_at;
	uint64_t told;
	bool slow, odd;
};

static int supply_read(void *context, void *buffer, size_t size, uint64_t offset)
{
	struct supply *supply = context;
	char *bytes = buffer;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)('a' + (offset + i) % 23);
	if (supply->slow)
		usleep(1000);
	return supply->fail_at && offset + size > supply->fail_at ? -ENODATA : 0;
}

static void supply_sent(void *context, uint64_t sent)
{
	struct supply *supply = context;

	supply->odd = supply->odd || sent < supply->told;
	supply->told = sent;
}

static int upload(struct fixture *fixture, const char *path, struct supply *supply, uint64_t bytes, bool form,
		  struct http_response *response)
{
	struct http_source source = {.read = supply_read, .context = supply, .bytes = bytes};
	struct http_field fields[] = {{.name = "attributes", .text = "{}"},
				      {.name = "file", .filename = "a b", .type = "text/plain", .source = &source}};

	return http_perform(fixture->client,
			    &(struct http_request){.method = form ? "POST" : "PUT",
						   .url = url_of(fixture, path),
						   .source = form ? NULL : &source,
						   .fields = fields,
						   .field_count = form ? 2 : 0,
						   .sent = supply_sent,
						   .body_max = 64u << 20,
						   .context = supply},
			    response);
}

static void test_uploads(void **state)
{
	static const uint64_t sizes[] = {0, 1, 65536, 262144, 262145, 5000001};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct http_response response;
		struct supply supply = {.slow = i % 2};

		assert_int_equal(upload(*state, "/echo", &supply, sizes[i], false, &response), 0);
		assert_int_equal(response.body_size, sizes[i]);
		for (size_t j = 0; j < response.body_size; j++)
			assert_int_equal(response.body[j], 'a' + j % 23);
		assert_int_equal(supply.told, sizes[i]);
		assert_false(supply.odd);
		http_response_free(&response);
	}
}

static void test_forms(void **state)
{
	struct http_response response;
	struct supply supply = {.slow = false}, empty = {.slow = false};
	char *first, *second;

	assert_int_equal(upload(*state, "/echo", &supply, 300000, true, &response), 0);
	first = strstr(response.body, "name=\"attributes\"\r\n\r\n{}\r\n");
	second = strstr(response.body, "name=\"file\"; filename=\"a b\"\r\nContent-Type: text/plain\r\n\r\nabc");
	assert_non_null(first);
	assert_non_null(second);
	assert_true(first < second);
	assert_true(response.body_size > 300000 && response.body_size < 301000);
	http_response_free(&response);
	assert_int_equal(upload(*state, "/echo", &empty, 0, true, &response), 0);
	http_response_free(&response);
}

static void test_upload_that_fails(void **state)
{
	struct supply supply = {.fail_at = 1000000}, refused = {.slow = true};
	struct http_response response;

	assert_int_equal(upload(*state, "/echo", &supply, 5000000, false, &response), -ENODATA);
	assert_int_equal(response.outcome, HTTP_MAYBE);
	http_response_free(&response);
	assert_int_equal(upload(*state, "/refuse", &refused, 50000000, false, &response), 0);
	assert_int_equal(response.status, 413);
	assert_true(refused.told < 50000000);
	http_response_free(&response);
}

static void test_broken(void **state)
{
	static const struct {
		const char *path;
		int error;
	} cases[] = {{"/reset", -ECONNRESET},
		     {"/half/100000", -ECONNRESET},
		     {"/nonsense", -ECONNRESET},
		     {"/headers/100000", -EFBIG}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_response response;

		assert_int_equal(get(*state, cases[i].path, &response), cases[i].error);
		assert_int_equal(response.outcome, HTTP_MAYBE);
		assert_true(response.error[0]);
		http_response_free(&response);
	}
}

static void test_answer_is_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct http_request request = {
		.method = "GET", .url = url_of(fixture, "/bytes/100000"), .body_max = 99999, .repeatable = true};
	struct http_response response;

	assert_int_equal(http_perform(fixture->client, &request, &response), -EFBIG);
	http_response_free(&response);
	request.body_max = 100000;
	assert_int_equal(http_perform(fixture->client, &request, &response), 0);
	assert_int_equal(response.body_size, 100000);
	http_response_free(&response);
}

static void test_not_sent(void **state)
{
	struct fixture *fixture = *state;
	struct server *other = server_start();
	struct http_response response;

	assert_non_null(other);
	snprintf(fixture->url, sizeof(fixture->url), "http://127.0.0.1:%u/text", server_port(other));
	server_stop(other);
	assert_int_equal(
		http_perform(fixture->client, &(struct http_request){.method = "POST", .url = fixture->url}, &response),
		-ECONNREFUSED);
	assert_int_equal(response.outcome, HTTP_NOT_SENT);
	http_response_free(&response);
	assert_int_equal(http_perform(fixture->client,
				      &(struct http_request){.method = "GET", .url = "http://name.invalid/"},
				      &response),
			 -ECONNREFUSED);
	assert_int_equal(response.outcome, HTTP_NOT_SENT);
	http_response_free(&response);
	/* no TLS there */
	snprintf(fixture->url, sizeof(fixture->url), "https://127.0.0.1:%u/text", server_port(fixture->server));
	assert_int_equal(
		http_perform(fixture->client, &(struct http_request){.method = "GET", .url = fixture->url}, &response),
		-ENOTCONN);
	assert_int_equal(response.outcome, HTTP_NOT_SENT);
	http_response_free(&response);
}

/* A kept connection that the server closes on the next request: it may have done it. */
static void test_sent_once(void **state)
{
	struct fixture *fixture = *state;
	struct http_response response;
	struct http_request request = {.method = "POST", .url = NULL, .body = "x", .body_size = 1};

	assert_int_equal(get(fixture, "/once", &response), 0);
	http_response_free(&response);
	request.url = url_of(fixture, "/echo");
	assert_int_equal(http_perform(fixture->client, &request, &response), -ECONNRESET);
	assert_int_equal(response.outcome, HTTP_MAYBE);
	assert_int_equal(server_requests(fixture->server), 2);
	http_response_free(&response);

	assert_int_equal(get(fixture, "/once", &response), 0);
	http_response_free(&response);
	request = (struct http_request){.method = "DELETE", .url = url_of(fixture, "/text")};
	assert_int_equal(http_perform(fixture->client, &request, &response), -ECONNRESET);
	assert_int_equal(server_requests(fixture->server), 4);
	http_response_free(&response);

	/* what may be repeated goes over another connection */
	assert_int_equal(get(fixture, "/once", &response), 0);
	http_response_free(&response);
	assert_int_equal(get(fixture, "/text", &response), 0);
	assert_int_equal(server_requests(fixture->server), 7);
	http_response_free(&response);
}

static void test_stall(void **state)
{
	struct fixture *fixture = *state;
	struct http_request request = {.method = "GET", .url = url_of(fixture, "/stall"), .stall = SECOND / 5};
	struct http_response response;

	assert_int_equal(http_perform(fixture->client, &request, &response), -ETIME);
	assert_int_equal(response.outcome, HTTP_MAYBE);
	http_response_free(&response);
	request.url = url_of(fixture, "/silent");
	assert_int_equal(http_perform(fixture->client, &request, &response), -ETIME);
	http_response_free(&response);
}

static void test_deadline(void **state)
{
	struct fixture *fixture = *state;
	struct http_request request = {.method = "GET", .url = url_of(fixture, "/silent")};
	struct http_response response;

	request.deadline = now() + SECOND / 5;
	assert_int_equal(http_perform(fixture->client, &request, &response), -ETIMEDOUT);
	assert_true(now() >= request.deadline);
	http_response_free(&response);
}

static void *set_later(void *context)
{
	usleep(100000);
	__atomic_store_n((uint32_t *)context, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void test_cancel(void **state)
{
	struct fixture *fixture = *state;
	uint32_t flag = 0;
	struct http_request request = {.method = "GET", .url = url_of(fixture, "/silent"), .cancelled = &flag};
	struct http_response response;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, set_later, &flag), 0);
	assert_int_equal(http_perform(fixture->client, &request, &response), -ECANCELED);
	pthread_join(thread, NULL);
	http_response_free(&response);
}

static void test_refused_requests(void **state)
{
	static const struct http_header bad[] = {{"X-A", "b\r\nX-B: c"}, {"X-A\r\n", "b"}, {"X A", "b"},   {"", "b"},
						 {"X-A", "b\nc"},	 {"X-A:", "b"},	   {"X-A", "\x01"}};
	struct fixture *fixture = *state;
	struct http_request request = {.method = "GET"};
	struct http_response response;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		request.url = url_of(fixture, "/text");
		request.headers = &bad[i];
		request.header_count = 1;
		assert_int_equal(http_perform(fixture->client, &request, &response), -EINVAL);
		assert_int_equal(response.outcome, HTTP_NOT_SENT);
		http_response_free(&response);
	}
	request.header_count = 0;
	request.url = "http://127.0.0.1/a b";
	assert_int_equal(http_perform(fixture->client, &request, &response), -EINVAL);
	request.url = "http://127.0.0.1/a\r\nHost: b";
	assert_int_equal(http_perform(fixture->client, &request, &response), -EINVAL);
	request.url = "file:///etc/passwd";
	assert_int_equal(http_perform(fixture->client, &request, &response), -EINVAL);
	http_response_free(&response);
	request.url = "http://user:secret@127.0.0.1/";
	assert_int_equal(http_perform(fixture->client, &request, &response), -EINVAL);
	http_response_free(&response);
	request.url = url_of(fixture, "/text");
	request.method = "GET /x";
	assert_int_equal(http_perform(fixture->client, &request, &response), -EINVAL);
	assert_int_equal(server_requests(fixture->server), 0);
}

static void *many(void *context)
{
	struct fixture *fixture = context;
	uintptr_t failed = 0;

	for (int i = 0; i < 20; i++) {
		struct http_response response;
		char url[128];

		snprintf(url, sizeof(url), "http://127.0.0.1:%u/bytes/%d", server_port(fixture->server), i * 5000);
		if (http_perform(fixture->client,
				 &(struct http_request){.method = "GET", .url = url, .repeatable = true}, &response) ||
		    response.body_size != (size_t)i * 5000)
			failed++;
		http_response_free(&response);
	}
	return (void *)failed;
}

static void test_threads(void **state)
{
	struct fixture *fixture = *state;
	pthread_t threads[24];

	for (size_t i = 0; i < 24; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many, fixture), 0);
	for (size_t i = 0; i < 24; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_true(server_connections(fixture->server) <= 16);
}

static void *wait_silent(void *context)
{
	struct fixture *fixture = context;
	struct http_response response;
	char url[128];
	int error;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/silent", server_port(fixture->server));
	error = http_perform(fixture->client, &(struct http_request){.method = "GET", .url = url}, &response);
	http_response_free(&response);
	return (void *)(intptr_t)error;
}

static void test_destroy_ends_requests(void **state)
{
	struct fixture *fixture = *state;
	pthread_t threads[3];

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_silent, fixture), 0);
	while (server_requests(fixture->server) < 3)
		usleep(1000);
	http_client_destroy(fixture->client);
	fixture->client = NULL;
	for (size_t i = 0; i < 3; i++) {
		void *error;

		pthread_join(threads[i], &error);
		assert_int_equal((intptr_t)error, -ECANCELED);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_text),
		TEST(test_connection_is_kept),
		TEST(test_bodies),
		TEST(test_streams),
		TEST(test_callbacks_end_it),
		TEST(test_other_statuses_are_kept),
		TEST(test_uploads),
		TEST(test_forms),
		TEST(test_upload_that_fails),
		TEST(test_broken),
		TEST(test_answer_is_bounded),
		TEST(test_not_sent),
		TEST(test_sent_once),
		TEST(test_stall),
		TEST(test_deadline),
		TEST(test_cancel),
		TEST(test_refused_requests),
		TEST(test_threads),
		TEST(test_destroy_ends_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
