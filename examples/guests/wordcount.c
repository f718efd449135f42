// Word count in C: an ordinary program, the event on stdin, the reply on stdout.
#include <ctype.h>
#include <stdio.h>

int main(void) {
    unsigned long lines = 0, words = 0, bytes = 0;
    int inside = 0;
    for (int c; (c = getchar()) != EOF; bytes++) {
        lines += c == '\n';
        words += !isspace(c) && !inside;
        inside = !isspace(c);
    }
    printf("{\"lines\":%lu,\"words\":%lu,\"bytes\":%lu}", lines, words, bytes);
    return 0;
}
