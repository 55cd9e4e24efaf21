/* src/store/sqlite_look.c -- two backends have the function of one role. */
static int read_user(int row)
{
    return row;
}

int sqlite_user(int row);

int sqlite_user(int row)
{
    return read_user(row);
}
