/* Merging the pages of a list: a key is final when every node has looked past it. */
#include "ring/core/list_inner.h"

/* The smallest key not yet taken, of all pages; false when there is none. */
static bool list_least(const struct sgn_list *list, struct sgn_bytes *least)
{
    bool any = false;
    for (uint32_t i = 0; i < list->node_count; i++) {
        const struct list_node *node = &list->nodes[i];
        struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(node->page));
        struct sgn_bytes key;
        struct sgn_bytes value;
        (void)sgn_cursor_take(&cursor, node->at);
        if (sgn_items_next(&cursor, &key, &value) && (!any || sgn_bytes_compare(key, *least) < 0)) {
            *least = key;
            any = true;
        }
    }
    return any;
}

bool sgn_list_take(struct list_node *node, struct sgn_bytes wanted, struct sgn_bytes *value)
{
    struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(node->page));
    struct sgn_bytes key;
    (void)sgn_cursor_take(&cursor, node->at);
    if (!sgn_items_next(&cursor, &key, value) || !sgn_bytes_equal(key, wanted)) {
        return false;
    }
    node->at = node->page->count - cursor.left;
    return true;
}

#define LIST_HEAD_BYTES_MAX (4u + 16u * SGN_ACTORS_MAX + 48u * SGN_SIBLINGS_MAX)

/* Takes the key from every page that has it and merges its records; false: nothing of it is
 * alive. */
static bool list_head(struct sgn_list *list, struct sgn_bytes least, struct sgn_sink *head)
{
    struct sgn_record merged;
    sgn_record_init(&merged);
    for (uint32_t i = 0; i < list->node_count; i++) {
        struct sgn_bytes value;
        struct sgn_record record;
        /* One that cannot be read or merged abstains; the others show the key. */
        if (sgn_list_take(&list->nodes[i], least, &value) &&
            sgn_record_decode(value, SGN_RECORD_DIGEST_ONLY, &record) == SGN_OK) {
            (void)sgn_record_merge(&merged, &record);
        }
    }
    if (sgn_record_is_dead(&merged)) {
        return false;
    }
    sgn_record_encode(&merged, SGN_RECORD_DIGEST_ONLY, head);
    SGN_ASSERT(!head->full);
    return true;
}

/* Merges what is final into the sink. True if the whole list is through. */
bool sgn_list_merge(struct sgn_op *op, struct sgn_sink *sink)
{
    struct sgn_list *list = op->list;
    struct sgn_bytes bound = sgn_bytes_of(NULL, 0);
    bool bounded = false;
    for (uint32_t i = 0; i < list->node_count; i++) {
        const struct list_node *node = &list->nodes[i];
        struct sgn_bytes after = sgn_buf_bytes(node->after);
        if (!node->end && (!bounded || sgn_bytes_compare(after, bound) < 0)) {
            bound = after;
            bounded = true;
        }
    }
    struct sgn_bytes least;
    struct sgn_bytes last = sgn_bytes_of(NULL, 0);
    while (list_least(list, &least) && (!bounded || sgn_bytes_compare(least, bound) <= 0)) {
        uint8_t raw[LIST_HEAD_BYTES_MAX];
        struct sgn_sink head = sgn_sink_of(raw, sizeof(raw));
        if (list->shown == list->limit || list->doubt_count == SGN_LIST_DOUBTS_MAX ||
            SGN_ITEM_OVERHEAD_BYTES + least.count + sizeof(raw) > sink->cap - sink->count) {
            if (last.count > 0) {
                memcpy(list->after, last.ptr, last.count);
            }
            list->after_bytes = last.count;
            return false;
        }
        last = least;
        if (list->mode == LIST_AVAILABLE ? list_head(list, least, &head)
                                         : sgn_list_row(list, least, &head)) {
            sgn_items_push(sink, least, sgn_sink_bytes(&head));
            list->shown++;
        }
    }
    if (bounded) {
        memcpy(list->after, bound.ptr, bound.count);
        list->after_bytes = bound.count;
    }
    return !bounded;
}
