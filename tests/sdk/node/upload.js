'use strict';

// A chunked upload of 1 GiB from a stream, over more than three token lives.

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { Readable } = require('node:stream');
const { setTimeout: sleep } = require('node:timers/promises');

const { BrokerAuth } = require('box-token-broker-client');

const { STAGE, lives, journal, lastEntry, run } = require('./stage');

const { BoxClient } = require(process.env.BTB_SDK);

const SIZE = 2 ** 30;
const BLOCK = 2 ** 20;

const userId = STAGE.other_user;
const auth = new BrokerAuth({ brokerUrl: STAGE.broker, tenant: 'acme', credential: STAGE.key, userId });

/**
 * Numbered blocks. At each quarter the source is slow: it goes on when the token is dead with which the
 * one before was sent.
 */
async function* blocks(hash) {
  let { accessToken } = await auth.retrieveToken();
  const pattern = Buffer.alloc(BLOCK, 'a block of the file');
  for (let given = 0; given < SIZE; given += BLOCK) {
    if (given > 0 && given % (SIZE / 4) === 0) {
      for (let tries = 0; tries < 600 && (await lives(accessToken)); tries += 1) await sleep(100);
      assert.equal(await lives(accessToken), false);
      ({ accessToken } = await auth.retrieveToken());
    }
    const block = Buffer.from(pattern);
    block.writeDoubleBE(given);
    hash.update(block);
    yield block;
  }
}

run({
  async 'a gibibyte from a stream outlives three tokens'() {
    const since = await lastEntry();
    const hash = createHash('sha1');
    const client = new BoxClient({ auth }).withCustomBaseUrls({
      baseUrl: STAGE.sandbox,
      uploadUrl: STAGE.sandbox,
      oauth2Url: STAGE.sandbox,
    });
    const source = Readable.from(blocks(hash), { objectMode: false });
    const file = await client.chunkedUploads.uploadBigFile(source, 'node.bin', SIZE, STAGE.folder);
    const sha1 = hash.digest('hex');
    assert.deepEqual([file.size, file.sha1], [SIZE, sha1]);
    assert.equal((await client.files.getFileById(file.id)).sha1, sha1);
    const subject = `user:${userId}`;
    assert.deepEqual(await journal({ since, status: 401, subject }), []);
    assert.ok((await journal({ since, path: '/oauth2/token', status: 200, subject })).length >= 4);
  },
});
