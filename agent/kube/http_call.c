// SPDX-License-Identifier: Apache-2.0
// http_call.c - one request and its answer: options, limits, what went wrong.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <openssl/ssl.h>

#include "agent/kube/http_private.h"

#define KEEPALIVE_SEC 10L // of silence, then a probe as often
#define UPLOAD_BYTES 16384L // the least that libcurl has; it takes four times as much for each call of its own accord
#define USER_AGENT "bulkheadd/" VERSION

int64_t http_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// ---- times -----------------------------------------------------------------------------------------------------

static int64_t left_ms(const struct http_call *call, const char **retwhy)
{
	int64_t now = http_now_ms();
	int64_t left = call->head_seen ? call->heard_ms + call->idle_ms - now :
					 call->started_ms + call->head_ms - now;

	*retwhy = call->head_seen ? "the server has gone silent" : "the server does not answer";
	if (call->total_ms && call->started_ms + call->total_ms - now < left) {
		left = call->started_ms + call->total_ms - now;
		*retwhy = "the answer takes too long";
	}
	return left > 0 ? left : 0;
}

const char *http_call_watch(struct http_call *call)
{
	const char *why;
	int64_t left = left_ms(call, &why);
	struct timeval delay = { left / 1000, left % 1000 * 1000 };

	if (!left)
		return why;
	event_add(call->timer, &delay);
	return NULL;
}

// ---- what the answer brings ---------------------------------------------------------------------------------

static int status_of(const struct http_call *call)
{
	long status = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

// Its last line; "100 Continue" has a head of its own.
static void head_ends(struct http_call *call)
{
	int status = status_of(call);

	if (status < 200)
		return;
	call->head_seen = true;
	http_call_watch(call);
	if (call->events.head && !call->cancelled)
		call->events.head(call->events.arg, status);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;

	call->heard_ms = http_now_ms();
	call->head_bytes += n;
	if (call->head_bytes > HTTP_HEAD_MAX) {
		call->headless = true;
		return 0;
	}
	if (n == 2 && !memcmp(line, "\r\n", 2))
		head_ends(call);
	return n;
}

static bool is_collected(struct http_call *call)
{
	int status = status_of(call);

	if (!call->events.data)
		return true;
	if (status >= 200 && status < 300)
		return false;
	call->body_max = HTTP_ERROR_MAX;
	return true;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;

	call->heard_ms = http_now_ms();
	if (call->cancelled)
		return 0;
	if (!is_collected(call)) {
		call->stopped = call->events.data(call->events.arg, data, n) != 0;
		return call->stopped ? 0 : n;
	}
	if (n > call->body_max - call->body.n) {
		call->too_large = true;
		return 0;
	}
	if (vec_reserve(&call->body, n + 1) < 0)
		return 0;
	memcpy(call->body.v + call->body.n, data, n);
	call->body.n += n;
	call->body.v[call->body.n] = '\0';
	return n;
}

// Dead peers are noticed by the kernel: by probes while nothing is sent, by missing acknowledgements otherwise.
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	unsigned dead_ms = HTTP_DEAD_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
	return CURL_SOCKOPT_OK;
}

static int error_of(const struct http_call *call, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_WRITE_ERROR:
		return call->stopped ? -ECANCELED :
		       call->headless || call->too_large ? -EMSGSIZE :
							   -ENOMEM;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return -EKEYREJECTED;
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return -ECONNRESET;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EPROTO;
	}
}

// What OpenSSL says is seldom clear by itself.
static const char *text_of_tls(struct http_call *call, const char *why)
{
	snprintf(call->why, sizeof(call->why), "no TLS (1.2 or later) with certificates that both sides accept: %s", why);
	return call->why;
}

static const char *text_of(struct http_call *call, CURLcode code)
{
	const char *text = call->error[0] ? call->error : curl_easy_strerror(code);

	if (code == CURLE_OK)
		return "";
	if (call->headless)
		return "the answer's head is too large";
	if (call->too_large)
		return "the answer is too large";
	if (code == CURLE_WRITE_ERROR)
		return call->stopped ? "given up" : "out of memory";
	return error_of(call, code) == -EKEYREJECTED ? text_of_tls(call, text) : text;
}

void http_call_answer(struct http_call *call, CURLcode code, struct http_answer *ret)
{
	const char *type = NULL;
	curl_off_t after = 0;

	curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &after);
	*ret = (struct http_answer){
		.status = call->head_seen ? status_of(call) : 0,
		.error = error_of(call, code),
		.text = text_of(call, code),
		.content_type = type ? type : "",
		.retry_after_sec = (long)after,
		.body = call->body.v ? call->body.v : "",
		.len = call->body.n,
	};
}

// ---- what is asked -----------------------------------------------------------------------------------------------

static int add_line(struct curl_slist **list, const char *before, const char *text)
{
	_cleanup_free_ char *line = NULL;
	struct curl_slist *longer;

	if (asprintf(&line, "%s%s", before, text) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	longer = curl_slist_append(*list, line);
	explicit_bzero(line, strlen(line)); // it may be the token
	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int set_headers(struct http_call *call, const struct http_request *request)
{
	const struct kube_config *config = http_config(call->http);
	int r = add_line(&call->headers, "Accept: ", HTTP_JSON);

	if (r >= 0 && config->token.text)
		r = add_line(&call->headers, "Authorization: Bearer ", config->token.text);
	if (r >= 0 && request->body)
		r = add_line(&call->headers, "Content-Type: ", request->content_type);
	if (r >= 0 && request->body)
		r = add_line(&call->headers, "Expect:", "");
	if (r < 0)
		return r;
	curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
	return 0;
}

static void set_secret(CURL *easy, CURLoption option, const struct kube_secret *secret)
{
	struct curl_blob blob = { secret->text, secret->len, CURL_BLOB_COPY };

	if (secret->text)
		curl_easy_setopt(easy, option, &blob);
}

// libcurl has OpenSSL free its 16 KiB of buffer after each record that was read whole: a watch reads one per event.
static CURLcode keep_buffers(CURL *easy, void *context, void *arg)
{
	SSL_CTX_clear_mode(context, SSL_MODE_RELEASE_BUFFERS);
	return CURLE_OK;
}

static void set_tls(struct http_call *call, const struct kube_config *config)
{
	CURL *easy = call->easy;

	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, keep_buffers);
	set_secret(easy, CURLOPT_CAINFO_BLOB, &config->ca);
	if (config->ca.text) // beside it libcurl would go on believing whom the system believes
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	set_secret(easy, CURLOPT_SSLCERT_BLOB, &config->cert);
	set_secret(easy, CURLOPT_SSLKEY_BLOB, &config->key);
	curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM");
	curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM");
}

// With another name for the certificate that name stands in the address, and the connection goes to the host.
static int set_url(struct http_call *call, const struct http_request *request)
{
	const struct kube_config *config = http_config(call->http);
	_cleanup_free_ char *url = NULL, *to = NULL;
	int r;

	if (asprintf(&url, "https://%s%s%s", config->server_name ? config->server_name : config->host,
		     config->prefix, request->path) < 0)
		url = NULL;
	if (!url || curl_easy_setopt(call->easy, CURLOPT_URL, url) != CURLE_OK)
		return -ENOMEM;
	if (!config->server_name)
		return 0;
	if (asprintf(&to, "::%s", config->host) < 0)
		to = NULL;
	r = to ? add_line(&call->connect_to, "", to) : -ENOMEM;
	if (r >= 0)
		r = add_line(&call->headers, "Host: ", config->host);
	if (r >= 0)
		curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect_to);
	return r;
}

static int set_method(struct http_call *call, const struct http_request *request)
{
	CURL *easy = call->easy;

	if (request->body) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
		if (curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body) != CURLE_OK)
			return -ENOMEM;
	}
	if (curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method ? request->method : "GET") !=
	    CURLE_OK)
		return -ENOMEM;
	return 0;
}

static void set_connection(struct http_call *call, const struct http_request *request)
{
	const struct kube_config *config = http_config(call->http);
	CURL *easy = call->easy;

	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(easy, CURLOPT_PROXY, config->proxy ? config->proxy : "");
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); // a proxy's head is not the answer's
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_SEC);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_SEC);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

static void set_callbacks(struct http_call *call)
{
	CURL *easy = call->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
}

int http_call_new(struct http *http, const struct http_request *request,
		  const struct http_events *events, struct http_call **ret)
{
	_cleanup_(http_call_freep) struct http_call *call = calloc(1, sizeof(*call));
	int r;

	if (!call)
		return -ENOMEM;
	call->http = http;
	call->events = *events;
	call->head_ms = request->head_ms ? request->head_ms : HTTP_HEAD_MS;
	call->idle_ms = request->idle_ms ? request->idle_ms : HTTP_IDLE_MS;
	call->total_ms = request->total_ms;
	call->body_max = request->body_max ? request->body_max : HTTP_BODY_MAX;
	call->started_ms = call->heard_ms = http_now_ms();
	call->easy = curl_easy_init();
	if (!call->easy)
		return -ENOMEM;
	r = set_url(call, request);
	if (r >= 0)
		r = set_method(call, request);
	if (r >= 0)
		r = set_headers(call, request);
	if (r < 0)
		return r;
	set_connection(call, request);
	set_tls(call, http_config(http));
	set_callbacks(call);
	*ret = TAKE_PTR(call);
	return 0;
}

void http_call_free(struct http_call *call)
{
	if (!call)
		return;
	if (call->timer)
		event_free(call->timer);
	curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	curl_slist_free_all(call->connect_to);
	vec_fini(&call->body);
	free(call);
}
