#include "cnats.h"
#include "cloader.h"

static struct cnats library;

// Debian's name carries the version.
static const char *const names[] = {"libnats.so.3.4", "libnats.so.3.6", "libnats.so.3.7", "libnats.so", NULL};
static const char *const symbols[] = {CNATS_FUNCTIONS(CLOADER_SYMBOL) NULL};

static struct cloader loader = CLOADER(names, symbols, library, NULL);

const struct cnats *cnats_load(char *error, size_t size) { return cloader_load(&loader, error, size); }

natsStatus cnats_publish_acknowledged(const struct cnats *library, jsCtx *context, natsMsg *message, const char *name,
                                      int64_t wait, int *error) {
  jsPubOptions options = {.MaxWait = wait, .MsgId = name};
  jsErrCode code = 0;
  natsStatus status = library->js_PublishMsg(NULL, context, message, &options, &code);
  *error = (int)code;
  return status;
}
