/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is used of libwebsockets, which is loaded late (late.h): lws_name is lws.name here. */
#ifndef VMM_DISPLAY_WEB_LIBRARY_H
#define VMM_DISPLAY_WEB_LIBRARY_H

#include <libwebsockets.h>

#define WEB_FUNCTIONS(F)                                                                           \
	F(add_http_common_headers) F(add_http_header_by_name) F(adopt_descriptor_vhost)            \
	F(callback_http_dummy) F(callback_on_writable) F(cancel_service) F(context_destroy)        \
	F(context_user) F(create_context) F(create_vhost) F(finalize_write_http_header)            \
	F(get_context) F(get_opaque_user_data) F(get_vhost_listen_port) F(hdr_copy)                \
	F(hdr_total_length) F(http_transaction_completed) F(return_http_status) F(rx_flow_control) \
	F(serve_http_file) F(service) F(set_log_level) F(set_opaque_user_data) F(set_timeout)      \
	F(write)

#define WEB_POINTER(name) typeof(lws_##name) *name;

struct web_library {
	WEB_FUNCTIONS(WEB_POINTER)
};

extern struct web_library lws;

/* Before any function: 0, or -1 after an error line. */
int web_library_load(void);

#endif
