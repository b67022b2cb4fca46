/* SPDX-License-Identifier: MIT */
/*
 * login.h - `driveway login box`
 *
 *   browser   a page is opened; Box sends the browser back to 127.0.0.1, where this process waits (loopback.h)
 *   paste     the page is opened anywhere; the person pastes the address at which the browser ended, or the code in it
 *   ccg, jwt  an app logs in with its secret or key
 *   token     a developer token, good for an hour
 *
 * What a person says yes to is proved by PKCE (S256), and the answer belongs to this login by a random state. Every way
 * ends with asking Box who that is; then the login is stored (store.h).
 *
 * Threads: one login at a time in a process is the caller's business; two processes do not harm each other.
 */
#ifndef BOX_LOGIN_H
#define BOX_LOGIN_H

#include <driveway/remote.h>

int box_login(const struct dw_remote_provider *provider, const struct dw_remote_login *login, char *error,
	      size_t error_size);

#endif
