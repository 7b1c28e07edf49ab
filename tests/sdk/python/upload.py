"""A chunked upload of 1 GiB from a source that cannot be read twice, over more than three token lives."""

import hashlib
import time

from box_sdk_gen import BoxClient
from box_sdk_gen.networking.base_urls import BaseUrls
from box_token_broker import BrokerAuth

from stage import STAGE, be, journal, last_entry, lives, run

SIZE = 1 << 30
BLOCK = hashlib.shake_256(b"a block of the file").digest(1 << 20)
URLS = BaseUrls(base_url=STAGE["sandbox"], upload_url=STAGE["sandbox"], oauth_2_url=STAGE["sandbox"])

auth = BrokerAuth(STAGE["broker"], "acme", STAGE["key"], user_id=STAGE["user"])


class Source:
    """Numbered blocks, each only once. At each quarter it is slow: it goes on when the token is dead
    with which the one before was sent."""

    def __init__(self):
        self.hash = hashlib.sha1()
        self.given = 0
        self.rest = b""
        self.token = auth.retrieve_token().access_token

    def seekable(self):
        return False

    def read(self, size):
        if not self.rest and self.given < SIZE:
            self.rest = self.given.to_bytes(8, "big") + BLOCK[8:]
        part, self.rest = self.rest[:size], self.rest[size:]
        self.hash.update(part)
        if self.given // (SIZE // 4) < (self.given + len(part)) // (SIZE // 4) < 4:
            self.outlive_the_token()
        self.given += len(part)
        return part

    def outlive_the_token(self):
        for _ in range(600):
            if not lives(self.token):
                break
            time.sleep(0.1)
        be(lives(self.token), False)
        self.token = auth.retrieve_token().access_token


def a_gibibyte_from_a_stream_outlives_three_tokens():
    before = last_entry()
    source = Source()
    client = BoxClient(auth=auth).with_custom_base_urls(URLS)
    file = client.chunked_uploads.upload_big_file(source, "python.bin", SIZE, STAGE["folder"])
    be((source.given, file.size, file.sha_1), (SIZE, SIZE, source.hash.hexdigest()))
    be(client.files.get_file_by_id(file.id).sha_1, source.hash.hexdigest())
    subject = f"user:{STAGE['user']}"
    be([entry["path"] for entry in journal(since=before, status=401, subject=subject)], [])
    mints = journal(since=before, path="/oauth2/token", status=200, subject=subject)
    be(len(mints) >= 4, True)


run([a_gibibyte_from_a_stream_outlives_three_tokens])
