/*
 * tracer.c: what passes this place of the stack stands in the log of pluginhost.
 *
 *     PreSMTPAccept libs=tracer.so name=top
 *
 * A protocol plug-in that gives each line to the level below and hands its response on. Passwords are not written.
 */
#define MAILBOAT_PLUGIN_MAIN
#include "mailboat-plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *name = "tracer";
static PPMutex *mutex;
static unsigned long sessions;

struct session {
    PPSession *server;
    unsigned long number;
};

int PPModule_Init(const pblock *block)
{
    const char *given = pblock_findval("name", block);
    if (given)
        name = given;
    mutex = PPMutex_New();
    return mutex ? 0 : -1;
}

void *PPModule_NewProtPlug(PPSession *server)
{
    struct session *made = malloc(sizeof *made);
    if (!made)
        return NULL;
    made->server = server;
    PPMutex_Lock(mutex);
    made->number = ++sessions;
    PPMutex_Unlock(mutex);
    return made;
}

static void trace(const struct session *session, const char *way, const char *text)
{
    char line[600];
    snprintf(line, sizeof line, "%s %lu [%s] %s %.400s", name, session->number,
             PPSESSION_GETPROPERTY(session->server, "ClientAddress", "?"), way, text);
    PPLog(line);
}

void ProtPlug_Delete(void *object)
{
    struct session *session = object;
    trace(session, "end", "");
    free(session);
}

int ProtPlug_ProcessLine(void *object, const char *line, char **response)
{
    struct session *session = object;
    trace(session, ">", strncasecmp(line, "AUTH", 4) == 0 ? "AUTH ..." : line);
    int code = PPSESSION_DEFERLINE(session->server, line, response);
    trace(session, "<", *response ? *response : "");
    return code;
}
