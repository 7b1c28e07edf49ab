/** How a {@link BrokerAuth} finds its broker and what it asks for. */
export interface BrokerAuthOptions {
  /** Where the broker is, such as `https://broker.example.com`. */
  readonly brokerUrl: string;
  /** Name or id of the tenant. */
  readonly tenant: string;
  /**
   * An API key, or a function that returns an API key or an OIDC token of now; it is called for
   * every request to the broker.
   */
  readonly credential: string | (() => string | Promise<string>);
  /** The Box user for whom tokens are; the tenant's service account, where left out. */
  readonly userId?: string;
  /** How many seconds every token must live at least when it is received. */
  readonly minTtl?: number;
  /** For whom the caller works; the broker writes it down. */
  readonly onBehalfOf?: string;
  /** Seconds that one call may spend in waiting for a broker that says to come later: 30. */
  readonly maxWait?: number;
}

/** A token as Box's SDK has it. */
export interface BrokerToken {
  readonly accessToken?: string;
  readonly expiresIn?: number;
  readonly tokenType?: string;
  readonly restrictedTo?: readonly any[];
  readonly issuedTokenType?: string;
}

/** The broker gave no token. It holds no credential and no token. */
export class BrokerError extends Error {
  /** The reason, for programs: `forbidden`, `app_not_authorized`, `unreachable`, … */
  readonly code: string;
  /** The reason, for people. */
  readonly detail: string;
  /** The HTTP status; 0 without an answer. */
  readonly status: number;
  /** Finds the request in the broker's log. */
  readonly requestId?: string;
  /** What an admin should do. */
  readonly fix?: string;
  /** When to come again, in seconds. */
  readonly retryAfter?: number;
  /** Whether it may work later with nothing changed. */
  readonly temporary: boolean;
}

/** Authenticates Box's SDK with the tokens of one tenant of a broker. */
export class BrokerAuth {
  constructor(options: BrokerAuthOptions);
  /** The same for a user of the tenant's enterprise. */
  withUserSubject(userId: string): BrokerAuth;
  /** The same for the tenant's service account. */
  withEnterpriseSubject(): BrokerAuth;
  /** The token of now. */
  retrieveToken(networkSession?: unknown): Promise<BrokerToken>;
  /** Reports that Box answered 401 to the token; another one, or the same where it lives. */
  refreshToken(networkSession?: unknown): Promise<BrokerToken>;
  /** The header for one request to Box. */
  retrieveAuthorizationHeader(networkSession?: unknown): Promise<string>;
  /** Forgets the own token; it is not revoked at Box, where others use the same one. */
  revokeToken(networkSession?: unknown): Promise<undefined>;
  /**
   * A token that may do no more than `scopes`, on one file or folder. It is not kept. `rejected` is
   * such a token of before, to which Box answered 401.
   */
  downscopeToken(
    scopes: readonly string[],
    resource?: string,
    sharedLink?: string,
    networkSession?: unknown,
    rejected?: string,
  ): Promise<BrokerToken>;
}

/** A client of `box-node-sdk` 3, whose tokens are the broker's. */
export function legacyClient<Client>(sdk: { getBasicClient(token: string): Client }, auth: BrokerAuth): Client;
