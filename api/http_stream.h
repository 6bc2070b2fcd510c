/*
 * http_stream - the response of a stream: while it has nothing to send its connection is
 * suspended, which takes no thread, until it is woken.
 */
#ifndef API_HTTP_STREAM_H
#define API_HTTP_STREAM_H

#include <microhttpd.h>

#include "api/answer.h"

/* Takes the stream. NULL: there is no response, and the stream is still the caller's. */
struct MHD_Response *http_stream_response(struct MHD_Connection *connection,
                                          const struct answer_stream *stream);

#endif
