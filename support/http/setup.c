/* SPDX-License-Identifier: MIT */
#include "support/http/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 8192u

/* Nothing that could end a line, or the text in the middle of it. */
static bool printable(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

static bool is_token(const char *text)
{
	static const char more[] = "!#$%&'*+-.^_`|~";

	if (!*text)
		return false;
	for (; *text; text++) {
		char c = *text;

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(more, c)))
			return false;
	}
	return true;
}

int request_check(const struct http_request *request)
{
	unsigned bodies = (request->body != NULL) + (request->source != NULL) + (request->field_count != 0);
	unsigned sources = 0;

	if (!request->method || !request->url || bodies > 1 || request->header_count > HTTP_FIELDS_MAX ||
	    request->field_count > HTTP_FIELDS_MAX || !is_token(request->method))
		return -EINVAL;
	if (!printable(request->url) || strchr(request->url, ' '))
		return -EINVAL;
	for (size_t i = 0; i < request->header_count; i++) {
		const struct http_header *header = &request->headers[i];

		if (!is_token(header->name) || !printable(header->value) ||
		    strlen(header->name) + strlen(header->value) > LINE_MAX_BYTES)
			return -EINVAL;
	}
	for (size_t i = 0; i < request->field_count; i++) {
		const struct http_field *field = &request->fields[i];

		if (!is_token(field->name) || (field->filename && !printable(field->filename)) ||
		    (field->type && !printable(field->type)) || !field->text == !field->source)
			return -EINVAL;
		sources += field->source != NULL;
	}
	return sources > 1 ? -EINVAL : 0;
}

static int add_header(struct transfer *transfer, const char *name, const char *value)
{
	char line[LINE_MAX_BYTES + 8];
	struct curl_slist *longer;

	/* libcurl drops a header with an empty value unless it is written with a semicolon. */
	snprintf(line, sizeof(line), *value ? "%s: %s" : "%s;%s", name, value);
	longer = curl_slist_append(transfer->headers, line);
	if (!longer)
		return -ENOMEM;
	transfer->headers = longer;
	return 0;
}

static int setup_headers(struct transfer *transfer)
{
	const struct http_request *request = transfer->request;
	bool typed = false;
	int error = 0;

	for (size_t i = 0; !error && i < request->header_count; i++) {
		typed = typed || strcasecmp(request->headers[i].name, "content-type") == 0;
		error = add_header(transfer, request->headers[i].name, request->headers[i].value);
	}
	/* Waiting for "100 Continue" costs a round trip and, where nobody says it, a second. */
	if (!error) {
		struct curl_slist *longer = curl_slist_append(transfer->headers, "Expect:");

		error = longer ? 0 : -ENOMEM;
		transfer->headers = longer ? longer : transfer->headers;
	}
	if (!error && !typed && !request->field_count) {
		struct curl_slist *longer = curl_slist_append(transfer->headers, "Content-Type:");

		error = longer ? 0 : -ENOMEM;
		transfer->headers = longer ? longer : transfer->headers;
	}
	return error;
}

static int setup_form(struct transfer *transfer)
{
	char boundary[64], type[128];
	int error = transfer_make_form(transfer, boundary, sizeof(boundary));

	snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
	return error ? error : add_header(transfer, "Content-Type", type);
}

static uint64_t body_bytes(const struct transfer *transfer)
{
	uint64_t source = transfer->source ? transfer->source->bytes : 0;

	return transfer->request->body ? transfer->request->body_size
				       : transfer->before_size + source + transfer->after_size;
}

/* Without a function that goes back in the body, libcurl cannot send one a second time behind our back. */
static CURLcode setup_body(struct transfer *transfer)
{
	const struct http_request *request = transfer->request;
	CURL *easy = transfer->easy;
	bool has_body = request->body || request->source || request->field_count;
	curl_off_t size = (curl_off_t)body_bytes(transfer);
	CURLcode code = CURLE_OK;

	if (has_body) {
		code = code ? code : curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		code = code ? code : curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, size);
		code = code ? code : curl_easy_setopt(easy, CURLOPT_READFUNCTION, transfer_on_send);
		code = code ? code : curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
	} else if (strcmp(request->method, "HEAD") == 0) {
		code = curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (strcmp(request->method, "POST") == 0) {
		code = code ? code : curl_easy_setopt(easy, CURLOPT_POST, 1L);
		code = code ? code : curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
		code = code ? code : curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
	}
	return code ? code : curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static CURLcode setup_connection(struct transfer *transfer)
{
	const struct http_client *client = transfer->client;
	CURL *easy = transfer->easy;
	CURLcode code = CURLE_OK;

#define SET(option, value) code = code ? code : curl_easy_setopt(easy, option, value)
	SET(CURLOPT_URL, transfer->request->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* giving up does not wait for a name server */
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, client->connect_timeout);
	SET(CURLOPT_BUFFERSIZE, 131072L);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, 131072L);
	SET(CURLOPT_HEADERFUNCTION, transfer_on_header);
	SET(CURLOPT_HEADERDATA, transfer);
	SET(CURLOPT_WRITEFUNCTION, transfer_on_body);
	SET(CURLOPT_WRITEDATA, transfer);
	SET(CURLOPT_PREREQFUNCTION, transfer_on_start);
	SET(CURLOPT_PREREQDATA, transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->message);
	SET(CURLOPT_PRIVATE, transfer);
	if (client->ca_file)
		SET(CURLOPT_CAINFO, client->ca_file);
	if (client->proxy)
		SET(CURLOPT_PROXY, client->proxy);
	if (client->agent)
		SET(CURLOPT_USERAGENT, client->agent);
	SET(CURLOPT_HTTPHEADER, transfer->headers);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
#undef SET
	return code;
}

int transfer_setup(struct transfer *transfer)
{
	int error = -ENOMEM;

	transfer->easy = curl_easy_init();
	if (!transfer->easy)
		return error;
	error = setup_headers(transfer);
	if (!error && transfer->request->field_count)
		error = setup_form(transfer);
	if (!error && (setup_connection(transfer) || setup_body(transfer)))
		error = -ENOMEM;
	if (error)
		transfer_takedown(transfer);
	return error;
}

void transfer_takedown(struct transfer *transfer)
{
	if (transfer->easy)
		curl_easy_cleanup(transfer->easy);
	free(transfer->before);
	free(transfer->after);
	curl_slist_free_all(transfer->headers);
	transfer->easy = NULL;
	transfer->before = transfer->after = NULL;
	transfer->headers = NULL;
}
