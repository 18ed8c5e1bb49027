"""What never goes into an archive, whatever an ignore file says: secrets, other people's packages, caches.

A workspace's root is also the home folder of its shell, so what programs keep there is among it.
"""

from __future__ import annotations

FOLDERS = frozenset(
    {
        *(".git", ".hg", ".svn", ".bzr"),
        *("node_modules", ".venv", ".virtualenvs", "__pypackages__"),
        *("__pycache__", ".cache", ".npm", ".yarn", ".pnpm-store", ".parcel-cache", ".turbo", ".nyc_output"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints", ".tox", ".nox"),
        *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config", ".local", ".password-store"),
        *(".vscode-server", ".cursor-server", ".terraform"),
    }
)
FILES = frozenset(
    {
        *(".netrc", "_netrc", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", ".git-credentials", ".gitconfig"),
        *(".pgpass", ".my.cnf", ".boto", ".s3cfg", ".dockercfg", ".vault-token"),
        *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk"),
        *(".bash_history", ".zsh_history", ".python_history", ".node_repl_history", ".sqlite_history", ".lesshst"),
        *(".viminfo", ".wget-hsts", ".DS_Store", ".sudo_as_admin_successful"),
    }
)
SUFFIXES = (".pyc", ".pyo", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk")
VENV_MARK = "pyvenv.cfg"
"""A folder with this file is a virtual environment (PEP 405), whatever its name."""
KEY_SUFFIXES = (".pem", ".key", ".crt", ".cer")
KEY_HEAD = 64 << 10
"""Bytes of a file that are searched for a private key."""


def is_dropped(name: str, *, folder: bool) -> bool:
    """Whether a name never goes into an archive."""
    if name == ".env" or name.startswith((".env.", ".env-", ".env_")) or name == ".envrc":
        return True
    if folder:
        return name in FOLDERS
    return name in FILES or name in {".git", ".venv", "node_modules"} or name.endswith(SUFFIXES)


def is_private_key(name: str, head: bytes | memoryview) -> bool:
    """Whether a file's first bytes are a private key in PEM's form (RFC 7468), or hold one beside a certificate."""
    begins = bytes(head[:64]).lstrip().startswith(b"-----BEGIN ")
    return (begins or name.endswith(KEY_SUFFIXES)) and b"PRIVATE KEY-----" in bytes(head)
