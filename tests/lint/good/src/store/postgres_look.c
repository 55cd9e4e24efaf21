/* src/store/postgres_look.c -- two backends have the function of one role. */
static int read_user(int row)
{
    return row;
}

int postgres_user(int row);

int postgres_user(int row)
{
    return read_user(row);
}
