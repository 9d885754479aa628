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
           type == SGN_MSG_REPL_PAGE || type == SGN_MSG_TREE_LEAVES || type == SGN_MSG_STATE ||
           type == SGN_MSG_PULL_PAGE || type == SGN_MSG_REG_ANSWER ||
           type == SGN_MSG_WITNESS_ANSWER || type == SGN_MSG_FLOOR_ANSWER;
}

bool sgn_msg_is_one_way(uint32_t type)
{
    return type == SGN_MSG_HEARTBEAT || type == SGN_MSG_BUCKETS || type == SGN_MSG_TREE_KEYS ||
           type == SGN_MSG_COMMITS || type == SGN_MSG_MAP_IS;
}

enum sgn_msg_type sgn_msg_answer_to(uint32_t request)
{
    switch (request) {
    case SGN_MSG_REPL_PUT: return SGN_MSG_REPL_ACK;
    case SGN_MSG_REPL_GET: return SGN_MSG_REPL_RECORD;
    case SGN_MSG_REPL_LIST: return SGN_MSG_REPL_PAGE;
    case SGN_MSG_TREE_ROOTS: return SGN_MSG_TREE_LEAVES;
    case SGN_MSG_PREPARE:
    case SGN_MSG_DIGEST:
    case SGN_MSG_ACCEPT: return SGN_MSG_STATE;
    case SGN_MSG_PULL: return SGN_MSG_PULL_PAGE;
    case SGN_MSG_FLOOR: return SGN_MSG_FLOOR_ANSWER;
    case SGN_MSG_REG_PREPARE:
    case SGN_MSG_REG_ACCEPT: return SGN_MSG_REG_ANSWER;
    case SGN_MSG_WITNESS:
    case SGN_MSG_SEED:
    case SGN_MSG_PING: return SGN_MSG_WITNESS_ANSWER;
    default: return SGN_MSG_RESULT;
    }
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
