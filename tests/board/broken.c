/* A program that passes for edgerun until it is to work: what a bad release looks like. */
#include <stdio.h>
#include <string.h>

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++)
        if (!strcmp(arguments[i], "run"))
            return 1;
    puts("edgerun 0.1.0-broken");
    return 0;
}
