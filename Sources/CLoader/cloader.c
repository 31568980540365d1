#include "cloader.h"

#include <dlfcn.h>
#include <stdio.h>

static void load(struct cloader *loader) {
  const char *name = NULL;
  void *handle = NULL;
  for (size_t index = 0; handle == NULL && loader->names[index] != NULL; index++) {
    name = loader->names[index];
    handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    // The first name is the usual one.
    if (handle == NULL && loader->failure[0] == 0) snprintf(loader->failure, sizeof loader->failure, "%s", dlerror());
  }
  if (handle == NULL) return;
  loader->failure[0] = 0;
  for (size_t index = 0; loader->symbols[index] != NULL; index++) {
    // Also found in the libraries that it brings.
    loader->functions[index] = dlsym(handle, loader->symbols[index]);
    if (loader->functions[index] != NULL) continue;
    snprintf(loader->failure, sizeof loader->failure, "%s is too old: it has no %s", name, loader->symbols[index]);
    return;
  }
  if (loader->begin != NULL) loader->begin(loader->failure, sizeof loader->failure);
}

const void *cloader_load(struct cloader *loader, char *error, size_t size) {
  pthread_mutex_lock(&loader->lock);
  if (!loader->is_over) load(loader);
  loader->is_over = 1;
  pthread_mutex_unlock(&loader->lock);
  if (loader->failure[0] == 0) return loader->functions;
  snprintf(error, size, "%s", loader->failure);
  return NULL;
}
