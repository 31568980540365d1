"""Certificates for tests of TLS: a good one, each kind that must be refused, and one of a client."""
import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK = ("localhost", "127.0.0.1", "::1")
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


class Pair:
    """A certificate and its key, as files in PEM."""

    def __init__(self, folder, name, certificate, key):
        self.certificate, self.key, self.object, self.private = folder / f"{name}.crt", folder / f"{name}.key", \
            certificate, key
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        self.key.chmod(0o600)

    def server_context(self, client_authority=None):
        """For Python's servers; with a `client_authority` clients must show a certificate that it signed."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if client_authority:
            context.load_verify_locations(client_authority.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Certificates:
    """`authority` signed `good` (localhost, 127.0.0.1, ::1), `expired`, `not_yet`, `wrong_name` and `client`;
    `other_authority` signed `other`; `self_signed` signed itself. `REFUSED` names what a client that trusts
    `authority` must not send a byte of payload to."""

    REFUSED = ("expired", "not_yet", "wrong_name", "other", "self_signed")

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = self._make("authority", names=(), issuer=None, authority=True)
        self.other_authority = self._make("other_authority", names=(), issuer=None, authority=True)
        self.good = self._make("good")
        self.expired = self._make("expired", start=NOW - 20 * DAY, end=NOW - DAY)
        self.not_yet = self._make("not_yet", start=NOW + 5 * DAY, end=NOW + 20 * DAY)
        self.wrong_name = self._make("wrong_name", names=("elsewhere.example", "192.0.2.1"))
        self.other = self._make("other", issuer=self.other_authority)
        self.self_signed = self._make("self_signed", issuer=None)
        self.client = self._make("client", names=("xtcpd",), usage=ExtendedKeyUsageOID.CLIENT_AUTH)

    def client_context(self, certificate=None):
        """For Python's clients: trusts `authority` alone."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if certificate:
            context.load_cert_chain(certificate.certificate, certificate.key)
        return context

    def _make(self, name, *, names=LOOPBACK, issuer="authority", authority=False, start=NOW - DAY, end=NOW + 30 * DAY,
              usage=ExtendedKeyUsageOID.SERVER_AUTH):
        issuer = self.authority if issuer == "authority" else issuer
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else name)])
        builder = (x509.CertificateBuilder()
                   .subject_name(subject).issuer_name(issuer.object.subject if issuer else subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(start).not_valid_after(end)
                   .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                       (issuer.private if issuer else key).public_key()), critical=False)
                   .add_extension(usage_of(authority), critical=True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(general_name, names))), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return Pair(self.folder, name, builder.sign(issuer.private if issuer else key, hashes.SHA256()), key)


def usage_of(authority):
    return x509.KeyUsage(digital_signature=True, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
                         encipher_only=False, decipher_only=False)


def general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
