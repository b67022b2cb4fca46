/* SPDX-License-Identifier: MIT */
/*
 * control.h - the interface for tests and benchmarks
 *
 * On a port of its own on 127.0.0.1, below /emulator/SECRET/, where the secret stands in DIR/endpoints.json, which only
 * its owner may read. docs/emulator.md lists the calls. No fault and no bandwidth touches it.
 */
#ifndef BOX_CONTROL_H
#define BOX_CONTROL_H

#include "emulators/box/request.h"

void control_handle(struct request *request);

/* What other files have of the calls: changes as another user, and the tree (control_tree.c). */
void control_change(struct request *request);
void control_tree(struct request *request);

#endif
