"""Certificates of a test: an authority of its own, and what it has signed for 127.0.0.1."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """Signs certificates; `file` is what clients trust."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name_of("authority of the tests")
        self.certificate = self.sign(self.name, self.key, is_authority=True)
        self.file = folder / "authority.pem"
        self.file.write_bytes(pem(self.certificate))

    def sign(self, name, key, days=30, is_authority=False):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - 60 * DAY).not_valid_after(now + days * DAY)
                   .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
                   .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                                                               x509.DNSName("localhost")]), critical=False))
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name, certificate, key, days=30, kind="ec", mode=0o600):
        """Write a certificate and its key to two files, or both to one; returns its serial number."""
        private = (ec.generate_private_key(ec.SECP256R1()) if kind == "ec"
                   else rsa.generate_private_key(public_exponent=65537, key_size=2048))
        signed = self.sign(name_of(name), private, days)
        key.touch(0o600)
        text = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption())
        key.write_bytes(text)
        key.chmod(mode)
        certificate.write_bytes(pem(signed) + (text if certificate == key else b""))
        return signed.serial_number
