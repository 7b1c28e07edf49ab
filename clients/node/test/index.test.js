'use strict';

// The adapter against a small HTTP server that stands for the broker, with a clock of its own.

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const http = require('node:http');
const timers = require('node:timers/promises');
const { test, beforeEach, afterEach } = require('node:test');
const { inspect } = require('node:util');

const { BrokerAuth, BrokerError, legacyClient } = require('..');

const KEY = 'btb_test_4mWg9cKexample';

let broker, clock, auth;
const sleep = timers.setTimeout;

/** Answers each request with what `script` holds next, or with a token of its own number. */
async function startBroker() {
  const state = { script: [], seen: [], tokens: 0, gate: undefined };
  const server = http.createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    state.seen.push({ path: request.url, headers: request.headers, body: JSON.parse(Buffer.concat(parts)) });
    await state.gate;
    const [status, headers, answer] = state.script.shift() ?? token();
    response.writeHead(status, { Connection: 'close', ...headers });
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  state.url = `http://127.0.0.1:${server.address().port}`;
  state.stop = () => new Promise((done) => server.close(done));
  return state;
}

function token(text, { expiresIn = 3600, margin = 600, ...more } = {}) {
  // This broker's clock is far from the client's: only differences may count.
  const end = Date.UTC(2001, 0, 1) + expiresIn * 1000;
  const stamp = (time) => new Date(time).toISOString().replace('.000', '');
  return [200, {}, {
    access_token: text ?? `token-${(broker.tokens += 1)}`,
    token_type: 'bearer',
    expires_in: expiresIn,
    expires_at: stamp(end),
    refresh_at: stamp(end - margin * 1000),
    subject: { type: 'enterprise' },
    ...more,
  }];
}

function problem(status, code, { retry = 'never', after, ...more } = {}) {
  const headers = { 'Content-Type': 'application/problem+json', ...(after !== undefined && { 'Retry-After': after }) };
  const detail = 'What is wrong.';
  return [status, headers, { title: 'A title', status, code, detail, request_id: 'req_1', retry, ...more }];
}

/** Answers wait until the function that comes back is called. */
function gate() {
  let open;
  broker.gate = new Promise((done) => (open = done));
  return open;
}

const bodies = () => broker.seen.map(({ body }) => body);
const adapter = (more) => new BrokerAuth({ brokerUrl: broker.url, tenant: 'acme', credential: KEY, ...more });
const refusal = (promise) => promise.then(() => assert.fail('it was not refused'), (error) => error);

beforeEach(async () => {
  broker = await startBroker();
  clock = { now: 1_000_000, slept: [] };
  // Node 18 lets nobody assign it.
  Object.defineProperty(performance, 'now', { value: () => clock.now, configurable: true });
  timers.setTimeout = async (milliseconds) => {
    clock.slept.push(milliseconds / 1000);
    clock.now += milliseconds;
  };
  auth = adapter();
});

afterEach(async () => {
  delete performance.now;
  timers.setTimeout = sleep;
  await broker.stop();
});

test('a token is asked for once and kept until it is to be renewed', async () => {
  for (let i = 0; i < 3; i += 1) assert.equal(await auth.retrieveAuthorizationHeader(), 'Bearer token-1');
  assert.equal(broker.seen[0].path, '/v1/tenants/acme/token');
  assert.equal(broker.seen[0].headers.authorization, `Bearer ${KEY}`);
  clock.now += 2_999_000;
  assert.deepEqual(await auth.retrieveToken(), { accessToken: 'token-1', expiresIn: 601, tokenType: 'bearer' });
  clock.now += 2_000;
  assert.equal((await auth.retrieveToken()).accessToken, 'token-2');
  assert.deepEqual(bodies(), [{}, {}]);
});

test('a user, a least life and a beneficiary are asked for', async () => {
  const user = adapter({ brokerUrl: `${broker.url}/`, userId: '123', minTtl: 900, onBehalfOf: 'ann' });
  await user.retrieveToken();
  await user.withUserSubject('456').retrieveToken();
  await user.withEnterpriseSubject().retrieveToken();
  const more = { min_ttl: 900, on_behalf_of: 'ann' };
  assert.deepEqual(bodies(), [
    { subject: { type: 'user', id: '123' }, ...more },
    { subject: { type: 'user', id: '456' }, ...more },
    more,
  ]);
});

test('calls at the same time share one request, and its failure', async () => {
  const many = () => Promise.all(Array.from({ length: 20 }, () => auth.retrieveAuthorizationHeader().catch((e) => e.code)));
  assert.deepEqual([...new Set(await many())], ['Bearer token-1']);
  await auth.revokeToken();
  broker.script = [problem(403, 'forbidden')];
  assert.deepEqual([...new Set(await many())], ['forbidden']);
  assert.equal(broker.seen.length, 2);
});

test('a 401 is reported once by all, and the answer used', async () => {
  await auth.retrieveAuthorizationHeader();
  const fresh = await Promise.all([auth.refreshToken(), auth.refreshToken(), auth.refreshToken()]);
  assert.deepEqual(fresh.map(({ accessToken }) => accessToken), ['token-2', 'token-2', 'token-2']);
  assert.equal(await auth.retrieveAuthorizationHeader(), 'Bearer token-2');
  assert.deepEqual(bodies(), [{}, { rejected: 'token-1' }]);
});

test('a 401 during a renewal that gives the same token is reported after it', async () => {
  await auth.retrieveToken();
  clock.now += 3_001_000;
  broker.script = [token('token-1')];
  const [, fresh] = await Promise.all([auth.retrieveToken(), auth.refreshToken()]);
  assert.equal(fresh.accessToken, 'token-2');
  assert.deepEqual(bodies(), [{}, {}, { rejected: 'token-1' }]);
});

test('revoking forgets the own token and ends nobody else’s', async () => {
  await auth.retrieveToken();
  await auth.revokeToken();
  assert.equal(broker.seen.length, 1);
  assert.equal((await auth.retrieveToken()).accessToken, 'token-2');
  assert.deepEqual(bodies(), [{}, {}]);
});

test('downscoped tokens come with their restrictions and are not kept', async () => {
  const restrictedTo = [{ scope: 'item_preview', object: { type: 'file', id: '5' } }];
  broker.script = [token('narrow', { restricted_to: restrictedTo })];
  const user = auth.withUserSubject('123');
  assert.deepEqual(await user.downscopeToken(['item_preview'], 'https://api.box.com/2.0/files/5'), {
    accessToken: 'narrow', expiresIn: 3600, tokenType: 'bearer', restrictedTo,
  });
  assert.equal(broker.seen[0].path, '/v1/tenants/acme/token/downscoped');
  assert.deepEqual(broker.seen[0].body, {
    subject: { type: 'user', id: '123' }, scopes: ['item_preview'], resource: { type: 'file', id: '5' },
  });
  await user.downscopeToken(['base_preview'], undefined, 'https://app.box.com/s/x', undefined, 'narrow');
  assert.equal(broker.seen[1].body.rejected, 'narrow');
  assert.equal(broker.seen[1].body.shared_link, 'https://app.box.com/s/x');
  assert.equal((await user.retrieveToken()).accessToken, 'token-2');
  await assert.rejects(user.downscopeToken(['item_preview'], 'https://api.box.com/2.0/users/5'), /2\.0\/files\/123/);
});

test('a refusal tells what is wrong and what to do', async () => {
  broker.script = [problem(424, 'app_not_authorized', { retry: 'admin', fix: 'Authorize the app.' })];
  const error = await refusal(auth.retrieveToken());
  assert.ok(error instanceof BrokerError);
  assert.deepEqual([error.code, error.status, error.requestId], ['app_not_authorized', 424, 'req_1']);
  assert.equal(error.message, 'app_not_authorized: What is wrong. Authorize the app. (request req_1)');
  broker.script = [problem(422, 'invalid', { errors: [{ pointer: '/subject/id', detail: 'Digits.' }] })];
  await assert.rejects(auth.retrieveToken(), /\/subject\/id: Digits\./);
  assert.equal(broker.seen.length, 2);
});

test('Retry-After is obeyed within the bound', async () => {
  const busy = problem(503, 'upstream_unavailable', { retry: 'after', after: '7' });
  broker.script = [busy, busy];
  assert.equal((await auth.retrieveToken()).accessToken, 'token-1');
  assert.deepEqual(clock.slept, [7, 7]);
  await auth.revokeToken();
  broker.script = [problem(429, 'rate_limited', { retry: 'after', after: '31' })];
  const error = await refusal(auth.retrieveToken());
  assert.deepEqual([error.code, error.retryAfter, clock.slept.length], ['rate_limited', 31, 2]);
});

test('a failed renewal keeps the living token', async () => {
  await auth.retrieveToken();
  clock.now += 3_001_000;
  broker.script = [problem(503, 'store_unavailable', { retry: 'after', after: '20' })];
  for (let i = 0; i < 3; i += 1) assert.equal(await auth.retrieveAuthorizationHeader(), 'Bearer token-1');
  assert.deepEqual([broker.seen.length, clock.slept.length], [2, 0]);
  clock.now += 21_000;
  assert.equal(await auth.retrieveAuthorizationHeader(), 'Bearer token-2');
});

test('a broker that hangs does not hold up those whose token lives', async () => {
  await auth.retrieveToken();
  clock.now += 3_001_000;
  const opened = gate();
  const longest = AbortSignal.timeout(6_000);
  const late = new Promise((_, reject) => longest.addEventListener('abort', () => reject(new Error('too late'))));
  late.catch(() => {});
  try {
    assert.equal(await Promise.race([auth.retrieveAuthorizationHeader(), late]), 'Bearer token-1');
    assert.equal(await auth.retrieveAuthorizationHeader(), 'Bearer token-1');
    assert.equal(broker.seen.length, 2);
  } finally {
    opened();
  }
});

test('whoever holds nothing waits longer than a renewal', async () => {
  await auth.retrieveToken();
  clock.now += 3_001_000;
  const opened = gate();
  broker.script = [problem(503, 'store_unavailable', { retry: 'after', after: '7' })];
  const renewing = auth.retrieveToken();
  await auth.revokeToken();
  const late = auth.retrieveToken();
  clock.now += 600_000; // The token that was held is dead.
  opened();
  const tokens = await Promise.all([renewing, late]);
  assert.deepEqual(tokens.map(({ accessToken }) => accessToken), ['token-2', 'token-2']);
});

test('an odd refusal is a broker’s error all the same', async () => {
  for (const odd of [{ errors: { a: 1 } }, { errors: [null] }, { detail: {}, fix: 5, request_id: { toString: 1 } }]) {
    broker.script = [[422, {}, { code: 'invalid', ...odd }]];
    const error = await refusal(auth.retrieveToken());
    assert.ok(error instanceof BrokerError);
    assert.deepEqual([error.code, error.fix, error.requestId], ['invalid', undefined, undefined]);
  }
});

test('a renewal that is refused ends the use of the token', async () => {
  await auth.retrieveToken();
  clock.now += 3_001_000;
  broker.script = [problem(404, 'not_found')];
  await assert.rejects(auth.retrieveAuthorizationHeader(), { code: 'not_found' });
});

test('a broker that is away is tried again and named', async () => {
  const away = await startBroker();
  await away.stop();
  const error = await refusal(adapter({ brokerUrl: away.url }).retrieveToken());
  assert.equal(error.code, 'unreachable');
  assert.ok(error.message.includes(away.url));
  assert.equal(clock.slept.length, 5);
});

test('something that is no broker is called so', async () => {
  const page = '<html>token-secret</html>';
  const odd = { access_token: 'a b', expires_in: 1, expires_at: '2001-01-01T00:00:00Z', refresh_at: '2001-01-01T00:00:00Z' };
  const odder = { ...odd, access_token: 'secret', expires_at: { toString: 1 } };
  for (const answer of [[404, {}, page], ...[page, {}, odd, odder, '[]'].map((body) => [200, {}, body])]) {
    broker.script = [answer];
    const error = await refusal(auth.retrieveToken());
    assert.equal(error.code, 'no_broker');
    assert.ok(!inspect(error).includes('secret'));
  }
});

test('an answer without end is not read to its end', async () => {
  broker.script = [[200, {}, 'x'.repeat(8 << 20)]];
  assert.equal((await refusal(auth.retrieveToken())).code, 'no_broker');
});

test('a redirect is not followed', async () => {
  const other = await startBroker();
  for (const status of [302, 307, 308]) {
    broker.script = [[status, { Location: other.url }, '']];
    await assert.rejects(auth.retrieveToken(), new RegExp(`answered ${status}`));
  }
  assert.equal(other.seen.length, 0);
  await other.stop();
});

test('a credential may come from a function each time', async () => {
  const credentials = ['first.jwt.x\n', 'second.jwt.x'];
  const workload = adapter({ credential: async () => credentials.shift() });
  await workload.retrieveToken();
  await workload.refreshToken();
  const sent = broker.seen.map(({ headers }) => headers.authorization);
  assert.deepEqual(sent, ['Bearer first.jwt.x', 'Bearer second.jwt.x']);
});

test('a credential that cannot be one is not shown', async () => {
  for (const credential of ['secret\r\nHost: x', 'secret ü', '', undefined, null, 5]) {
    const error = await refusal(adapter({ credential }).retrieveToken());
    assert.equal(error.code, 'no_credential');
    assert.ok(!inspect(error).includes('secret'));
  }
  assert.equal(broker.seen.length, 0);
});

test('an address that cannot be one is refused at once', () => {
  const wrong = ['broker.example.com', 'ftp://broker', 'https://user:pass@broker', 'https://:pass@broker', undefined];
  for (const brokerUrl of [...wrong, 'https://broker/#x', 'https://broker#', 'https://broker?x=1', 'https://broker/?']) {
    assert.throws(() => adapter({ brokerUrl }), /https:\/\/broker\.example\.com/);
  }
  assert.throws(() => adapter({ tenant: '' }), /tenant/);
});

test('a tenant stays within its part of the path', async () => {
  await adapter({ tenant: '../acme?x' }).retrieveToken();
  assert.equal(broker.seen[0].path, '/v1/tenants/..%2Facme%3Fx/token');
});

test('neither token nor key shows', async () => {
  await auth.retrieveToken();
  for (const text of [inspect(auth, { depth: 9, showHidden: true }), JSON.stringify(auth), String(auth)]) {
    assert.ok(!text.includes('token-1') && !text.includes(KEY));
  }
});

test('a client of the third generation asks before each request and sends again after a 401', async () => {
  class Client {
    constructor(session, config, requestManager) {
      Object.assign(this, { _session: session, config, requestManager });
    }
  }
  const sent = [];
  const answers = [];
  const requestManager = {
    async makeRequest({ headers, body }) {
      sent.push([headers.Authorization, body]);
      return { statusCode: answers.shift() ?? 200 };
    },
    makeStreamingRequest: () => new EventEmitter(),
  };
  const sdk = { config: 'config', requestManager };
  sdk.getBasicClient = (text) => new Client({ getAccessToken: async () => text }, sdk.config, requestManager);
  const client = legacyClient(sdk, auth);
  const ask = async (more) => {
    const headers = { Authorization: `Bearer ${await client._session.getAccessToken()}` };
    return (await client.requestManager.makeRequest({ headers, ...more })).statusCode;
  };
  assert.equal(client.config, 'config');
  answers.push(401);
  assert.equal(await ask({ body: 'folder' }), 200);
  answers.push(401);
  assert.equal(await ask({ body: { pipe() {} } }), 401);
  client.requestManager.makeStreamingRequest({}).emit('response', { statusCode: 401 });
  await auth.refreshToken(); // The same report.
  assert.equal(await ask(), 200);
  const bearers = sent.map(([authorization]) => authorization.slice(-1));
  assert.deepEqual(bearers, ['1', '2', '2', '4']);
  assert.deepEqual(bodies().slice(1).map(({ rejected }) => rejected), ['token-1', 'token-2', 'token-3']);
  await client._session.revokeTokens();
  broker.script = [token('narrow', { restricted_to: [] })];
  const narrow = await client._session.exchangeToken('item_preview', 'https://api.box.com/2.0/folders/7');
  assert.equal(narrow.accessToken, 'narrow');
  assert.deepEqual(bodies().at(-1), { scopes: ['item_preview'], resource: { type: 'folder', id: '7' } });
});
