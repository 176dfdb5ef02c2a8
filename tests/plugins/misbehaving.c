/* A plug-in for tests: it does what it is asked to do wrong, by a word in the line or on top of the message. */
#define MAILBOAT_PLUGIN_MAIN
#include "mailboat-plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void do_wrong(const char *what)
{
    if (strstr(what, "HANG"))
        for (;;)
            pause();
    if (strstr(what, "CRASH"))
        abort();
}

int look(const pblock *block, PPMessage *message)
{
    char line[200] = "";
    FILE *file = fopen(GetMessageFile(message), "rb+");
    (void)block;
    if (!file || !fgets(line, sizeof line, file))
        return -1;
    do_wrong(line);
    if (strstr(line, "FORBIDDEN")) {
        FILE *other = fopen("/etc/passwd", "a");
        PPLog(other ? "forbidden: opened" : "forbidden: refused");
        PPLog(system("true") == 0 ? "forbidden: run" : "forbidden: not run");
    }
    if (strstr(line, "NOFIELD")) {
        rewind(file);
        fputs("this is no field", file);
        fclose(file);
        return MSG_CONTINUE;
    }
    if (strstr(line, "SENDER")) {
        if (AddControlInfo(message, "User-From", "other@example.org", 1) != 0)
            return -1;
        fclose(file);
        return MSG_CONTINUE;
    }
    if (strstr(line, "NOBODY"))
        AddRecipient(message, "not an address");
    fclose(file);
    if (strstr(line, "FAIL"))
        return -1;
    return strstr(line, "NOBODY") ? MSG_CONTINUE : MSG_NOACTION;
}

struct session {
    PPSession *server;
    char *grown; /* by PPRealloc, from line to line */
    size_t length;
};

void *PPModule_NewProtPlug(PPSession *server)
{
    struct session *made = calloc(1, sizeof *made);
    made->server = server;
    return made;
}

void ProtPlug_Delete(void *object)
{
    struct session *session = object;
    PPRealloc(session->grown, 0);
    free(session);
}

static int say(char **response, const char *text)
{
    *response = PPRealloc(NULL, strlen(text) + 1);
    strcpy(*response, text);
    return PP_DONE;
}

int ProtPlug_ProcessLine(void *object, const char *line, char **response)
{
    struct session *session = object;
    do_wrong(line);
    session->grown = PPRealloc(session->grown, session->length + strlen(line) + 2);
    session->length += (size_t)sprintf(session->grown + session->length, "%s|", line);
    if (strcmp(line, "HELP all") == 0) {
        *response = PPRealloc(NULL, session->length + 5);
        sprintf(*response, "214 %s", session->grown);
        return PP_DONE;
    }
    if (strcmp(line, "HELP ini") == 0)
        return say(response, PPGetIni("service.smtp.plugins.timeout", "none"));
    if (strcmp(line, "HELP user") == 0) {
        char text[200];
        snprintf(text, sizeof text, "214 %s %s", PPSESSION_GETPROPERTY(session->server, "User", "nobody"),
                 PPSESSION_GETPROPERTY(session->server, "Nothing", "otherwise"));
        return say(response, text);
    }
    if (strcmp(line, "HELP nothing") == 0)
        return PP_DONE;
    if (strcmp(line, "HELP content") == 0)
        return say(response, "354 go on");
    if (strcmp(line, "HELP close") == 0) {
        say(response, "250 bye");
        return PP_CLOSE;
    }
    if (strcmp(line, "DATA NO") == 0) { /* deferred, and taken back */
        PPSESSION_DEFERLINE(session->server, "DATA", response);
        PPRealloc(*response, 0);
        return say(response, "554 no content today");
    }
    int code = PPSESSION_DEFERLINE(session->server, line, response);
    if (strncmp(line, "RCPT", 4) == 0 && strstr(line, "copied")) { /* another recipient beside this one */
        char *of_copy = NULL;
        PPSESSION_DEFERLINE(session->server, "RCPT TO:<bob@example.test>", &of_copy);
        PPRealloc(of_copy, 0);
    }
    /* A log-in of alice for alice, too. */
    if (strstr(line, "regretted") || strncmp(line, "AUTH PLAIN YWxpY2UA", 19) == 0) {
        PPRealloc(*response, 0);
        return say(response, "551 not after all");
    }
    return code;
}
