/* The client inside a program's own libevent loop: no thread of the library, callbacks on the
 * loop. */
#include <signet.h>
#include <signet_libevent.h>
#include <stdio.h>

struct page {
    struct event_base *base;
    unsigned keys;
    int err;
};

static void page_done(struct sgn_request *request, int err, void *user)
{
    struct page *page = user;
    char after[SGN_LIMIT_KEY_BYTES + SGN_LIMIT_BUCKET_BYTES + 1];
    page->err = err;
    if (err == SGN_OK) {
        for (uint32_t i = 0; i < sgn_request_item_count(request); i++) {
            struct sgn_item_info item = {.struct_bytes = sizeof(item)};
            sgn_request_item(request, i, &item);
            printf("%8llu  %.*s\n",
                   (unsigned long long)item.value_bytes,
                   (int)item.key.count,
                   (const char *)item.key.ptr);
        }
        page->keys += sgn_request_item_count(request);
        struct sgn_bytes cursor = sgn_request_list_after(request);
        if (!sgn_request_list_end(request) && cursor.count <= sizeof(after)) {
            /* Beginning the next operation ends the result, the cursor with it: keep it first. */
            for (size_t i = 0; i < cursor.count; i++) {
                after[i] = ((const char *)cursor.ptr)[i];
            }
            sgn_request_list(request, sgn_text("default"), sgn_text(""));
            sgn_request_set_list_after(request, (struct sgn_bytes){after, cursor.count});
            page->err = sgn_request_start(request, page_done, page);
            if (page->err == SGN_OK) {
                return;
            }
        }
    }
    if (page->err != SGN_OK) {
        fprintf(stderr, "%s\n", sgn_request_error(request));
    }
    event_base_loopbreak(page->base);
}

int main(void)
{
    struct sgn_options *options = sgn_options_create();
    struct sgn_client *client = NULL;
    struct sgn_libevent glue;
    struct page page = {.base = event_base_new()};
    if (page.base == NULL || options == NULL || sgn_options_load_env(options) != SGN_OK ||
        sgn_options_set(options, "threads", "0") != SGN_OK ||
        sgn_client_create(&client, options) != SGN_OK ||
        sgn_libevent_add(&glue, page.base, client) != SGN_OK) {
        fprintf(stderr, "no client: %s\n", options == NULL ? "" : sgn_options_error(options));
        return 1;
    }
    struct sgn_request *request = sgn_request_create(client);
    sgn_request_list(request, sgn_text("default"), sgn_text(""));
    page.err = sgn_request_start(request, page_done, &page);
    if (page.err == SGN_OK) {
        event_base_dispatch(page.base);
    }
    printf("%u keys\n", page.keys);
    sgn_libevent_remove(&glue);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
    sgn_options_destroy(options);
    event_base_free(page.base);
    return page.err == SGN_OK ? 0 : 1;
}
