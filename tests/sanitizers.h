/* SPDX-License-Identifier: MIT */
/*
 * sanitizers.h - which sanitizer a test is built with
 *
 * UNDER_ASAN and UNDER_TSAN are 1 or 0. gcc defines a macro for each, clang answers __has_feature.
 */
#ifndef TESTS_SANITIZERS_H
#define TESTS_SANITIZERS_H

#ifdef __has_feature
#define UNDER_ASAN __has_feature(address_sanitizer)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif
#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif
#endif

#endif
