// libcurl, loaded on first use: whoever has no sink that speaks HTTP needs neither its package nor its memory.
#ifndef CCURL_H
#define CCURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>

// Every function that is called, once.
#define CCURL_FUNCTIONS(X)   \
  X(curl_global_init)        \
  X(curl_easy_init)          \
  X(curl_easy_cleanup)       \
  X(curl_easy_reset)         \
  X(curl_easy_setopt)        \
  X(curl_easy_getinfo)       \
  X(curl_easy_strerror)      \
  X(curl_slist_append)       \
  X(curl_slist_free_all)     \
  X(curl_multi_init)         \
  X(curl_multi_cleanup)      \
  X(curl_multi_setopt)       \
  X(curl_multi_add_handle)   \
  X(curl_multi_remove_handle) \
  X(curl_multi_socket_action) \
  X(curl_multi_info_read)    \
  X(curl_multi_strerror)

// curl.h hides these behind macros of the same name.
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

struct ccurl {
#define CCURL_MEMBER(name) __typeof__(name) *_Nonnull name;
  CCURL_FUNCTIONS(CCURL_MEMBER)
#undef CCURL_MEMBER
};

/// The library, loaded and initialised by the first caller and for the life of the process. NULL: it cannot be, and `error` says why.
/// Safe to call from any thread.
const struct ccurl *_Nullable ccurl_load(char *_Nonnull error, size_t size);

typedef size_t (*ccurl_data_function)(char *_Nonnull bytes, size_t size, size_t count, void *_Nonnull context);
typedef int (*ccurl_seek_function)(void *_Nonnull context, curl_off_t offset, int origin);
typedef int (*ccurl_socket_function)(CURL *_Nullable easy, curl_socket_t socket, int what, void *_Nonnull context,
                                     void *_Nullable socket_context);
typedef int (*ccurl_timer_function)(CURLM *_Nullable multi, long milliseconds, void *_Nonnull context);

// curl_easy_setopt(3) for each type of argument: C's variable arguments are not for Swift.
CURLcode ccurl_set_long(const struct ccurl *_Nonnull library, CURL *_Nonnull easy, CURLoption option, long value);
CURLcode ccurl_set_offset(const struct ccurl *_Nonnull library, CURL *_Nonnull easy, CURLoption option,
                          curl_off_t value);
/// libcurl copies the text, but for CURLOPT_ERRORBUFFER and CURLOPT_POSTFIELDS.
CURLcode ccurl_set_text(const struct ccurl *_Nonnull library, CURL *_Nonnull easy, CURLoption option,
                        const char *_Nullable value);
CURLcode ccurl_set_pointer(const struct ccurl *_Nonnull library, CURL *_Nonnull easy, CURLoption option,
                           void *_Nullable value);
CURLcode ccurl_set_data_function(const struct ccurl *_Nonnull library, CURL *_Nonnull easy, CURLoption option,
                                 ccurl_data_function _Nonnull value);
CURLcode ccurl_set_seek_function(const struct ccurl *_Nonnull library, CURL *_Nonnull easy,
                                 ccurl_seek_function _Nonnull value);

/// What the multi handle calls for sockets and its timer, all with `context`.
CURLMcode ccurl_set_driver(const struct ccurl *_Nonnull library, CURLM *_Nonnull multi,
                           ccurl_socket_function _Nonnull socket, ccurl_timer_function _Nonnull timer,
                           void *_Nonnull context);
CURLMcode ccurl_set_multi_long(const struct ccurl *_Nonnull library, CURLM *_Nonnull multi, CURLMoption option,
                               long value);

/// curl_easy_getinfo(3) of a number; 0 if it is not known.
long ccurl_get_long(const struct ccurl *_Nonnull library, CURL *_Nonnull easy, CURLINFO info);

/// A transfer that has ended, and how. False: none has.
_Bool ccurl_next_done(const struct ccurl *_Nonnull library, CURLM *_Nonnull multi, CURLcode *_Nonnull result);

#endif
