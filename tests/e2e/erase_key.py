"""The file erase.key and what its keys open, by libsodium itself: src/store/erase_file.c and keyring.c once more."""

import ctypes
import ctypes.util
import uuid

SECTOR = 512
MAGIC = b"reportd erase key 1\n".ljust(24, b"\0")
PARAMETERS = 1  # enum keyring_value
_sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))


def numbered_keys(path):
    """{number: key} of the file."""
    data = path.read_bytes()
    assert len(data) == 3 * SECTOR and data.startswith(MAGIC)
    sectors = [data[at:at + SECTOR] for at in (SECTOR, 2 * SECTOR)]
    return {int.from_bytes(sector[24:32], "big"): sector[32:64] for sector in sectors if sector.startswith(MAGIC)}


def _open(key, sealed, bound=b""):
    """None: the key does not open it."""
    out, out_len = ctypes.create_string_buffer(len(sealed)), ctypes.c_ulonglong()
    body = sealed[24:]
    failed = _sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
        out, ctypes.byref(out_len), None, body, ctypes.c_ulonglong(len(body)), bound, ctypes.c_ulonglong(len(bound)),
        sealed[:24], key)
    return None if failed else out.raw[:out_len.value]


def unwrap(key, number, reference, wrapped):
    """The key of a report."""
    return _open(key, wrapped, b"report\0\0" + number.to_bytes(8, "big") + uuid.UUID(reference).bytes)


def unwrap_next(key, number, wrapped):
    """The key after this one."""
    return _open(key, wrapped, b"chain\0\0\0" + number.to_bytes(8, "big") + bytes(16))


def unseal(report_key, what, sealed):
    key = ctypes.create_string_buffer(32)
    _sodium.crypto_kdf_derive_from_key(key, ctypes.c_size_t(32), ctypes.c_uint64(what), b"rowvalue", report_key)
    return _open(key.raw, sealed)
