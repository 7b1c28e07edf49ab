package boxtokenbroker;

import com.box.sdkgen.box.errors.BoxSDKError;

/**
 * The broker gave no token. It holds no credential and no token.
 *
 * <p>{@code code} names the reason for programs ({@code forbidden}, {@code app_not_authorized}, …;
 * {@code unreachable} and {@code no_broker} where nothing or something else answered), {@code detail}
 * tells it to people, {@code fix} says what an admin should do, where there is something. {@code
 * status} is the HTTP status, 0 without an answer; {@code requestId} finds the request in the
 * broker's log; {@code retryAfter} is in seconds.
 */
public final class BrokerError extends BoxSDKError {
  private static final long serialVersionUID = 1L;

  public final String code;
  public final String detail;
  public final int status;
  public final String requestId;
  public final String fix;
  public final Long retryAfter;
  /** Whether it may work later with nothing changed. */
  public final boolean temporary;

  BrokerError(String code, String detail) {
    this(code, detail, 0, null, null, null, false);
  }

  BrokerError(
      String code,
      String detail,
      int status,
      String requestId,
      String fix,
      Long retryAfter,
      boolean temporary) {
    super(
        code + ": " + detail
            + (fix == null ? "" : " " + fix)
            + (requestId == null ? "" : " (request " + requestId + ")"));
    this.name = "BrokerError";
    this.code = code;
    this.detail = detail;
    this.status = status;
    this.requestId = requestId;
    this.fix = fix;
    this.retryAfter = retryAfter;
    this.temporary = temporary;
  }
}
