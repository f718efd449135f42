// What the tests share: a check that says where it failed, and short forms of calls that must
// succeed.
#ifndef CHECK_H
#define CHECK_H

#include "dormouse.h"
#include "guests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stdout, "%s:%d: %s: not so\n", __FILE__, __LINE__, #condition);         \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

// The status of a call whose last argument is `&error`, which is freed. Such calls may nest,
// through callbacks.
static dormouse_error *error;
#define STATUS(expected, call)                                                              \
    do {                                                                                    \
        dormouse_error *outer_ = error;                                                     \
        error = NULL;                                                                       \
        dormouse_status status_ = (call);                                                   \
        if (status_ != (expected)) {                                                        \
            fprintf(stdout, "%s:%d: %s: status %d, expected %d: %s\n", __FILE__, __LINE__,  \
                    #call, (int)status_, (int)(expected),                                   \
                    error ? dormouse_error_message(error, NULL) : "");                      \
            exit(1);                                                                        \
        }                                                                                   \
        CHECK((error != NULL) == (status_ != DORMOUSE_OK));                                 \
        CHECK(error == NULL || dormouse_error_status(error) == status_);                    \
        dormouse_error_free(error);                                                         \
        error = outer_;                                                                     \
    } while (0)
#define OK(call) STATUS(DORMOUSE_OK, call)

#define DEPLOY(runtime, name, wasm, options, function_out)                                  \
    OK(dormouse_runtime_deploy(runtime, DORMOUSE_STR(name), wasm, sizeof wasm, options, function_out, &error))

// Fewer rounds under slow tools.
static inline int rounds(int many) { return getenv("DORMOUSE_FEW") ? (many + 19) / 20 : many; }

#endif
