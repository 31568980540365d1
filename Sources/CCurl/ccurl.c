#include "ccurl.h"
#include "cloader.h"

#include <stdio.h>

static struct ccurl library;

static const char *const names[] = {"libcurl.so.4", NULL};
static const char *const symbols[] = {CCURL_FUNCTIONS(CLOADER_SYMBOL) NULL};

static int begin(char *failure, size_t size) {
  CURLcode code = library.curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) snprintf(failure, size, "libcurl: %s", library.curl_easy_strerror(code));
  return code == CURLE_OK ? 0 : -1;
}

static struct cloader loader = CLOADER(names, symbols, library, begin);

const struct ccurl *ccurl_load(char *error, size_t size) { return cloader_load(&loader, error, size); }

CURLcode ccurl_set_long(const struct ccurl *library, CURL *easy, CURLoption option, long value) {
  return library->curl_easy_setopt(easy, option, value);
}

CURLcode ccurl_set_offset(const struct ccurl *library, CURL *easy, CURLoption option, curl_off_t value) {
  return library->curl_easy_setopt(easy, option, value);
}

CURLcode ccurl_set_text(const struct ccurl *library, CURL *easy, CURLoption option, const char *value) {
  return library->curl_easy_setopt(easy, option, value);
}

CURLcode ccurl_set_pointer(const struct ccurl *library, CURL *easy, CURLoption option, void *value) {
  return library->curl_easy_setopt(easy, option, value);
}

CURLcode ccurl_set_data_function(const struct ccurl *library, CURL *easy, CURLoption option,
                                 ccurl_data_function value) {
  return library->curl_easy_setopt(easy, option, value);
}

CURLcode ccurl_set_seek_function(const struct ccurl *library, CURL *easy, ccurl_seek_function value) {
  return library->curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, value);
}

CURLMcode ccurl_set_driver(const struct ccurl *library, CURLM *multi, ccurl_socket_function socket,
                           ccurl_timer_function timer, void *context) {
  CURLMcode code = library->curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket);
  if (code == CURLM_OK) code = library->curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
  if (code == CURLM_OK) code = library->curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer);
  if (code == CURLM_OK) code = library->curl_multi_setopt(multi, CURLMOPT_TIMERDATA, context);
  return code;
}

CURLMcode ccurl_set_multi_long(const struct ccurl *library, CURLM *multi, CURLMoption option, long value) {
  return library->curl_multi_setopt(multi, option, value);
}

long ccurl_get_long(const struct ccurl *library, CURL *easy, CURLINFO info) {
  long value = 0;
  return library->curl_easy_getinfo(easy, info, &value) == CURLE_OK ? value : 0;
}

_Bool ccurl_next_done(const struct ccurl *library, CURLM *multi, CURLcode *result) {
  int left = 0;
  for (;;) {
    CURLMsg *message = library->curl_multi_info_read(multi, &left);
    if (message == NULL) return 0;
    if (message->msg != CURLMSG_DONE) continue;
    *result = message->data.result;
    return 1;
  }
}
