/* SPDX-License-Identifier: MIT */
/* Ways to log in, and what becomes of a login: renewed, shared, revoked, given anew. usage: test_login EMULATOR */
#include "remotes/box/loopback.h"
#include "tests/remotes/box/emulated.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define CLIENT "client-id=driveway-demo", "client-secret=driveway-secret"

static const char *program;

static int set_up(void **state)
{
	struct emulated *emulated = calloc(1, sizeof(*emulated));

	assert_non_null(emulated);
	emulated_start(emulated, program, "access_life=3600");
	*state = emulated;
	return 0;
}

static int tear_down(void **state)
{
	emulated_stop(*state);
	free(*state);
	return 0;
}

static int quota(struct dw_remote *remote, char *message)
{
	struct dw_remote_call call = {.size = sizeof(call)};
	struct dw_remote_quota out;
	int result = remote->ops->quota(remote, &call, &out);

	memcpy(message, call.message, sizeof(call.message));
	return result;
}

static void works(struct emulated *emulated)
{
	char message[DW_REMOTE_MESSAGE_MAX];
	struct dw_remote *remote;

	assert_int_equal(emulated_open(emulated, "", NULL, &remote, message, sizeof(message)), 0);
	assert_non_null(strstr(remote->account, "1000001"));
	assert_int_equal(quota(remote, message), 0);
	remote->ops->close(remote);
}

static void log_in(struct emulated *emulated, const char *auth)
{
	const char *const options[] = {auth, CLIENT, NULL};
	struct emulated_person person = {.follow = true};
	char error[256] = "";

	assert_int_equal(emulated_login(emulated, options, &person, error, sizeof(error)), 0);
	assert_non_null(strstr(person.said, "logged in"));
}

static void test_nobody(void **state)
{
	struct dw_remote *remote;
	char error[256] = "";

	assert_int_equal(emulated_open(*state, "", NULL, &remote, error, sizeof(error)), -EACCES);
	assert_non_null(strstr(error, "driveway login box"));
}

static void test_browser(void **state)
{
	struct emulated *emulated = *state;
	struct stat file;
	char path[160];

	log_in(emulated, "auth=browser");
	snprintf(path, sizeof(path), "%s/default.login", emulated->state);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 07777, 0600);
	works(emulated);
}

static void test_paste(void **state)
{
	static const char *const options[] = {"auth=paste", CLIENT, NULL};
	struct emulated_person person = {.follow = false}, nothing = {.asked = 2};
	char error[256] = "";

	assert_int_equal(emulated_login(*state, options, &person, error, sizeof(error)), 0);
	works(*state);
	assert_int_equal(emulated_login(*state, options, &nothing, error, sizeof(error)), -ECANCELED);
}

static void test_credentials(void **state)
{
	static const char *const good[] = {"auth=ccg", CLIENT, "enterprise=900001", NULL};
	static const char *const bad[] = {"auth=ccg", "client-id=driveway-demo", "client-secret=no",
					  "enterprise=900001", NULL};
	struct emulated_person person = {.follow = false};
	char error[256] = "", message[DW_REMOTE_MESSAGE_MAX];
	struct dw_remote *remote;

	assert_int_equal(emulated_login(*state, bad, &person, error, sizeof(error)), -EACCES);
	assert_null(strstr(error, "client-secret"));
	assert_int_equal(emulated_login(*state, good, &person, error, sizeof(error)), 0);
	works(*state);
	/* without a login, by options alone */
	assert_int_equal(emulated_open(*state, "", good, &remote, error, sizeof(error)), 0);
	assert_int_equal(quota(remote, message), 0);
	remote->ops->close(remote);
}

static void write_key(const char *path, char **public)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	BIO *secret = BIO_new(BIO_s_mem()), *open = BIO_new(BIO_s_mem());
	json_t *config;
	char *text;
	long size;

	assert_non_null(key);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(secret, key, EVP_aes_256_cbc(), "pass", 4, NULL, NULL), 1);
	assert_int_equal(PEM_write_bio_PUBKEY(open, key), 1);
	size = BIO_get_mem_data(open, &text);
	*public = strndup(text, (size_t)size);
	size = BIO_get_mem_data(secret, &text);
	config = json_pack("{s:{s:s, s:s, s:{s:s, s:s#, s:s}}, s:s}", "boxAppSettings", "clientID", "keyed",
			   "clientSecret", "hidden", "appAuth", "publicKeyID", "abc123", "privateKey", text, (int)size,
			   "passphrase", "pass", "enterpriseID", "900001");
	assert_int_equal(json_dump_file(config, path, 0), 0);
	json_decref(config);
	BIO_free(secret);
	BIO_free(open);
	EVP_PKEY_free(key);
}

static void test_jwt(void **state)
{
	struct emulated *emulated = *state;
	struct emulated_person person = {.follow = false};
	char path[128], config[160], error[256] = "";
	const char *const options[] = {"auth=jwt", config, NULL};
	char *public, *body;
	json_t *app;

	snprintf(path, sizeof(path), "%s/key.json", emulated->room);
	snprintf(config, sizeof(config), "config=%s", path);
	write_key(path, &public);
	app = json_pack("{s:s, s:s, s:[], s:{s:s}}", "client_id", "keyed", "client_secret", "hidden", "redirect_uris",
			"public_keys", "abc123", public);
	body = json_dumps(app, 0);
	json_decref(emulated_control(emulated, "POST", "apps", body));
	free(body);
	free(public);
	json_decref(app);
	assert_int_equal(emulated_login(emulated, options, &person, error, sizeof(error)), 0);
	unlink(path); /* the login stands on its own */
	works(emulated);
}

static void test_token(void **state)
{
	static const char *const options[] = {"auth=token", NULL};
	struct emulated *emulated = *state;
	struct emulated_person person = {.follow = false}, wrong = {.follow = false};
	char error[256] = "";

	snprintf(wrong.answers[0], sizeof(wrong.answers[0]), "nonsense");
	assert_int_equal(emulated_login(emulated, options, &wrong, error, sizeof(error)), -EACCES);
	snprintf(person.answers[0], sizeof(person.answers[0]), "%s", emulated->token);
	assert_int_equal(emulated_login(emulated, options, &person, error, sizeof(error)), 0);
	works(emulated);
}

/* Who cannot be trusted is told nothing: neither at login nor when a drive is used. */
static void test_trust(void **state)
{
	struct emulated *emulated = *state;
	struct emulated_person person = {.follow = false};
	char url[160], ca[160], token[160], error[256] = "", message[DW_REMOTE_MESSAGE_MAX];
	const char *const trusting[] = {url, "auth=token", token, ca, NULL};
	const char *const wary[] = {url, "auth=token", token, NULL};
	struct dw_remote *remote;

	snprintf(url, sizeof(url), "api-url=%s", emulated->secure);
	snprintf(ca, sizeof(ca), "ca=%s", emulated->ca);
	snprintf(token, sizeof(token), "token=%s", emulated->token);
	assert_int_equal(emulated_login(emulated, wary, &person, error, sizeof(error)), -ENOTCONN);
	assert_non_null(strstr(error, "no safe connection to Box: "));
	assert_non_null(strstr(error, "certificate"));
	assert_int_equal(emulated_open(emulated, "", wary, &remote, error, sizeof(error)), 0);
	assert_int_equal(quota(remote, message), DW_REMOTE_OFFLINE);
	assert_non_null(strstr(message, "no safe connection to Box: "));
	assert_int_equal(emulated_count(emulated, NULL), 0);
	remote->ops->close(remote);

	assert_int_equal(emulated_open(emulated, "", trusting, &remote, error, sizeof(error)), 0);
	assert_int_equal(quota(remote, message), 0);
	remote->ops->close(remote);
	assert_int_equal(emulated_login(emulated, trusting, &person, error, sizeof(error)), 0);
	assert_int_equal(emulated_open(emulated, "", NULL, &remote, error, sizeof(error)), 0);
	remote->ops->close(remote);
}

static void expire(struct emulated *emulated)
{
	json_decref(emulated_control(emulated, "POST", "clock", "{\"advance\":7200}"));
}

static void *use(void *context)
{
	char message[DW_REMOTE_MESSAGE_MAX];

	return (void *)(intptr_t)quota(context, message);
}

/* Many threads of two services: the token is renewed once, and both go on. */
static void test_renewal(void **state)
{
	struct emulated *emulated = *state;
	struct dw_remote *remotes[2];
	char message[DW_REMOTE_MESSAGE_MAX];
	pthread_t threads[8];
	long before;

	log_in(emulated, "auth=browser");
	for (int i = 0; i < 2; i++)
		assert_int_equal(emulated_open(emulated, "", NULL, &remotes[i], message, sizeof(message)), 0);
	for (int round = 0; round < 3; round++) {
		expire(emulated);
		before = emulated_count(emulated, "oauth.token");
		for (int i = 0; i < 8; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, use, remotes[i % 2]), 0);
		for (int i = 0; i < 8; i++) {
			void *result;

			pthread_join(threads[i], &result);
			assert_int_equal((intptr_t)result, 0);
		}
		assert_int_equal(emulated_count(emulated, "oauth.token") - before, 1);
	}
	for (int i = 0; i < 2; i++)
		remotes[i]->ops->close(remotes[i]);
}

static void test_revoked(void **state)
{
	struct emulated *emulated = *state;
	char message[DW_REMOTE_MESSAGE_MAX];
	struct dw_remote *remote;
	long before;

	log_in(emulated, "auth=browser");
	assert_int_equal(emulated_open(emulated, "", NULL, &remote, message, sizeof(message)), 0);
	assert_int_equal(quota(remote, message), 0);
	emulated_control(emulated, "DELETE", "tokens", NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(quota(remote, message), DW_REMOTE_LOGIN);
		assert_non_null(strstr(message, "driveway login box"));
	}
	before = emulated_count(emulated, NULL);
	assert_int_equal(quota(remote, message), DW_REMOTE_LOGIN);
	assert_int_equal(emulated_count(emulated, NULL), before);
	/* A new login is taken up by the open drive. */
	log_in(emulated, "auth=browser");
	assert_int_equal(quota(remote, message), 0);
	remote->ops->close(remote);
}

static void set_user(const struct emulated *emulated, const char *user)
{
	char path[160], temporary[176];
	json_t *login;

	snprintf(path, sizeof(path), "%s/default.login", emulated->state);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	login = json_load_file(path, 0, NULL);
	assert_non_null(login);
	assert_int_equal(json_object_set_new(login, "user-id", json_string(user)), 0);
	assert_int_equal(json_dump_file(login, temporary, 0), 0);
	assert_int_equal(chmod(temporary, 0600), 0);
	assert_int_equal(rename(temporary, path), 0);
	json_decref(login);
}

/* Somebody else logs in under the same name: what is cached and waits is not theirs. */
static void test_another_user(void **state)
{
	struct emulated *emulated = *state;
	char message[DW_REMOTE_MESSAGE_MAX];
	struct dw_remote *remote;
	long before;

	log_in(emulated, "auth=browser");
	assert_int_equal(emulated_open(emulated, "", NULL, &remote, message, sizeof(message)), 0);
	emulated_control(emulated, "DELETE", "tokens", NULL);
	assert_int_equal(quota(remote, message), DW_REMOTE_LOGIN);
	log_in(emulated, "auth=browser");
	set_user(emulated, "999");
	before = emulated_count(emulated, NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(quota(remote, message), DW_REMOTE_LOGIN);
		assert_non_null(strstr(message, "another Box account"));
	}
	assert_int_equal(emulated_count(emulated, NULL), before);
	set_user(emulated, "1000001");
	assert_int_equal(quota(remote, message), 0);
	remote->ops->close(remote);
}

/* A refusal that is not Box's does not end a login, and neither does one answer that is lost. */
static void test_renewal_in_trouble(void **state)
{
	static const char *const faults[] = {
		"{\"fault\":\"status\",\"status\":403,\"times\":2,\"match\":{\"kind\":\"oauth.token\"}}",
		"{\"fault\":\"expired_token\",\"times\":2,\"match\":{\"kind\":\"oauth.token\"}}",
		"{\"fault\":\"status\",\"status\":503,\"times\":2,\"match\":{\"kind\":\"oauth.token\"}}",
		"{\"fault\":\"reset_before\",\"times\":2,\"match\":{\"kind\":\"oauth.token\"}}",
	};
	struct emulated *emulated = *state;
	char message[DW_REMOTE_MESSAGE_MAX];
	struct dw_remote *remote;

	log_in(emulated, "auth=browser");
	assert_int_equal(emulated_open(emulated, "", NULL, &remote, message, sizeof(message)), 0);
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		expire(emulated);
		json_decref(emulated_control(emulated, "POST", "faults", faults[i]));
		assert_int_equal(quota(remote, message), 0);
		emulated_control(emulated, "DELETE", "faults", NULL);
	}
	remote->ops->close(remote);
}

/* A developer token that Box refuses for a while is taken again without anybody's doing. */
static void test_token_refused(void **state)
{
	static const char *const options[] = {"auth=token", NULL};
	struct emulated *emulated = *state;
	struct emulated_person person = {.follow = false};
	char message[DW_REMOTE_MESSAGE_MAX], error[256] = "";
	struct dw_remote *remote;
	long before;

	snprintf(person.answers[0], sizeof(person.answers[0]), "%s", emulated->token);
	assert_int_equal(emulated_login(emulated, options, &person, error, sizeof(error)), 0);
	assert_int_equal(emulated_open(emulated, "", NULL, &remote, message, sizeof(message)), 0);
	assert_int_equal(quota(remote, message), 0);
	json_decref(emulated_control(emulated, "POST", "faults", "{\"fault\":\"status\",\"status\":401,\"times\":2}"));
	assert_int_equal(quota(remote, message), DW_REMOTE_LOGIN);
	before = emulated_count(emulated, NULL);
	assert_int_equal(quota(remote, message), DW_REMOTE_LOGIN);
	assert_int_equal(emulated_count(emulated, NULL), before + 1);
	assert_int_equal(quota(remote, message), 0);
	remote->ops->close(remote);
}

static void test_answers_of_browsers(void **state)
{
	char message[128] = "", *code;

	(void)state;
	assert_int_equal(box_loopback_parse("http://127.0.0.1:5/callback?state=s&code=a%2Fb", "s", &code, message, 128),
			 0);
	assert_string_equal(code, "a/b");
	free(code);
	assert_int_equal(box_loopback_parse("/callback?code=a&state=x", "s", &code, message, 128), -EINVAL);
	assert_int_equal(box_loopback_parse("/callback?code=a", "s", &code, message, 128), -EINVAL);
	assert_int_equal(box_loopback_parse("/callback?state=s&code=", "s", &code, message, 128), -EINVAL);
	assert_int_equal(box_loopback_parse("/callback?error=access_denied&state=s", "s", &code, message, 128),
			 -EACCES);
	assert_non_null(strstr(message, "access_denied"));
}

static void test_mistakes(void **state)
{
	static const char *const bad[][2] = {{"colour=red", NULL},	    {"auth=magic", NULL},
					     {"api-url=ftp://x", NULL},	    {"rate-calls=many", NULL},
					     {"account=../../etc", NULL},   {"config=/nowhere", NULL},
					     {"token-file=/nowhere", NULL}, {"redirect-port=70000", NULL}};
	struct dw_remote *remote;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char error[256] = "";

		assert_true(emulated_open(*state, "", bad[i], &remote, error, sizeof(error)) < 0);
		assert_true(error[0]);
	}
}

int main(int count, char **words)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_nobody),	  TEST(test_browser),
		TEST(test_paste),	  TEST(test_credentials),
		TEST(test_jwt),		  TEST(test_token),
		TEST(test_renewal),	  TEST(test_revoked),
		TEST(test_another_user),  TEST(test_renewal_in_trouble),
		TEST(test_trust),	  TEST(test_mistakes),
		TEST(test_token_refused), cmocka_unit_test(test_answers_of_browsers),
	};

	if (count != 2)
		return 2;
	program = words[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
