// libssl 3, loaded on first use: whoever has no connection with TLS needs neither its package nor its memory.
#ifndef COPENSSL_H
#define COPENSSL_H

#include <features.h>
#include <sys/types.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// Every function that is called, once. It is called by its own name, so one that is a macro is listed by what it calls.
#define COPENSSL_FUNCTIONS(X) \
  X(SSL_CTX_new) \
  X(SSL_CTX_free) \
  X(SSL_CTX_ctrl) \
  X(SSL_CTX_set_options) \
  X(SSL_CTX_set_verify) \
  X(SSL_CTX_set_default_passwd_cb) \
  X(SSL_CTX_set_default_verify_paths) \
  X(SSL_CTX_load_verify_file) \
  X(SSL_CTX_use_certificate_chain_file) \
  X(SSL_CTX_use_PrivateKey_file) \
  X(TLS_client_method) \
  X(SSL_new) \
  X(SSL_free) \
  X(SSL_ctrl) \
  X(SSL_set_bio) \
  X(SSL_set_connect_state) \
  X(SSL_set_ex_data) \
  X(SSL_get_ex_data) \
  X(SSL_get0_param) \
  X(SSL_set_hostflags) \
  X(SSL_set1_host) \
  X(SSL_do_handshake) \
  X(SSL_get_error) \
  X(SSL_get_verify_result) \
  X(SSL_write_ex) \
  X(SSL_read_ex) \
  X(SSL_shutdown) \
  X(SSL_get0_peer_certificate) \
  X(SSL_get_ex_data_X509_STORE_CTX_idx) \
  X(X509_VERIFY_PARAM_set1_ip_asc) \
  X(X509_STORE_CTX_get_ex_data) \
  X(X509_STORE_CTX_get_error) \
  X(X509_STORE_CTX_get_current_cert) \
  X(X509_verify_cert_error_string) \
  X(X509_get_ext_by_NID) \
  X(X509_get_ext) \
  X(X509V3_EXT_print) \
  X(X509_NAME_print_ex) \
  X(X509_get_subject_name) \
  X(X509_get_issuer_name) \
  X(X509_get0_notAfter) \
  X(X509_get0_notBefore) \
  X(ASN1_TIME_print_ex) \
  X(BIO_new) \
  X(BIO_free) \
  X(BIO_s_mem) \
  X(BIO_ctrl) \
  X(BIO_ctrl_pending) \
  X(BIO_read) \
  X(BIO_write) \
  X(ERR_clear_error) \
  X(ERR_get_error) \
  X(ERR_reason_error_string) \
  X(CRYPTO_get_ex_new_index)

struct copenssl {
#define COPENSSL_MEMBER(name) __typeof__(name) *_Nonnull name;
  COPENSSL_FUNCTIONS(COPENSSL_MEMBER)
#undef COPENSSL_MEMBER
};

/// Loads the library, for the first caller and the life of the process. 0: it cannot be loaded, and `error` says why. Safe to call
/// from any thread.
int copenssl_load(char *_Nonnull error, size_t size);

/// Its functions; to be called once it has been loaded.
const struct copenssl *_Nonnull copenssl_functions(void);

// What it has as macros, which Swift does not import.

/// At least TLS 1.2, SSL_CTX_set_min_proto_version(3). Returns 1, or 0 on failure.
int copenssl_require_tls12(SSL_CTX *_Nonnull context);

/// SSL_CTX_set_mode(3), SSL_CTX_set_options(3): idle sessions keep no record buffers; what is written may lie
/// elsewhere when it is tried again; a server of TLS 1.2 that wants to shake hands again is told no.
void copenssl_set_modes(SSL_CTX *_Nonnull context);

/// The name that the server chooses its certificate by (SNI), SSL_set_tlsext_host_name(3). Returns 1, or 0 on failure.
int copenssl_set_server_name(SSL *_Nonnull session, const char *_Nonnull name);

/// Where a session keeps a pointer of its owner's, SSL_get_ex_new_index(3). -1 on failure.
int copenssl_new_index(void);

/// A memory BIO that asks to be tried again when it is empty, BIO_s_mem(3). NULL on failure.
BIO *_Nullable copenssl_new_memory(void);

/// For which hosts a certificate is good: its alternative names, or without any its subject. Bytes of `text`, which is
/// cut.
int copenssl_print_hosts(X509 *_Nullable certificate, char *_Nullable text, int capacity);

/// The subject of a certificate, or who issued it. Bytes of `text`, which is cut.
int copenssl_print_name(X509 *_Nullable certificate, int isIssuer, char *_Nullable text, int capacity);

/// From when, or until when, a certificate is valid. Bytes of `text`, which is cut.
int copenssl_print_time(X509 *_Nullable certificate, int isEnd, char *_Nullable text, int capacity);

#endif
