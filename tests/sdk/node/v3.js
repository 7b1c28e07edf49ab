'use strict';

// `box-node-sdk` 3 with the adapter's client, and with its own JWT.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const http = require('node:http');

const BoxSDK = require('box-node-sdk');
const { BrokerAuth, legacyClient } = require('box-token-broker-client');

const { STAGE, kill, lives, journal, lastEntry, run } = require('./stage');

// The stand-in speaks no TLS.
const request = { agentClass: http.Agent };
const urls = { apiRootURL: STAGE.sandbox, uploadAPIRootURL: STAGE.sandbox, request };
const sdk = new BoxSDK({ clientID: '', clientSecret: '', ...urls });
const broker = new BrokerAuth({ brokerUrl: STAGE.broker, tenant: 'acme', credential: STAGE.key });
const asUser = broker.withUserSubject(STAGE.user);

async function names(client, folder = '0') {
  const { entries } = await client.folders.getItems(folder);
  return new Set(entries.map(({ name }) => name));
}

run({
  async 'the service account lists its folders'() {
    const found = await names(legacyClient(sdk, broker));
    assert.ok(found.has('Contracts') && found.has('Invoices'));
  },

  async 'a user lists their folders'() {
    const found = await names(legacyClient(sdk, asUser));
    assert.ok(found.has("Ada's notes") && !found.has('Invoices'));
  },

  async 'a downscoped token reaches its folder alone'() {
    const contracts = `https://api.box.com/2.0/folders/${STAGE.folder}`;
    const token = await legacyClient(sdk, asUser).exchangeToken(['base_explorer', 'item_preview'], contracts);
    const narrow = sdk.getBasicClient(token.accessToken);
    assert.ok((await names(narrow, STAGE.folder)).has('Contract.pdf'));
    await assert.rejects(narrow.folders.get(STAGE.foreign_folder), ({ statusCode }) => [403, 404].includes(statusCode));
  },

  async 'revoking ends nobody else’s token'() {
    const client = legacyClient(sdk, asUser);
    const { accessToken } = await asUser.retrieveToken();
    await client.revokeTokens();
    assert.equal(await lives(accessToken), true);
    assert.ok((await names(client)).has("Ada's notes"));
  },

  async 'a token that Box kills is replaced'() {
    const client = legacyClient(sdk, broker);
    await names(client);
    const since = await lastEntry();
    await kill(`enterprise:${STAGE.enterprise}`);
    assert.ok((await names(client)).has('Contracts'));
    const seen = await journal({ since, path: '/2.0/folders/*' });
    assert.deepEqual(seen.map((entry) => entry.status), [401, 200]);
  },

  async 'what the broker refuses is told'() {
    const nobody = new BrokerAuth({ brokerUrl: STAGE.broker, tenant: 'nobody', credential: STAGE.key });
    await assert.rejects(names(legacyClient(sdk, nobody)), { code: 'not_found', status: 404 });
  },

  async 'the sandbox takes the sdk’s own jwt'() {
    const config = JSON.parse(readFileSync(STAGE.config, 'utf8'));
    const own = BoxSDK.getPreconfiguredInstance(config);
    own.configure(urls);
    assert.ok((await names(own.getAppAuthClient('enterprise', STAGE.enterprise))).has('Contracts'));
    assert.ok((await names(own.getAppAuthClient('user', STAGE.user))).has("Ada's notes"));
  },

  async 'the sdk’s own verifier and the broker agree'() {
    const webhooks = require('./webhooks');
    const { createHmac } = require('node:crypto');
    const sign = (body, headers, key) =>
      createHmac('sha256', key).update(body).update(headers['box-delivery-timestamp']).digest('base64');
    const headers = await webhooks.signed(sign);
    assert.equal(BoxSDK.validateWebhookMessage(webhooks.BODY, headers, ...STAGE.webhook_keys), true);
    await webhooks.check(sign);
  },
});
