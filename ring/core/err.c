#include "ring/core/err.h"

const char *sgn_err_name(int err)
{
    switch (err) {
#define SGN_ERR_CASE(name, code, retriable, text)                                                  \
    case code: return #name;
        SGN_ERR_TABLE(SGN_ERR_CASE)
#undef SGN_ERR_CASE
    default: return "SGN_ERR_UNLISTED";
    }
}

const char *sgn_err_text(int err)
{
    switch (err) {
#define SGN_ERR_CASE(name, code, retriable, text)                                                  \
    case code: return text;
        SGN_ERR_TABLE(SGN_ERR_CASE)
#undef SGN_ERR_CASE
    default: return "an error this program does not know; it may be older than the ring";
    }
}

int sgn_err_is_retriable(int err)
{
    switch (err) {
#define SGN_ERR_CASE(name, code, retriable, text)                                                  \
    case code: return retriable;
        SGN_ERR_TABLE(SGN_ERR_CASE)
#undef SGN_ERR_CASE
    default: return 0;
    }
}
