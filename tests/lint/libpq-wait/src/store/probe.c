/* src/store/probe.c -- waits for libpq by itself. */
int PQsocket(int conn);
int probe_wait(int conn);

int probe_wait(int conn)
{
    return PQsocket(conn);
}
