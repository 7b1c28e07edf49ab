'use strict';

// Webhooks as Box sends them, signed by an official SDK, at the broker's check.

const assert = require('node:assert/strict');

const { STAGE, call } = require('./stage');

const BODY =
  '{"type":"webhook_event","webhook":{"id":"1234567890"},"trigger":"FILE.UPLOADED",' +
  '"source":{"id":"1234567890","type":"file","name":"Prüfung.txt"}}';

/** The headers of a webhook of so many seconds ago; `sign(body, headers, key)` is the SDK's. */
async function signed(sign, age = 0) {
  const headers = {
    'box-delivery-timestamp': new Date(Date.now() - age * 1000).toISOString(),
    'box-signature-version': '1',
    'box-signature-algorithm': 'HmacSHA256',
  };
  const [primary, secondary] = STAGE.webhook_keys;
  headers['box-signature-primary'] = await sign(BODY, headers, primary);
  headers['box-signature-secondary'] = await sign(BODY, headers, secondary);
  return headers;
}

function verdict(body, headers) {
  const asked = { headers, body: Buffer.from(body).toString('base64') };
  return call('POST', `${STAGE.broker}/v1/tenants/hooks/webhooks/verify`, asked, STAGE.webhook_key);
}

async function check(sign) {
  const headers = await signed(sign);
  assert.deepEqual(await verdict(BODY, headers), { valid: true, key: 'primary' });
  const rotated = { ...headers, 'box-signature-primary': 'AAAA' };
  assert.deepEqual(await verdict(BODY, rotated), { valid: true, key: 'secondary' });
  assert.equal((await verdict(BODY.replace('Prüfung', 'Prufung'), headers)).valid, false);
  assert.equal((await verdict(BODY, await signed(sign, 660))).valid, false);
  assert.equal((await verdict(BODY, { ...headers, 'box-signature-algorithm': 'HmacSHA1' })).valid, false);
}

module.exports = { BODY, signed, check };
