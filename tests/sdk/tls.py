"""TLS before a server that speaks none, as in production: Box's Java SDK talks to nothing else."""

import os
import socket
import ssl
import subprocess
import threading
from urllib.parse import urlsplit


def certificate(folder):
    """A certificate for 127.0.0.1 and its key, in one file, with openssl."""
    key, own = os.path.join(folder, "tls.key"), os.path.join(folder, "tls.crt")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", own]
    subprocess.run([*words, *names], check=True, capture_output=True)
    return own, key


class Front:
    """Listens on a free port, and passes what comes on to a server behind it."""

    def __init__(self, url, own, key):
        behind = urlsplit(url)
        self._behind = (behind.hostname, behind.port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own, key)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        """A request and its answer never come at the same time, so one thread for each way is enough."""
        try:
            with self._context.wrap_socket(plain, server_side=True) as front:
                with socket.create_connection(self._behind) as back:
                    answers = threading.Thread(target=pass_on, args=(back, front), daemon=True)
                    answers.start()
                    pass_on(front, back)
                    answers.join()
        except OSError:
            pass  # Whoever came has gone, or does not trust the certificate.

    def stop(self):
        self._listener.close()


def pass_on(source, target):
    try:
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
