// cnats, loaded on first use: whoever has no nats sink needs neither its package nor its memory.
#ifndef CNATS_H
#define CNATS_H

#include <nats/nats.h>
#include <stddef.h>

// Every function that is called, once.
#define CNATS_FUNCTIONS(X)                 \
  X(natsStatus_GetText)                    \
  X(nats_GetLastError)                     \
  X(natsOptions_Create)                    \
  X(natsOptions_Destroy)                   \
  X(natsOptions_SetServers)                \
  X(natsOptions_SetName)                   \
  X(natsOptions_SetTimeout)                \
  X(natsOptions_SetPingInterval)           \
  X(natsOptions_SetMaxReconnect)           \
  X(natsOptions_SetReconnectWait)          \
  X(natsOptions_SetUserInfo)               \
  X(natsOptions_SetToken)                  \
  X(natsOptions_SetUserCredentialsFromFiles) \
  X(natsOptions_SetSecure)                 \
  X(natsOptions_LoadCATrustedCertificates) \
  X(natsOptions_LoadCertificatesChain)     \
  X(natsOptions_SetExpectedHostname)       \
  X(natsOptions_SkipServerVerification)    \
  X(natsOptions_SetDisconnectedCB)         \
  X(natsOptions_SetReconnectedCB)          \
  X(natsOptions_SetClosedCB)               \
  X(natsOptions_SetErrorHandler)           \
  X(natsConnection_Connect)                \
  X(natsConnection_Destroy)                \
  X(natsConnection_Status)                 \
  X(natsConnection_GetLastError)           \
  X(natsConnection_GetMaxPayload)          \
  X(natsConnection_FlushTimeout)           \
  X(natsConnection_PublishMsg)             \
  X(natsConnection_JetStream)              \
  X(jsCtx_Destroy)                         \
  X(js_PublishMsg)                         \
  X(natsMsg_Create)                        \
  X(natsMsg_Destroy)                       \
  X(natsMsgHeader_Set)

struct cnats {
#define CNATS_MEMBER(name) __typeof__(name) *_Nonnull name;
  CNATS_FUNCTIONS(CNATS_MEMBER)
#undef CNATS_MEMBER
};

/// The library, loaded by the first caller and for the life of the process. NULL: it cannot be loaded, and `error` says why.
/// Safe to call from any thread.
const struct cnats *_Nullable cnats_load(char *_Nonnull error, size_t size);

/// js_PublishMsg(3) with a name that the server knows a message by when it comes again. Blocks for `wait` milliseconds at most.
natsStatus cnats_publish_acknowledged(const struct cnats *_Nonnull library, jsCtx *_Nonnull context,
                                      natsMsg *_Nonnull message, const char *_Nonnull name, int64_t wait,
                                      int *_Nonnull error);

#endif
