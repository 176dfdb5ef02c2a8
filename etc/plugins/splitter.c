/*
 * splitter.c: counts the bytes of header and body of each message, and writes them on its top.
 *
 *     PostSMTPAccept libs=splitter.so funcs=init,split field=X-Split archive=archive@example.com not=secret@example.com
 *
 * The file has header and body together; the header ends at CR LF CR LF. `archive` gets every message, too; `not` gets none.
 * Both, and `field`, may be missing: without `field` messages stay as they are.
 */
#define MAILBOAT_PLUGIN_MAIN
#include "mailboat-plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int init(const pblock *block)
{
    (void)block;
    return 0;
}

/* All of a file in memory of malloc(3). */
static char *content(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    char *memory = NULL;
    long size;
    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0) {
        memory = malloc((size_t)size + 1);
        if (memory && fread(memory, 1, (size_t)size, file) != (size_t)size) {
            free(memory);
            memory = NULL;
        }
        *bytes = (size_t)size;
    }
    fclose(file);
    return memory;
}

/* Bytes of the header, with the empty line. */
static size_t header_bytes(const char *text, size_t bytes)
{
    for (size_t at = 0; at + 4 <= bytes; at++)
        if (memcmp(text + at, "\r\n\r\n", 4) == 0)
            return at + 4;
    return bytes;
}

static int write_field(const char *path, const char *field, const char *text, size_t bytes)
{
    size_t header = header_bytes(text, bytes);
    FILE *file = fopen(path, "wb");
    if (!file)
        return -1;
    fprintf(file, "%s: header=%zu body=%zu\r\n", field, header, bytes - header);
    size_t written = fwrite(text, 1, bytes, file);
    return fclose(file) == 0 && written == bytes ? 0 : -1;
}

int split(const pblock *block, PPMessage *message)
{
    const char *field = pblock_findval("field", block);
    const char *archive = pblock_findval("archive", block);
    const char *without = pblock_findval("not", block);
    const char *path = GetMessageFile(message);
    size_t bytes = 0;
    char *text = content(path, &bytes);
    char line[300];
    int done = 0;
    if (!text)
        return -1;
    snprintf(line, sizeof line, "splitter: %s from=<%s> header=%zu body=%zu", GetControlData(message, "Message-ID"),
             GetControlData(message, "User-From"), header_bytes(text, bytes), bytes - header_bytes(text, bytes));
    PPLog(line);
    if (archive)
        done = AddRecipient(message, archive);
    for (const char *to = GetFirstRecipient(message); without && to; to = GetNextRecipient(message))
        if (strcmp(to, without) == 0)
            done |= RemoveRecipient(message, to);
    if (field)
        done |= write_field(path, field, text, bytes);
    free(text);
    if (done != 0)
        return -1;
    return field || archive || without ? MSG_CONTINUE : MSG_NOACTION;
}
