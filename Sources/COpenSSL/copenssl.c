#include "copenssl.h"
#include "cloader.h"

static struct copenssl library;

static const char *const names[] = {"libssl.so.3", NULL};
static const char *const symbols[] = {COPENSSL_FUNCTIONS(CLOADER_SYMBOL) NULL};

static struct cloader loader = CLOADER(names, symbols, library, NULL);

int copenssl_load(char *error, size_t size) { return cloader_load(&loader, error, size) != NULL; }

const struct copenssl *copenssl_functions(void) { return &library; }

int copenssl_require_tls12(SSL_CTX *context) {
  return (int)library.SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
}

void copenssl_set_modes(SSL_CTX *context) {
  library.SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  library.SSL_CTX_ctrl(context, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, NULL);
}

int copenssl_set_server_name(SSL *session, const char *name) {
  return (int)library.SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)name);
}

int copenssl_new_index(void) { return library.CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, NULL); }

BIO *copenssl_new_memory(void) {
  BIO *memory = library.BIO_new(library.BIO_s_mem());
  if (memory) library.BIO_ctrl(memory, BIO_C_SET_BUF_MEM_EOF_RETURN, -1, NULL);
  return memory;
}

static int copenssl_take(BIO *memory, char *text, int capacity) {
  int count = library.BIO_read(memory, text, capacity - 1);
  library.BIO_free(memory);
  text[count < 0 ? 0 : count] = 0;
  return count < 0 ? 0 : count;
}

int copenssl_print_hosts(X509 *certificate, char *text, int capacity) {
  if (!certificate) return 0;
  BIO *memory = library.BIO_new(library.BIO_s_mem());
  if (!memory) return 0;
  int place = library.X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  if (place < 0 || !library.X509V3_EXT_print(memory, library.X509_get_ext(certificate, place), 0, 0)) {
    library.X509_NAME_print_ex(memory, library.X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  }
  return copenssl_take(memory, text, capacity);
}

int copenssl_print_name(X509 *certificate, int isIssuer, char *text, int capacity) {
  if (!certificate) return 0;
  BIO *memory = library.BIO_new(library.BIO_s_mem());
  if (!memory) return 0;
  X509_NAME *name = isIssuer ? library.X509_get_issuer_name(certificate) : library.X509_get_subject_name(certificate);
  library.X509_NAME_print_ex(memory, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  return copenssl_take(memory, text, capacity);
}

int copenssl_print_time(X509 *certificate, int isEnd, char *text, int capacity) {
  if (!certificate) return 0;
  BIO *memory = library.BIO_new(library.BIO_s_mem());
  if (!memory) return 0;
  library.ASN1_TIME_print_ex(
      memory, isEnd ? library.X509_get0_notAfter(certificate) : library.X509_get0_notBefore(certificate), ASN1_DTFLGS_ISO8601);
  return copenssl_take(memory, text, capacity);
}
