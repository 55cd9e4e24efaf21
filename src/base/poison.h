/* src/base/poison.h -- functions that write or read without a bound: to name one is an error. The
 * Makefile includes it before each file of src, after the system's headers that declare them. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#pragma GCC poison strcpy stpcpy strcat sprintf vsprintf gets strtok atoi atol atoll
