'use strict';

// Box's Node SDK (`box-node-sdk` 10, `box-typescript-sdk-gen`) with the broker's adapter, and with its
// own JWT.

const assert = require('node:assert/strict');

const { BrokerAuth } = require('box-token-broker-client');

const { STAGE, kill, lives, journal, lastEntry, run } = require('./stage');
const webhooks = require('./webhooks');

const { BoxClient, BoxDeveloperTokenAuth, BoxJwtAuth, JwtConfig } = require(process.env.BTB_SDK);
const { computeWebhookSignature } = require(`${process.env.BTB_SDK}/internal`);

const broker = new BrokerAuth({ brokerUrl: STAGE.broker, tenant: 'acme', credential: STAGE.key });
const asUser = broker.withUserSubject(STAGE.user);

const atBox = (auth) =>
  new BoxClient({ auth }).withCustomBaseUrls({
    baseUrl: STAGE.sandbox,
    uploadUrl: STAGE.sandbox,
    oauth2Url: STAGE.sandbox,
  });

async function names(client, folder = '0') {
  const { entries } = await client.folders.getFolderItems(folder);
  return new Set(entries.map(({ name }) => name));
}

const status = (promise) => promise.then(() => 200, (error) => error.responseInfo?.statusCode ?? error.status);

run({
  async 'the service account lists its folders'() {
    const found = await names(atBox(broker));
    assert.ok(found.has('Contracts') && found.has('Invoices'));
  },

  async 'a user lists their folders'() {
    const found = await names(atBox(asUser));
    assert.ok(found.has("Ada's notes") && !found.has('Invoices'));
  },

  async 'the as-user header works beside the adapter'() {
    assert.ok((await names(atBox(broker).withAsUserHeader(STAGE.user))).has("Ada's notes"));
  },

  async 'a downscoped token reaches its folder alone'() {
    const contracts = `https://api.box.com/2.0/folders/${STAGE.folder}`;
    const token = await asUser.downscopeToken(['base_explorer', 'item_preview'], contracts);
    assert.deepEqual(new Set(token.restrictedTo.map(({ object }) => object.id)), new Set([STAGE.folder]));
    const narrow = atBox(new BoxDeveloperTokenAuth({ token: token.accessToken }));
    assert.ok((await names(narrow, STAGE.folder)).has('Contract.pdf'));
    assert.ok([403, 404].includes(await status(narrow.folders.getFolderById(STAGE.foreign_folder))));
  },

  async 'revoking ends nobody else’s token'() {
    const { accessToken } = await asUser.retrieveToken();
    await asUser.revokeToken();
    assert.equal(await lives(accessToken), true);
    assert.ok((await names(atBox(asUser))).has("Ada's notes"));
  },

  async 'a token that Box kills is replaced'() {
    const client = atBox(broker);
    await names(client);
    const since = await lastEntry();
    await kill(`enterprise:${STAGE.enterprise}`);
    assert.ok((await names(client)).has('Contracts'));
    const seen = await journal({ since, path: '/2.0/folders/*' });
    assert.deepEqual(seen.map((entry) => entry.status), [401, 200]);
  },

  async 'what the broker refuses is told'() {
    const nobody = new BrokerAuth({ brokerUrl: STAGE.broker, tenant: 'nobody', credential: STAGE.key });
    const error = await names(atBox(nobody)).then(() => assert.fail('it was not refused'), (refusal) => refusal);
    assert.deepEqual([error.code, error.status], ['not_found', 404]);
    assert.ok(error.message.includes(error.requestId) && !error.message.includes(STAGE.key));
  },

  async 'the sandbox takes the sdk’s own jwt'() {
    const auth = new BoxJwtAuth({ config: JwtConfig.fromConfigFile(STAGE.config) });
    assert.ok((await names(atBox(auth))).has('Contracts'));
    assert.ok((await names(atBox(auth.withUserSubject(STAGE.user)))).has("Ada's notes"));
  },

  async 'webhooks signed by the sdk are verified'() {
    await webhooks.check(computeWebhookSignature);
  },
});
