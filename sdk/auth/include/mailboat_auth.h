/* mailboat_auth.h: logs a user in by proxy, with an administrator's credential and without the user's password.
 *
 * There is no global state and nothing to set up. Every function that can fail returns a MAILBOAT_AUTH_ status, and takes as
 * its last argument `why`: null, or where a text goes that says more (null on success). It is one line, without passwords.
 *
 * Who owns what: strings that are passed in are copied, and stay the caller's. Strings that come out are freed with
 * mailboat_auth_string_free, handles with mailboat_auth_free and mailboat_auth_close; all three take null. What a function
 * could not make is null.
 *
 * Threads: a mailboat_auth is set up by one thread; then any number may use it at the same time. A
 * mailboat_auth_connection belongs to one thread at a time. Nothing here raises a signal or ends the process.
 *
 * Safety: credentials go over TLS 1.2 or newer with a certificate that was verified, or to a loopback address.
 *
 * Strings are UTF-8. Link with -lmailboat_auth. SPDX-License-Identifier: Apache-2.0 */
#ifndef MAILBOAT_AUTH_H
#define MAILBOAT_AUTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAILBOAT_AUTH_API

/* What this header is of; mailboat_auth_abi() says it of the library, which may be newer, never older. */
#define MAILBOAT_AUTH_ABI 1

/* The server, and who acts there for users. */
typedef struct mailboat_auth mailboat_auth;
/* A connection on which a user is logged in. */
typedef struct mailboat_auth_connection mailboat_auth_connection;

enum mailboat_auth_status {
    MAILBOAT_AUTH_OK = 0,
    MAILBOAT_AUTH_ARGUMENT = 1,      /* an argument makes no sense */
    MAILBOAT_AUTH_UNREACHABLE = 2,   /* there is no connection */
    MAILBOAT_AUTH_TLS = 3,           /* no TLS, or the certificate is not the server's */
    MAILBOAT_AUTH_REFUSED = 4,       /* the credential is not accepted; over POP also what is not permitted */
    MAILBOAT_AUTH_NOT_PERMITTED = 5, /* no administrator, or not from this host, or the user is an administrator */
    MAILBOAT_AUTH_NO_SUCH_USER = 6,
    MAILBOAT_AUTH_NOT_ALLOWED = 7, /* the user may not use this service */
    MAILBOAT_AUTH_UNAVAILABLE = 8, /* not now: try again later */
    MAILBOAT_AUTH_PROTOCOL = 9,    /* the server says what makes no sense */
    MAILBOAT_AUTH_TIMED_OUT = 10,
    MAILBOAT_AUTH_CLOSED = 11, /* the server closed the connection */
    MAILBOAT_AUTH_INTERNAL = 12
};

enum mailboat_auth_security {
    MAILBOAT_AUTH_TLS_FIRST = 0, /* TLS from the first byte: ports 993, 995, 443 */
    MAILBOAT_AUTH_STARTTLS = 1,  /* STARTTLS, STLS: ports 143, 110; not for the web mail */
    MAILBOAT_AUTH_LOOPBACK = 2   /* without TLS, to a server at a loopback address only */
};

MAILBOAT_AUTH_API uint32_t mailboat_auth_abi(void);

/* A text for a status; it lives as long as the library. */
MAILBOAT_AUTH_API const char *mailboat_auth_status_text(int status);

/* `host`: a name, which the certificate must have, or an address. Nothing is connected yet. */
MAILBOAT_AUTH_API int mailboat_auth_new(const char *host, const char *administrator, const char *password,
                                        mailboat_auth **out, char **why);
/* Believes the authorities in this file (PEM), and none of the system's. */
MAILBOAT_AUTH_API int mailboat_auth_set_authorities(mailboat_auth *auth, const char *path, char **why);
/* How long one log-in may take, and later one read or write; 30 seconds, if nothing is said. The look-up of the host's name is the
   system's, which has time-outs of its own. */
MAILBOAT_AUTH_API int mailboat_auth_set_timeout(mailboat_auth *auth, uint32_t milliseconds, char **why);
/* How browsers reach the web mail (https://mail.example.org), if not at the host and port that mailboat_auth_web asks. */
MAILBOAT_AUTH_API int mailboat_auth_set_public_address(mailboat_auth *auth, const char *address, char **why);
/* Overwrites the password. Connections stay. */
MAILBOAT_AUTH_API void mailboat_auth_free(mailboat_auth *auth);

/* Logs `user` in over IMAP or POP; `security` is one of enum mailboat_auth_security. */
MAILBOAT_AUTH_API int mailboat_auth_imap(const mailboat_auth *auth, uint16_t port, int security, const char *user,
                                         mailboat_auth_connection **out, char **why);
MAILBOAT_AUTH_API int mailboat_auth_pop(const mailboat_auth *auth, uint16_t port, int security, const char *user,
                                        mailboat_auth_connection **out, char **why);

/* An address that signs `user`'s browser in to the web mail: once, and within `seconds` (which may be null). Send the browser
 * there (303, Location), and write the address into no log. */
MAILBOAT_AUTH_API int mailboat_auth_web(const mailboat_auth *auth, uint16_t port, int security, const char *user,
                                        char **address, uint32_t *seconds, char **why);

/* Reads `size` bytes at most; `count` is how many, 0 at the end. */
MAILBOAT_AUTH_API int mailboat_auth_read(mailboat_auth_connection *connection, void *into, size_t size, size_t *count,
                                         char **why);
/* Writes all of them. */
MAILBOAT_AUTH_API int mailboat_auth_write(mailboat_auth_connection *connection, const void *bytes, size_t size,
                                          char **why);
MAILBOAT_AUTH_API void mailboat_auth_close(mailboat_auth_connection *connection);

/* Overwrites it. */
MAILBOAT_AUTH_API void mailboat_auth_string_free(char *string);

#ifdef __cplusplus
}
#endif

#endif
