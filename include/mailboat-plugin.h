/*
 * mailboat-plugin.h: the interface of plug-ins in C.
 *
 * Plug-ins run in a process of their own, pluginhost; docs/formats/plugins.md says how they are configured, the handbook
 * what they are for. The names are those of the Netscape Messaging Server's plug-ins; a plug-in is compiled anew.
 *
 * One source file of a library defines MAILBOAT_PLUGIN_MAIN before it includes this:
 *
 *     #define MAILBOAT_PLUGIN_MAIN
 *     #include "mailboat-plugin.h"
 *
 * cc -shared -fPIC -I include -o example.so example.c
 *
 * Functions of one library are called by several threads at once; those of one protocol object one after the other, and only
 * while a line of its session is under way. The server's functions may be called by the thread that was called, only.
 */
#ifndef MAILBOAT_PLUGIN_H
#define MAILBOAT_PLUGIN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAILBOAT_PLUGIN_VERSION 1

typedef struct pblock pblock;       /* name=value of the line in plugins.cfg */
typedef struct PPSession PPSession; /* the session of a protocol object */
typedef struct PPMutex PPMutex;
typedef struct PPMessage PPMessage; /* a message and its envelope; good until the function returns */

/* What the server can do. Texts end with NUL. Use the names below, not this. */
typedef struct PPServer {
    unsigned version; /* MAILBOAT_PLUGIN_VERSION */
    void *(*realloc)(void *memory, size_t bytes);
    const char *(*get_ini)(const char *name, const char *otherwise);
    const char *(*findval)(const char *name, const pblock *block);
    void (*log)(const char *text);
    PPMutex *(*mutex_new)(void);
    void (*mutex_lock)(PPMutex *);
    void (*mutex_unlock)(PPMutex *);
    void (*mutex_free)(PPMutex *);
    int (*defer_line)(PPSession *, const char *line, char **response);
    const char *(*get_property)(PPSession *, const char *key, const char *otherwise);
    const char *(*get_message_file)(PPMessage *);
    const char *(*get_control)(PPMessage *, const char *key);
    int (*add_control)(PPMessage *, const char *key, const char *data, int delete_original);
    int (*remove_control)(PPMessage *, const char *key);
    int (*add_recipient)(PPMessage *, const char *address);
    int (*remove_recipient)(PPMessage *, const char *address);
    const char *(*first_recipient)(PPMessage *);
    const char *(*next_recipient)(PPMessage *);
} PPServer;

#ifdef MAILBOAT_PLUGIN_MAIN
__attribute__((visibility("hidden"))) const PPServer *mailboat_server;
/* Called first, before anything else of the library. */
__attribute__((visibility("default"))) int PPModule_SetServer(const PPServer *server)
{
    mailboat_server = server;
    return server->version == MAILBOAT_PLUGIN_VERSION ? 0 : -1;
}
#else
extern __attribute__((visibility("hidden"))) const PPServer *mailboat_server;
#endif

/* --- everywhere --- */

/* As realloc(3); the memory of responses comes from here. PPRealloc(memory, 0) frees, and returns NULL. */
#define PPRealloc(memory, bytes) (mailboat_server->realloc((memory), (bytes)))
/* A parameter as local.conf has it (configutil), or `otherwise`. The text stays for good. */
#define PPGetIni(name, otherwise) (mailboat_server->get_ini((name), (otherwise)))
/* The value of name=value on the line in plugins.cfg, or NULL. */
#define pblock_findval(name, block) (mailboat_server->findval((name), (block)))
/* One line in the log of pluginhost. */
#define PPLog(text) (mailboat_server->log(text))
#define PPMutex_New() (mailboat_server->mutex_new())
#define PPMutex_Lock(mutex) (mailboat_server->mutex_lock(mutex))
#define PPMutex_Unlock(mutex) (mailboat_server->mutex_unlock(mutex))
#define PPMutex_Free(mutex) (mailboat_server->mutex_free(mutex))

/* --- PreSMTPAccept: protocol plug-ins ---
 *
 * A library exports
 *
 *     int   PPModule_Init(const pblock *block);            0 is well; may be missing
 *     void *PPModule_NewProtPlug(PPSession *session);      an object for each connection; NULL refuses it
 *     int   ProtPlug_ProcessLine(void *object, const char *line, char **response);
 *     void  ProtPlug_Delete(void *object);
 *
 * Plug-ins form a stack: the client is at the top, the server at the bottom. ProcessLine either gives the line, or another one,
 * to the level below by PPSESSION_DEFERLINE, which gives back its response, or answers by itself. Then the levels below never
 * hear of it. Who refuses what was deferred takes a sender or recipient back, and ends a session that has logged in; what other
 * commands have done stays done. *response is memory of PPRealloc, belongs to the caller, and is "250 text", lines apart by CR LF; without a
 * line end at its end.
 */
#define PP_DONE 0  /* *response is the answer */
#define PP_CLOSE 1 /* the same, and the connection ends */

/* PP_DONE or PP_CLOSE, and the response of the level below, which now is the caller's. */
#define PPSESSION_DEFERLINE(session, line, response) (mailboat_server->defer_line((session), (line), (response)))
/* ClientAddress, Service (smtp or submission), User (who logged in), ServerName. */
#define PPSESSION_GETPROPERTY(session, key, otherwise) (mailboat_server->get_property((session), (key), (otherwise)))

/* --- PostSMTPAccept ---
 *
 * The functions that `funcs` names:
 *
 *     int init(const pblock *block);                       0 is well
 *     int function(const pblock *block, PPMessage *message);
 *
 * MSG_NOACTION: nothing was done; the envelope stays as it was, and the file must not have been changed. MSG_CONTINUE: the message
 * goes on as it is now. Anything else is a failure: the sender tries again later. malloc(3) may be used, and belongs to the plug-in.
 */
#define MSG_NOACTION 0x02
#define MSG_CONTINUE 0x04

/* RFC 822, header and body together: the header ends at CR LF CR LF. It may be changed, or another put in its place. */
#define GetMessageFile(message) (mailboat_server->get_message_file(message))
/* User-From (the sender, empty for <>), Host-From, Auth-Sender, Message-ID (of the queue), Protocol; or NULL. */
#define GetControlData(message, key) (mailboat_server->get_control((message), (key)))
/* Only User-From outlives the stage. 0 is well. */
#define AddControlInfo(message, key, data, delete_original) \
    (mailboat_server->add_control((message), (key), (data), (delete_original)))
#define RemoveControlInfo(message, key) (mailboat_server->remove_control((message), (key)))
/* 0 is well. A message without recipients is thrown away. */
#define AddRecipient(message, address) (mailboat_server->add_recipient((message), (address)))
#define RemoveRecipient(message, address) (mailboat_server->remove_recipient((message), (address)))
/* Addresses, NULL at the end. What is added comes last; what was told may be removed. */
#define GetFirstRecipient(message) (mailboat_server->first_recipient(message))
#define GetNextRecipient(message) (mailboat_server->next_recipient(message))

#ifdef __cplusplus
}
#endif

#endif
