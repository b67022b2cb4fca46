/* SPDX-License-Identifier: MIT */
#include "support/http/internal.h"

#include "support/http/retry.h"
#include "support/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int error_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_LOGIN_DENIED:
		return -EINVAL;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
	case CURLE_OPERATION_TIMEDOUT: /* only connecting has a limit */
		return -ECONNREFUSED;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return -ENOTCONN;
	default:
		return -ECONNRESET;
	}
}

static const char *reason_of(int error)
{
	switch (error) {
	case -ETIMEDOUT:
		return "the time for the request is over";
	case -ETIME:
		return "nothing came from the server for too long";
	case -ECANCELED:
		return "given up";
	case -EFBIG:
		return "the server's answer is too large";
	case -EINVAL:
		return "the request cannot be sent";
	case -ENOMEM:
		return "no memory";
	default:
		return "the connection broke";
	}
}

int transfer_outcome(struct transfer *transfer, CURLcode code)
{
	struct http_response *out = transfer->out;
	const char *date = http_response_header(out, "date");
	int error = transfer->result ? transfer->result : error_of(code);

	/* What looks like a mistake in the request is nonsense in the answer once it was sent. */
	if (error == -EINVAL && transfer->starts)
		error = -ECONNRESET;
	if (date && http_parse_date(date, &out->date))
		out->date = 0;
	/* A refusal counts even when the connection breaks behind it, as it does when the body was not wanted. */
	if (error == -ECONNRESET && transfer->head_known && out->status >= 400)
		error = 0;
	out->outcome = !error ? HTTP_ANSWERED : transfer->starts ? HTTP_MAYBE : HTTP_NOT_SENT;
	if (error == -ECONNRESET && !transfer->starts)
		error = -ECONNREFUSED;
	if (error)
		text_copy(out->error, sizeof(out->error),
			  !transfer->result && transfer->message[0] ? transfer->message : reason_of(error));
	return error;
}

const char *http_response_header(const struct http_response *response, const char *name)
{
	size_t length = strlen(name);
	const char *line = response->headers;
	const char *end = line ? line + response->headers_size : NULL;
	const char *found = NULL;

	for (; line && line < end; line += strlen(line) + 1) {
		if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
			found = line + length + 1;
			found += strspn(found, " \t");
		}
	}
	return found;
}

void http_response_free(struct http_response *response)
{
	free(response->headers);
	free(response->body);
	response->headers = NULL;
	response->body = NULL;
	response->headers_size = response->body_size = 0;
}
