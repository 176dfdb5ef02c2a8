/* portal.c: a portal that knows who its user is opens the user's mail.
 *
 *   portal imap|pop|web HOST PORT tls|starttls|loopback ADMINISTRATOR USER [AUTHORITIES.PEM]
 *
 * The administrator's password is the first line of standard input. Prints how many messages there are, or the address to
 * send the browser to. Ends with the status. */
#include "mailboat_auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int say(int status, char *why) {
    if (status != MAILBOAT_AUTH_OK)
        fprintf(stderr, "portal: %s\n", why ? why : mailboat_auth_status_text(status));
    mailboat_auth_string_free(why);
    return status;
}

/* Reads until a line that begins with `last` is whole, and prints the one that has `wanted`. */
static int show(mailboat_auth_connection *connection, const char *command, const char *wanted, const char *last) {
    char text[65536], *why = NULL;
    size_t have = 0, count;
    int status = mailboat_auth_write(connection, command, strlen(command), &why);
    while (status == MAILBOAT_AUTH_OK && have < sizeof text - 1) {
        status = mailboat_auth_read(connection, text + have, sizeof text - 1 - have, &count, &why);
        if (status != MAILBOAT_AUTH_OK || count == 0)
            break;
        have += count;
        text[have] = '\0';
        char *end = strncmp(text, last, strlen(last)) ? strstr(text, "\r\na ") : text;
        if (end && strchr(end + 2, '\n')) {
            for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n"))
                if (strstr(line, wanted))
                    printf("%s\n", line);
            return MAILBOAT_AUTH_OK;
        }
    }
    return say(status, why);
}

int main(int argc, char **argv) {
    char password[1024], *why = NULL;
    if (argc < 7 || !fgets(password, sizeof password, stdin)) {
        fprintf(stderr, "usage: portal imap|pop|web HOST PORT tls|starttls|loopback ADMINISTRATOR USER [AUTHORITIES]\n");
        return 64;
    }
    password[strcspn(password, "\r\n")] = '\0';
    if (mailboat_auth_abi() < MAILBOAT_AUTH_ABI) {
        fprintf(stderr, "portal: the library is older than this program\n");
        return 64;
    }
    uint16_t port = (uint16_t)atoi(argv[3]);
    int security = !strcmp(argv[4], "tls")        ? MAILBOAT_AUTH_TLS_FIRST
                   : !strcmp(argv[4], "starttls") ? MAILBOAT_AUTH_STARTTLS
                                                  : MAILBOAT_AUTH_LOOPBACK;

    mailboat_auth *auth = NULL;
    int status = mailboat_auth_new(argv[2], argv[5], password, &auth, &why);
    memset(password, 0, sizeof password); /* the library has a copy, and overwrites it */
    if (status == MAILBOAT_AUTH_OK && argc > 7)
        status = mailboat_auth_set_authorities(auth, argv[7], &why);
    if (status != MAILBOAT_AUTH_OK) {
        mailboat_auth_free(auth);
        return say(status, why);
    }

    if (!strcmp(argv[1], "web")) {
        char *address = NULL;
        status = say(mailboat_auth_web(auth, port, security, argv[6], &address, NULL, &why), why);
        if (status == MAILBOAT_AUTH_OK)
            printf("%s\n", address);
        mailboat_auth_string_free(address);
    } else {
        mailboat_auth_connection *connection = NULL;
        int imap = !strcmp(argv[1], "imap");
        status = imap ? mailboat_auth_imap(auth, port, security, argv[6], &connection, &why)
                      : mailboat_auth_pop(auth, port, security, argv[6], &connection, &why);
        if (say(status, why) == MAILBOAT_AUTH_OK)
            status = imap ? show(connection, "a STATUS INBOX (MESSAGES)\r\n", "MESSAGES", "a ")
                          : show(connection, "STAT\r\n", "OK", "+OK");
        mailboat_auth_close(connection);
    }
    mailboat_auth_free(auth);
    return status;
}
