// hiredis's formatter and reader of the protocol RESP, loaded on first use: whoever has no valkey sink needs neither its
// package nor its memory. Its sockets are not used.
#ifndef CHIREDIS_H
#define CHIREDIS_H

#include <hiredis/hiredis.h>
#include <stddef.h>

// Every function that is called, once.
#define CHIREDIS_FUNCTIONS(X)      \
  X(redisFormatCommandArgv)        \
  X(redisFreeCommand)              \
  X(redisReaderCreateWithFunctions) \
  X(redisReaderFree)               \
  X(redisReaderFeed)               \
  X(redisReaderGetReply)

struct chiredis {
#define CHIREDIS_MEMBER(name) __typeof__(name) *_Nonnull name;
  CHIREDIS_FUNCTIONS(CHIREDIS_MEMBER)
#undef CHIREDIS_MEMBER
};

/// The library, loaded by the first caller and for the life of the process. NULL: it cannot be loaded, and `error` says why.
/// Safe to call from any thread.
const struct chiredis *_Nullable chiredis_load(char *_Nonnull error, size_t size);

/// What a reply was. Of its text only the beginning is kept, and arrays are refused, so that a reply takes no memory beyond
/// this, whatever the server says.
struct chiredis_reply {
  /// REDIS_REPLY_...
  int type;
  /// Of a status, an error or a string.
  char text[256];
};

/// A reader that leaves each reply in `reply`, which outlives it. NULL: there is no memory.
redisReader *_Nullable chiredis_reader(const struct chiredis *_Nonnull library, struct chiredis_reply *_Nonnull reply);

#endif
