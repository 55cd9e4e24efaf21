#include <unistd.h>

int main(void)
{
    return usleep(1000);
}
