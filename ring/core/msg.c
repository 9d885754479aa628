#include "ring/core/msg.h"

#include "ring/core/key.h"

#define SGN_MSG_CHECK_FIELDS(name, number, fields)                                                 \
    _Static_assert(sizeof(fields) - 1 <= SGN_MSG_FIELDS_MAX, "a message's fields fit its limit");
SGN_MSG_TABLE(SGN_MSG_CHECK_FIELDS)
#undef SGN_MSG_CHECK_FIELDS

const char *sgn_msg_fields(uint32_t type)
{
    switch (type) {
#define SGN_MSG_CASE(name, number, fields)                                                         \
    case number: return fields;
        SGN_MSG_TABLE(SGN_MSG_CASE)
#undef SGN_MSG_CASE
    default: return NULL;
    }
}

const char *sgn_msg_name(uint32_t type)
{
    switch (type) {
#define SGN_MSG_CASE(name, number, fields)                                                         \
    case number: return #name;
        SGN_MSG_TABLE(SGN_MSG_CASE)
#undef SGN_MSG_CASE
    default: return "?";
    }
}

bool sgn_msg_is_answer(uint32_t type)
{
    return type == SGN_MSG_RESULT || type == SGN_MSG_REPL_ACK || type == SGN_MSG_REPL_RECORD ||
           type == SGN_MSG_REPL_PAGE || type == SGN_MSG_TREE_LEAVES;
}

size_t sgn_msg_field_bytes_max(char letter)
{
    switch (letter) {
    case 'B': return SGN_BUCKET_BYTES_MAX;
    case 'K': return SGN_KEY_BYTES_MAX;
    case 'V': return SGN_RECORD_BYTES_MAX;
    case 'C': return SGN_CONTEXT_BYTES_MAX;
    case 'I': return SGN_PAGE_BYTES_MAX;
    case 'A': return SGN_FULL_KEY_BYTES_MAX;
    case 'T': return 1024;
    case 'i': return SGN_REQUEST_ID_BYTES;
    default: return 0;
    }
}
