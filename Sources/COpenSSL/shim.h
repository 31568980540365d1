// libssl 3, and as functions what it has as macros, which Swift does not import.
#include <features.h>
#include <sys/types.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/// At least TLS 1.2, SSL_CTX_set_min_proto_version(3). Returns 1, or 0 on failure.
static inline int copenssl_require_tls12(SSL_CTX *context) {
  return (int)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

/// SSL_CTX_set_mode(3), SSL_CTX_set_options(3): idle sessions keep no record buffers; what is written may lie
/// elsewhere when it is tried again; a server of TLS 1.2 that wants to shake hands again is told no.
static inline void copenssl_set_modes(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

/// The name that the server chooses its certificate by (SNI), SSL_set_tlsext_host_name(3). Returns 1, or 0 on failure.
static inline int copenssl_set_server_name(SSL *session, const char *name) {
  return (int)SSL_set_tlsext_host_name(session, name);
}

/// Where a session keeps a pointer of its owner's, SSL_get_ex_new_index(3). -1 on failure.
static inline int copenssl_new_index(void) { return SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL); }

/// A memory BIO that asks to be tried again when it is empty, BIO_s_mem(3). NULL on failure.
static inline BIO *copenssl_new_memory(void) {
  BIO *memory = BIO_new(BIO_s_mem());
  if (memory) BIO_set_mem_eof_return(memory, -1);
  return memory;
}

static inline int copenssl_take(BIO *memory, char *text, int capacity) {
  int count = BIO_read(memory, text, capacity - 1);
  BIO_free(memory);
  text[count < 0 ? 0 : count] = 0;
  return count < 0 ? 0 : count;
}

/// For which hosts a certificate is good: its alternative names, or without any its subject. Bytes of `text`, which is
/// cut.
static inline int copenssl_print_hosts(X509 *certificate, char *text, int capacity) {
  BIO *memory = BIO_new(BIO_s_mem());
  if (!memory) return 0;
  int place = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  if (place < 0 || !X509V3_EXT_print(memory, X509_get_ext(certificate, place), 0, 0)) {
    X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  }
  return copenssl_take(memory, text, capacity);
}

/// The subject of a certificate, or who issued it. Bytes of `text`, which is cut.
static inline int copenssl_print_name(X509 *certificate, int isIssuer, char *text, int capacity) {
  BIO *memory = BIO_new(BIO_s_mem());
  if (!memory) return 0;
  X509_NAME *name = isIssuer ? X509_get_issuer_name(certificate) : X509_get_subject_name(certificate);
  X509_NAME_print_ex(memory, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  return copenssl_take(memory, text, capacity);
}

/// From when, or until when, a certificate is valid. Bytes of `text`, which is cut.
static inline int copenssl_print_time(X509 *certificate, int isEnd, char *text, int capacity) {
  BIO *memory = BIO_new(BIO_s_mem());
  if (!memory) return 0;
  ASN1_TIME_print_ex(
      memory, isEnd ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate), ASN1_DTFLGS_ISO8601);
  return copenssl_take(memory, text, capacity);
}
