/* src/core/two.c -- reads another thing under the same name. */
static int read_file(const char *path)
{
    return *path;
}

int two_read(const char *path);

int two_read(const char *path)
{
    return read_file(path);
}
