'use strict';

/**
 * Tokens of a Box Token Broker for Box's Node SDK: `box-node-sdk` from 10 on, and
 * `box-typescript-sdk-gen`.
 *
 *     const client = new BoxClient({ auth: new BrokerAuth({ brokerUrl, tenant, credential }) });
 *
 * The SDK asks for its authorization header before every request, so it always sends a token that
 * the broker would give out at that moment, and a job of any length goes on without a 401.
 */

const timers = require('node:timers/promises');

/** Milliseconds that one request to the broker may take; the broker itself gives up after 5 s. */
const TIMEOUT = 10_000;
/** The same for a renewal, while the token that is held lives. */
const SHORT_TIMEOUT = 2_000;
/** Milliseconds for which a renewal that failed is not tried again, while the token held lives. */
const PAUSE = 5_000;
/** How often one call asks the broker at most. */
const TRIES = 6;
/** Bytes of an answer that are read. */
const LONGEST = 1 << 20;

/**
 * The broker gave no token. It holds no credential and no token.
 *
 * `code` names the reason for programs (`forbidden`, `app_not_authorized`, …; `unreachable` and
 * `no_broker` where nothing or something else answered), `detail` tells it to people, `fix` says
 * what an admin should do, where there is something. `status` is the HTTP status, 0 without an
 * answer; `requestId` finds the request in the broker's log; `retryAfter` is in seconds.
 */
class BrokerError extends Error {
  constructor(code, detail, more = {}) {
    const { status = 0, requestId, fix, retryAfter, temporary = false } = more;
    super(`${code}: ${detail}${fix ? ` ${fix}` : ''}${requestId ? ` (request ${requestId})` : ''}`);
    this.name = 'BrokerError';
    Object.assign(this, { code, detail, status, requestId, fix, retryAfter, temporary });
  }
}

/** Authenticates Box's SDK with the tokens of one tenant of a broker. */
class BrokerAuth {
  // Private, so that no log of this object shows a key or a token.
  #options;
  #url;
  #asked;
  #held;
  #flight;

  /** @param {import('.').BrokerAuthOptions} options */
  constructor(options) {
    const { brokerUrl, tenant, userId, minTtl, onBehalfOf } = options;
    this.#url = tokenUrl(brokerUrl, tenant);
    this.#options = { maxWait: 30, ...options };
    this.#asked = withoutGaps({
      subject: userId === undefined ? undefined : { type: 'user', id: userId },
      min_ttl: minTtl,
      on_behalf_of: onBehalfOf,
    });
  }

  /** The same for a user of the tenant's enterprise. */
  withUserSubject(userId) {
    return new BrokerAuth({ ...this.#options, userId });
  }

  /** The same for the tenant's service account. */
  withEnterpriseSubject() {
    return new BrokerAuth({ ...this.#options, userId: undefined });
  }

  /** The token of now: the one that is held until it is to be renewed, then another. */
  async retrieveToken() {
    return handOut(await this.#current());
  }

  /** The header for one request to Box. */
  async retrieveAuthorizationHeader() {
    return `Bearer ${(await this.#current()).text}`;
  }

  /**
   * Tells the broker that Box answered 401 to the token; the SDK calls it then. The broker looks
   * whether that is so, and answers with another token or with the same.
   */
  async refreshToken() {
    return handOut(await this.#ask(this.#held?.text));
  }

  /**
   * A token that may do no more than `scopes`, on one file or folder where `resource` is its URL
   * (`https://api.box.com/2.0/files/123`). It is not kept. `rejected` is such a token
   * of before, to which Box answered 401: the broker looks whether that is so.
   */
  async downscopeToken(scopes, resource, sharedLink, networkSession, rejected) {
    const more = { resource: resource && resourceOf(resource), shared_link: sharedLink, rejected };
    const body = { ...this.#asked, scopes: [...scopes], ...withoutGaps(more) };
    const answer = await this.#call('/downscoped', body);
    return withoutGaps({
      accessToken: credible(answer.access_token),
      expiresIn: answer.expires_in,
      tokenType: answer.token_type,
      restrictedTo: answer.restricted_to,
      issuedTokenType: answer.issued_token_type,
    });
  }

  /**
   * Forgets the token that is held. It is not revoked at Box: others use the same one. To end it
   * for everybody there is `POST /v1/tenants/{tenant}/token/revoke`.
   */
  async revokeToken() {
    this.#held = undefined;
  }

  async #current() {
    const held = this.#held;
    const now = performance.now();
    if (held && now < held.refreshAt) return held;
    if (!held || now >= held.expiresAt) return this.#ask(undefined);
    try {
      return await this.#ask(undefined, true);
    } catch (error) {
      if (!error.temporary) throw error;
      const later = performance.now();
      if (later < held.expiresAt) {
        const pause = Math.max(PAUSE, (error.retryAfter ?? 0) * 1000);
        held.refreshAt = Math.min(later + pause, held.expiresAt);
        return held; // What is still alive is worth more than an error.
      }
    }
    return this.#ask(undefined);
  }

  /**
   * Asks the broker, or waits for the answer to whoever is asking already. An answer to one who did
   * not report `rejected` and was given it all the same does not count, and neither does a passing
   * failure of a renewal for one who has no token to go on with.
   */
  async #ask(rejected, renewal = false) {
    while (this.#flight) {
      const flight = this.#flight;
      const same = flight.reported === rejected;
      const held = await flight.answer.catch((error) => {
        const tooSoon = flight.renewal && !renewal && error.temporary;
        if (same && !tooSoon) throw error;
      });
      if (held && (same || held.text !== rejected)) return held;
    }
    const answer = this.#fetch(rejected, renewal).finally(() => (this.#flight = undefined));
    this.#flight = { reported: rejected, renewal, answer };
    return answer;
  }

  /** Asks for a token, and holds it; a renewal is not tried again. */
  async #fetch(rejected, renewal) {
    const body = { ...this.#asked, ...withoutGaps({ rejected }) };
    const answer = await (renewal ? this.#send('', body, SHORT_TIMEOUT) : this.#call('', body));
    const now = performance.now();
    const left = typeof answer.expires_in === 'number' ? answer.expires_in * 1000 : NaN;
    const margin = moment(answer.expires_at) - moment(answer.refresh_at);
    if (!Number.isFinite(left) || !Number.isFinite(margin)) throw noBroker(200);
    const text = credible(answer.access_token);
    this.#held = { text, refreshAt: now + left - margin, expiresAt: now + left };
    return this.#held;
  }

  /** Asks, and asks again where the broker says to come later, for `maxWait` seconds in all. */
  async #call(path, body) {
    let waited = 0;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#send(path, body, TIMEOUT);
      } catch (error) {
        const pause = error.retryAfter ?? (0.5 + Math.random() / 2) * 0.25 * 2 ** attempt;
        waited += pause;
        if (!error.temporary || waited > this.#options.maxWait || attempt === TRIES) throw error;
        await timers.setTimeout(pause * 1000);
      }
    }
  }

  async #send(path, body, timeout) {
    const headers = { Authorization: await this.#authorization(), 'Content-Type': 'application/json' };
    const signal = AbortSignal.timeout(timeout);
    let response, text;
    try {
      // No redirect: the credential goes to the broker alone.
      const request = { method: 'POST', headers, body: JSON.stringify(body), redirect: 'manual', signal };
      response = await fetch(this.#url + path, request);
      text = await textOf(response);
    } catch (error) {
      const reason = error.cause?.code ?? error.cause?.message ?? error.message;
      const detail = `No answer from ${new URL(this.#url).origin}: ${reason}.`;
      throw new BrokerError('unreachable', detail, { temporary: true });
    }
    const answer = objectOf(text);
    if (response.status !== 200) throw refused(response, answer);
    if (!answer) throw noBroker(200);
    return answer;
  }

  async #authorization() {
    const { credential } = this.#options;
    const text = typeof credential === 'function' ? await credential() : credential;
    if (!isCredible(text?.trim?.())) {
      throw new BrokerError('no_credential', 'The credential is no API key and no OIDC token.');
    }
    return `Bearer ${text.trim()}`;
  }
}

/**
 * A client of `box-node-sdk` 3, which has no setting for where tokens come from. A request that meets
 * a dead token is sent once more with another, unless its body is a stream.
 */
function legacyClient(sdk, auth) {
  const client = sdk.getBasicClient('');
  // The SDK uses methods of its own kind of promise: a chain begins with one of them.
  const begin = () => client._session.getAccessToken();
  const session = {
    getAccessToken: () => begin().then(async () => (await auth.retrieveToken()).accessToken),
    exchangeToken: (scopes, resource, options) =>
      begin().then(async () => legacyToken(await auth.downscopeToken([scopes].flat(), resource, options?.sharedLink))),
    revokeTokens: () => begin().then(() => auth.revokeToken()),
  };
  return new client.constructor(session, sdk.config, legacyRequests(sdk.requestManager, auth));
}

/** The SDK's requests, with an eye on 401. */
function legacyRequests(requests, auth) {
  return Object.assign(Object.create(requests), {
    async makeRequest(params) {
      const response = await requests.makeRequest(params);
      if (response.statusCode !== 401) return response;
      const Authorization = `Bearer ${(await auth.refreshToken()).accessToken}`;
      const isStream = params.formData !== undefined || typeof params.body?.pipe === 'function';
      if (isStream || Authorization === params.headers.Authorization) return response;
      return requests.makeRequest({ ...params, headers: { ...params.headers, Authorization } });
    },
    makeStreamingRequest(params) {
      // The reader sees Box's answer; the next request has another token.
      return requests.makeStreamingRequest(params).on('response', ({ statusCode }) => {
        if (statusCode === 401) auth.refreshToken().catch(() => {});
      });
    },
  });
}

function legacyToken(token) {
  return {
    accessToken: token.accessToken,
    accessTokenTTLMS: token.expiresIn * 1000,
    acquiredAtMS: Date.now(),
    restrictedTo: token.restrictedTo,
  };
}

function tokenUrl(brokerUrl, tenant) {
  const url = parsed(brokerUrl);
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || /[?#]/.test(url.href)) {
    throw new TypeError('brokerUrl must be a URL such as https://broker.example.com');
  }
  if (typeof tenant !== 'string' || tenant === '') {
    throw new TypeError('tenant must be the name or the id of a tenant');
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}/v1/tenants/${encodeURIComponent(tenant)}/token`;
}

function parsed(url) {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}

function handOut(held) {
  const expiresIn = Math.max(0, Math.floor((held.expiresAt - performance.now()) / 1000));
  return { accessToken: held.text, expiresIn, tokenType: 'bearer' };
}

/** The problem document (RFC 9457) of a refusal, or what little is known without one. */
function refused(response, problem) {
  const { status } = response;
  const after = response.headers.get('Retry-After') ?? '';
  const retryAfter = /^[0-9]{1,9}$/.test(after) ? Number(after) : undefined;
  if (typeof problem?.code !== 'string') return noBroker(status, retryAfter);
  const errors = Array.isArray(problem.errors) ? problem.errors : [];
  const fields = errors.map((field) => `${text(field?.pointer)}: ${text(field?.detail)}`);
  return new BrokerError(problem.code, [text(problem.detail) ?? text(problem.title), ...fields].join(' '), {
    status,
    requestId: text(problem.request_id),
    fix: text(problem.fix),
    retryAfter,
    temporary: problem.retry === 'after',
  });
}

const text = (value) => (typeof value === 'string' ? value : undefined);

const moment = (value) => Date.parse(text(value) ?? '');

function noBroker(status, retryAfter) {
  const detail = `Something that is not a broker answered ${status}.`;
  return new BrokerError('no_broker', detail, {
    status,
    retryAfter,
    temporary: [429, 502, 503, 504].includes(status),
  });
}

/** The beginning of a body: an answer of the broker's is never longer. */
async function textOf(response) {
  const parts = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    parts.push(part);
    length += part.length;
    if (length > LONGEST) break;
  }
  return Buffer.concat(parts).toString('utf8');
}

function objectOf(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && !Array.isArray(value) ? (value ?? undefined) : undefined;
  } catch {
    return undefined;
  }
}

function resourceOf(url) {
  const found = /\/(file|folder)s\/([0-9]+)\/?$/.exec(parsed(url)?.pathname ?? '');
  if (!found) throw new TypeError('resource must be a URL such as https://api.box.com/2.0/files/123');
  return { type: found[1], id: found[2] };
}

/** Whether a text can stand in a header. */
function isCredible(text) {
  return typeof text === 'string' && /^[!-~]+$/.test(text);
}

function credible(text) {
  if (!isCredible(text)) throw noBroker(200);
  return text;
}

function withoutGaps(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

module.exports = { BrokerAuth, BrokerError, legacyClient };
