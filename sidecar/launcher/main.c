#include "launcher.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--install") == 0)
        return install(argv[2]);
    if (argc > 3 && strcmp(argv[1], "--supervise") == 0 && strcmp(argv[2], "--") == 0)
        return supervise(argv + 3);
    if (argc == 1)
        return run_workspace(argv + 1);
    if (argc > 1 && strcmp(argv[1], "--") == 0)
        return run_workspace(argv + 2);
    fprintf(stderr, "usage: launcher [-- SHELL [ARGUMENT ...]]\n"
                    "       launcher --install DIRECTORY\n"
                    "       launcher --supervise -- PROGRAM [ARGUMENT ...]\n");
    return 2;
}
