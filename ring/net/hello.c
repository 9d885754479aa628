#include "ring/net/hello.h"

void sgn_hello_encode(const struct sgn_hello *self, struct sgn_msg *msg)
{
    *msg = (struct sgn_msg){
        .type = SGN_MSG_HELLO,
        .node = self->node,
        .bucket = sgn_bytes_str(self->ring),
        .a = self->ring_digest,
        .b = self->incarnation,
        .c = SGN_FRAME_VERSION,
    };
}

static enum sgn_err read_hello(const struct sgn_msg *msg,
                               struct sgn_hello *other,
                               struct sgn_why *why)
{
    *other = (struct sgn_hello){0};
    if (msg->type != SGN_MSG_HELLO) {
        sgn_why_set(why, "the first message must be HELLO, not %s", sgn_msg_name(msg->type));
        return SGN_ERR_PROTOCOL;
    }
    bool has_nul = msg->bucket.count > 0 && memchr(msg->bucket.ptr, 0, msg->bucket.count) != NULL;
    if (has_nul || msg->bucket.count >= sizeof(other->ring) || msg->b > UINT32_MAX) {
        sgn_why_set(why, "HELLO carries a ring name or incarnation that cannot be");
        return SGN_ERR_PROTOCOL;
    }
    if (msg->bucket.count > 0) {
        memcpy(other->ring, msg->bucket.ptr, msg->bucket.count);
    }
    other->ring_digest = msg->a;
    other->node = msg->node;
    other->incarnation = (uint32_t)msg->b;
    return SGN_OK;
}

enum sgn_err sgn_hello_check(const struct sgn_hello *self,
                             const struct sgn_msg *msg,
                             struct sgn_hello *other,
                             struct sgn_why *why)
{
    enum sgn_err err = read_hello(msg, other, why);
    if (err != SGN_OK) {
        return err;
    }
    if (msg->c < SGN_FRAME_VERSION) {
        sgn_why_set(why,
                    "the other side speaks protocol versions up to %llu, this one needs %u",
                    (unsigned long long)msg->c,
                    SGN_FRAME_VERSION);
        return SGN_ERR_VERSION;
    }
    if (self->ring[0] != '\0' && other->ring[0] != '\0' && strcmp(self->ring, other->ring) != 0) {
        sgn_why_set(why,
                    "the other side is of ring \"%s\", this one of ring \"%s\"",
                    other->ring,
                    self->ring);
        return SGN_ERR_WRONG_RING;
    }
    if (self->node == 0 || other->node == 0) {
        return SGN_OK;
    }
    if (self->node == other->node) {
        sgn_why_set(
            why, "the other side calls itself node %u, which is this one's number", other->node);
        return SGN_ERR_CONFIG;
    }
    if (self->ring_digest != 0 && other->ring_digest != 0 &&
        self->ring_digest != other->ring_digest) {
        sgn_why_set(why,
                    "node %u describes ring \"%s\" otherwise (digest %016llx, here %016llx)",
                    other->node,
                    other->ring,
                    (unsigned long long)other->ring_digest,
                    (unsigned long long)self->ring_digest);
        return SGN_ERR_WRONG_RING;
    }
    return SGN_OK;
}

enum sgn_err sgn_hello_accept(struct sgn_conn *conn,
                              const struct sgn_hello *self,
                              const struct sgn_msg *msg,
                              struct sgn_hello *other,
                              struct sgn_why *why)
{
    struct sgn_why local = {
        ""}; /* The refusal needs the sentence, whether the caller wants it or not. */
    why = why != NULL ? why : &local;
    enum sgn_err err = sgn_hello_check(self, msg, other, why);
    if (err == SGN_OK) {
        struct sgn_msg answer;
        sgn_hello_encode(self, &answer);
        answer.request = msg->request;
        err = sgn_conn_send(conn, &answer);
        if (err != SGN_OK) {
            sgn_why_set(why, "%s", sgn_err_text(err));
        }
    }
    if (err != SGN_OK) {
        sgn_conn_fail(conn, msg->request, err, why->text);
        return err;
    }
    sgn_conn_take_types(conn, other->node != 0 ? sgn_types_peer() : sgn_types_requests());
    return SGN_OK;
}
