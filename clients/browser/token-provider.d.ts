/** The version of this module. */
export const version: string;

/** What a provider needs. */
export interface TokenProviderOptions {
    /** The broker's URL, as `https://broker.example.com`. */
    broker: string;
    /** The browser session that the page's back end opened. */
    session: string;
    /**
     * Asked for a new session when this one expired or is not known any more, once for all providers of the page. It
     * resolves to the new session, or to null where there is none to be had: then every call rejects with
     * `session_expired` or `unauthenticated`.
     */
    onSessionExpired?: (() => Promise<string | null | undefined>) | null;
}

/** A token to read with, and one to write with. */
export interface TokenPair {
    read: string;
    write: string;
}

/** What Box UI Elements and the Preview SDK take as their token. */
export interface TokenFunction {
    /** One typed id, `file_1` or `folder_2`: a pair, or a text where there is nothing to write with. */
    (typedId: string): Promise<TokenPair | string>;
    /** Several typed ids: a map of typed id to the token to read with, without the ids that have none. */
    (typedIds: string[]): Promise<Record<string, string>>;
}

/** Makes the function that Box UI Elements and the Preview SDK take as their token. */
export function tokenProvider(options: TokenProviderOptions): TokenFunction;

/** Why there is no token. Nothing in here holds a token or a session. */
export class TokenError extends Error {
    constructor(code: string, message: string, more?: Partial<TokenError>);
    name: "TokenError";
    /**
     * - `session_expired`: there is no new session either; the page's user logs in again;
     * - `unauthenticated`: the broker does not know the session any more, and there is no new one either;
     * - `session_cancelled`: somebody ended the session;
     * - `origin_not_allowed`: the session is not for this page's origin;
     * - `outage`: the broker or Box does not answer, or asks to come back later; later is worth a try;
     * - `invalid_id`: not an id of a file or folder;
     * - any other code of the broker's, as `forbidden`.
     */
    code: string;
    /** The one id that this is about, where it is about one. */
    id?: string;
    /** The HTTP status of the broker's answer, where there was one. */
    status?: number;
    /** The broker's own code, as `store_unavailable`. */
    problem?: string;
    /** What the broker calls the request in its log. */
    requestId?: string;
    /** After how many seconds the broker wants to be asked again. */
    retryAfter?: number;
    /** What went wrong in `onSessionExpired`. */
    cause?: unknown;
}
