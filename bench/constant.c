/* bench/constant.c -- the limit of the HTTP library: libmicrohttpd answering a constant, with one
 * thread, as reportd's server is set up. usage: constant BODY [NAME VALUE]…; prints its port and
 * serves until it is killed. */
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **request)
{
    char **argv = context;
    struct MHD_Response *response;
    enum MHD_Result rc;

    (void)url, (void)method, (void)version, (void)upload, (void)upload_len;
    if (*request == NULL) {
        *request = argv; /* the head is here: answer when called again, as reportd does */
        return MHD_YES;
    }
    response = MHD_create_response_from_buffer(strlen(argv[1]), argv[1], MHD_RESPMEM_MUST_COPY);
    for (char **header = argv + 2; header[0] != NULL && header[1] != NULL; header += 2)
        MHD_add_response_header(response, header[0], header[1]);
    rc = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return rc;
}

int main(int argc, char **argv)
{
    struct MHD_Daemon *daemon;

    if (argc < 2) {
        fprintf(stderr, "usage: constant BODY [NAME VALUE]...\n");
        return 2;
    }
    daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL,
                              NULL, on_request, argv, MHD_OPTION_THREAD_POOL_SIZE, 1u,
                              MHD_OPTION_CONNECTION_LIMIT, 1000u, MHD_OPTION_END);
    if (daemon == NULL) {
        perror("constant");
        return 1;
    }
    printf("%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    pause();
    MHD_stop_daemon(daemon);
    return 0;
}
