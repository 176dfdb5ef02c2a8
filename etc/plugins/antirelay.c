/*
 * antirelay.c: some senders may write to domains of ours only.
 *
 *     PreSMTPAccept libs=antirelay.so restricted=guest@example.com,demo@example.com domains=example.com,example.org
 *
 * A protocol plug-in that answers by itself: what it refuses the server below never hears of. It keeps the sender of the
 * present transaction. RSET is not a new connection: only sender and recipients are forgotten, who logged in stays so.
 */
#define MAILBOAT_PLUGIN_MAIN
#include "mailboat-plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *restricted;
static const char *domains;

struct session {
    PPSession *server;
    int is_restricted; /* the sender of this transaction */
};

int PPModule_Init(const pblock *block)
{
    restricted = pblock_findval("restricted", block);
    domains = pblock_findval("domains", block);
    return restricted && domains ? 0 : -1;
}

void *PPModule_NewProtPlug(PPSession *server)
{
    struct session *made = calloc(1, sizeof *made);
    if (made)
        made->server = server;
    return made;
}

void ProtPlug_Delete(void *object)
{
    free(object);
}

/* Whether `list`, separated by commas, has the word of this length. */
static int has(const char *list, const char *word, size_t length)
{
    while (*list) {
        size_t item = strcspn(list, ",");
        if (item == length && strncasecmp(list, word, length) == 0)
            return 1;
        list += item + (list[item] == ',');
    }
    return 0;
}

/* The address between < and >, or nothing. */
static const char *address(const char *line, size_t *length)
{
    const char *begin = strchr(line, '<');
    const char *end = begin ? strchr(begin, '>') : NULL;
    if (!end)
        return NULL;
    *length = (size_t)(end - begin - 1);
    return begin + 1;
}

static int is_outside(const char *line)
{
    size_t length;
    const char *to = address(line, &length);
    const char *at = NULL;
    for (size_t i = 0; to && i < length; i++)
        if (to[i] == '@')
            at = to + i + 1;
    return at && !has(domains, at, (size_t)(to + length - at));
}

static int answer(char **response, const char *text)
{
    char *memory = PPRealloc(NULL, strlen(text) + 1);
    if (!memory)
        return -1;
    strcpy(memory, text);
    *response = memory;
    return PP_DONE;
}

int ProtPlug_ProcessLine(void *object, const char *line, char **response)
{
    struct session *session = object;
    if (strncasecmp(line, "RCPT", 4) == 0 && session->is_restricted && is_outside(line))
        return answer(response, "551 delivery not allowed outside of local domains for restricted users");
    int code = PPSESSION_DEFERLINE(session->server, line, response);
    if (strncasecmp(line, "MAIL", 4) == 0 && *response && (*response)[0] == '2') {
        size_t length;
        const char *from = address(line, &length);
        session->is_restricted = from && has(restricted, from, length);
    } else if (strncasecmp(line, "RSET", 4) == 0) {
        session->is_restricted = 0;
    }
    return code;
}
