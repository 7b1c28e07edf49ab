package boxtokenbroker;

import com.box.sdkgen.box.errors.BoxSDKError;
import com.box.sdkgen.networking.auth.Authentication;
import com.box.sdkgen.networking.network.NetworkSession;
import com.box.sdkgen.schemas.accesstoken.AccessToken;
import com.box.sdkgen.serialization.json.JsonManager;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLSocketFactory;

/**
 * Authenticates Box's Java SDK ({@code com.box:box-java-sdk} from 5 on, {@code com.box.sdkgen}) with
 * the tokens of one tenant of a Box Token Broker. May be shared by threads.
 *
 * <pre>{@code
 * BrokerAuth auth = new BrokerAuth.Builder("https://broker.example.com", "acme", System.getenv("BTB_KEY")).build();
 * BoxClient client = new BoxClient(auth);
 * }</pre>
 *
 * The SDK asks for its authorization header before every request, so it always sends a token that
 * the broker would give out at that moment, and a job of any length goes on without a 401.
 */
public final class BrokerAuth implements Authentication {
  /** How long a renewal that failed is not tried again, while the token that is held lives. */
  private static final Duration PAUSE = Duration.ofSeconds(5);
  /** Fields of the broker's answers that Box's own answers have too. */
  private static final List<String> BOX_FIELDS =
      Arrays.asList("access_token", "expires_in", "token_type", "restricted_to", "issued_token_type");

  private static final Pattern RESOURCE = Pattern.compile("/(file|folder)s/([0-9]+)/?$");

  private final Builder settings;
  private final BrokerHttp broker;
  private final ObjectNode asked = JsonManager.OBJECT_MAPPER.createObjectNode();
  /** The token that each thread was given last: the one that it saw a 401 to. */
  private final ThreadLocal<String> given = new ThreadLocal<>();

  private volatile Held held;
  private Flight flight;

  private BrokerAuth(Builder settings) {
    this.settings = settings;
    this.broker =
        new BrokerHttp(
            settings.brokerUrl, settings.tenant, settings.credential, settings.sslSocketFactory, settings.time);
    if (settings.userId != null) {
      asked.putObject("subject").put("type", "user").put("id", settings.userId);
    }
    if (settings.minTtl != null) {
      asked.put("min_ttl", settings.minTtl.getSeconds());
    }
    if (settings.onBehalfOf != null) {
      asked.put("on_behalf_of", settings.onBehalfOf);
    }
  }

  /** The same for a user of the tenant's enterprise. */
  public BrokerAuth withUserSubject(String userId) {
    return new Builder(settings).userId(userId).build();
  }

  /** The same for the tenant's service account. */
  public BrokerAuth withEnterpriseSubject() {
    return new Builder(settings).userId(null).build();
  }

  /** The token of now: the one that is held until it is to be renewed, then another. */
  @Override
  public AccessToken retrieveToken(NetworkSession networkSession) {
    return handOut(current());
  }

  @Override
  public AccessToken retrieveToken() {
    return retrieveToken(null);
  }

  /** The header for one request to Box. */
  @Override
  public String retrieveAuthorizationHeader(NetworkSession networkSession) {
    return "Bearer " + retrieveToken().getAccessToken();
  }

  @Override
  public String retrieveAuthorizationHeader() {
    return retrieveAuthorizationHeader(null);
  }

  /**
   * Tells the broker that Box answered 401 to the token; the SDK calls it then. The broker looks
   * whether that is so, and answers with another token or with the same.
   */
  @Override
  public AccessToken refreshToken(NetworkSession networkSession) {
    Held now = held;
    String rejected = given.get() != null || now == null ? given.get() : now.text;
    boolean replaced = now != null && !now.text.equals(rejected);
    return handOut(replaced ? now : ask(rejected, false));
  }

  @Override
  public AccessToken refreshToken() {
    return refreshToken(null);
  }

  /**
   * A token that may do no more than {@code scopes}, on one file or folder where {@code resource} is
   * its URL ({@code https://api.box.com/2.0/files/123}). It is not kept.
   */
  @Override
  public AccessToken downscopeToken(
      List<String> scopes, String resource, String sharedLink, NetworkSession networkSession) {
    return downscopeToken(scopes, resource, sharedLink, networkSession, null);
  }

  /**
   * The same after Box answered 401 to such a token, {@code rejected}. The broker looks whether that is
   * so, and answers with another token or with the same.
   */
  public AccessToken downscopeToken(
      List<String> scopes, String resource, String sharedLink, NetworkSession networkSession, String rejected) {
    ObjectNode body = asked.deepCopy();
    ArrayNode list = body.putArray("scopes");
    scopes.forEach(list::add);
    if (resource != null) {
      Matcher found = RESOURCE.matcher(resource);
      if (!found.find()) {
        throw new IllegalArgumentException(
            "resource must be a URL such as https://api.box.com/2.0/files/123");
      }
      body.putObject("resource").put("type", found.group(1)).put("id", found.group(2));
    }
    if (sharedLink != null) {
      body.put("shared_link", sharedLink);
    }
    if (rejected != null) {
      body.put("rejected", rejected);
    }
    ObjectNode answer = (ObjectNode) broker.call("/downscoped", body, settings.maxWait);
    if (!BrokerHttp.isCredible(answer.path("access_token").asText())) {
      throw BrokerHttp.noBroker(200, null);
    }
    return JsonManager.deserialize(answer.retain(BOX_FIELDS), AccessToken.class);
  }

  /**
   * Forgets the token that is held. It is not revoked at Box: others use the same one. To end it for
   * everybody there is {@code POST /v1/tenants/{tenant}/token/revoke}.
   */
  @Override
  public void revokeToken(NetworkSession networkSession) {
    held = null;
    given.remove();
  }

  @Override
  public void revokeToken() {
    revokeToken(null);
  }

  private AccessToken handOut(Held token) {
    given.set(token.text);
    long left = Math.max(0, (token.expiresAt - settings.time.nanos()) / 1_000_000_000);
    ObjectNode fields = JsonManager.OBJECT_MAPPER.createObjectNode();
    fields.put("access_token", token.text).put("expires_in", left).put("token_type", "bearer");
    return JsonManager.deserialize(fields, AccessToken.class);
  }

  private Held current() {
    Held now = held;
    if (now != null && isBefore(now.refreshAt)) {
      return now;
    }
    if (now == null || !isBefore(now.expiresAt)) {
      return ask(null, false);
    }
    try {
      return ask(null, true);
    } catch (BrokerError error) {
      if (!error.temporary) {
        throw error;
      }
      if (isBefore(now.expiresAt)) {
        Duration after = error.retryAfter == null ? PAUSE : Duration.ofSeconds(error.retryAfter);
        long pause = Math.max(PAUSE.toNanos(), after.toNanos());
        long left = now.expiresAt - settings.time.nanos();
        now.refreshAt = settings.time.nanos() + Math.min(pause, left);
        return now; // What is still alive is worth more than an error.
      }
    }
    return ask(null, false);
  }

  /** Whether the monotonic clock has not come to {@code moment}; differences survive its overflow. */
  private boolean isBefore(long moment) {
    return settings.time.nanos() - moment < 0;
  }

  /**
   * Asks the broker, or waits for the answer to whoever is asking already. An answer to one who did
   * not report {@code rejected} and was given it all the same does not count, and neither does a passing
   * failure of a renewal for one who has no token to go on with.
   */
  private Held ask(String rejected, boolean renewal) {
    Flight mine = new Flight(rejected, renewal);
    while (true) {
      Flight other;
      synchronized (this) {
        if (flight == null) {
          if (rejected == null && held != null && isBefore(held.refreshAt)) {
            return held;
          }
          flight = mine;
          break;
        }
        other = flight;
      }
      boolean same = rejected == null ? other.reported == null : rejected.equals(other.reported);
      try {
        Held answer = other.answer.join();
        if (same || !answer.text.equals(rejected)) {
          return answer;
        }
      } catch (CompletionException error) {
        RuntimeException failure = (RuntimeException) error.getCause();
        boolean passes = failure instanceof BrokerError && ((BrokerError) failure).temporary;
        if (same && !(other.renewal && !renewal && passes)) {
          throw failure;
        }
      }
    }
    return fly(mine);
  }

  private Held fly(Flight mine) {
    Held answer = null;
    RuntimeException failure = new BrokerError("interrupted", "Asking for the token broke off.");
    try {
      ObjectNode body = asked.deepCopy();
      if (mine.reported != null) {
        body.put("rejected", mine.reported);
      }
      answer = read(mine.renewal ? broker.callOnce("", body) : broker.call("", body, settings.maxWait));
      return answer;
    } catch (RuntimeException error) {
      failure = error;
      throw error;
    } finally {
      synchronized (this) {
        held = answer == null ? held : answer;
        flight = null;
      }
      if (answer != null) {
        mine.answer.complete(answer);
      } else {
        mine.answer.completeExceptionally(failure);
      }
    }
  }

  private Held read(JsonNode answer) {
    long now = settings.time.nanos();
    try {
      Duration left = Duration.ofSeconds(answer.path("expires_in").asLong());
      Instant refreshAt = Instant.parse(answer.path("refresh_at").asText());
      Duration margin = Duration.between(refreshAt, Instant.parse(answer.path("expires_at").asText()));
      String text = answer.path("access_token").asText();
      if (BrokerHttp.isCredible(text)) {
        return new Held(text, now + left.minus(margin).toNanos(), now + left.toNanos());
      }
    } catch (DateTimeParseException | ArithmeticException error) {
      // Said below.
    }
    throw BrokerHttp.noBroker(200, null);
  }

  /** A token that was received, and until when it is used, by the monotonic clock. */
  private static final class Held {
    private final String text;
    private final long expiresAt;
    private volatile long refreshAt;

    private Held(String text, long refreshAt, long expiresAt) {
      this.text = text;
      this.refreshAt = refreshAt;
      this.expiresAt = expiresAt;
    }
  }

  /** Which token is being reported, if one is; whether it is a renewal; and the answer to come. */
  private static final class Flight {
    private final String reported;
    private final boolean renewal;
    private final CompletableFuture<Held> answer = new CompletableFuture<>();

    private Flight(String reported, boolean renewal) {
      this.reported = reported;
      this.renewal = renewal;
    }
  }

  /** How a {@link BrokerAuth} finds its broker and what it asks for. */
  public static final class Builder {
    private final String brokerUrl;
    private final String tenant;
    private final Supplier<String> credential;
    private String userId;
    private Duration minTtl;
    private String onBehalfOf;
    private Duration maxWait = Duration.ofSeconds(30);
    private SSLSocketFactory sslSocketFactory;
    private BrokerHttp.Time time = new BrokerHttp.SystemTime();

    /** With an API key. {@code tenant} is a name or an id. */
    public Builder(String brokerUrl, String tenant, String key) {
      this(brokerUrl, tenant, () -> key);
    }

    /** With what returns an API key or an OIDC token of now; asked for every request to the broker. */
    public Builder(String brokerUrl, String tenant, Supplier<String> credential) {
      this.brokerUrl = brokerUrl;
      this.tenant = tenant;
      this.credential = credential;
    }

    private Builder(Builder other) {
      this(other.brokerUrl, other.tenant, other.credential);
      userId = other.userId;
      minTtl = other.minTtl;
      onBehalfOf = other.onBehalfOf;
      maxWait = other.maxWait;
      sslSocketFactory = other.sslSocketFactory;
      time = other.time;
    }

    /** The Box user for whom tokens are; the tenant's service account, where left out. */
    public Builder userId(String userId) {
      this.userId = userId;
      return this;
    }

    /** How long every token must live at least when it is received. */
    public Builder minTtl(Duration minTtl) {
      this.minTtl = minTtl;
      return this;
    }

    /** For whom the caller works; the broker writes it down. */
    public Builder onBehalfOf(String onBehalfOf) {
      this.onBehalfOf = onBehalfOf;
      return this;
    }

    /** How long one call may wait in all for a broker that says to come later; 30 s. */
    public Builder maxWait(Duration maxWait) {
      this.maxWait = maxWait;
      return this;
    }

    /** How the broker's certificate is checked; the JVM's way, where left out. */
    public Builder sslSocketFactory(SSLSocketFactory sslSocketFactory) {
      this.sslSocketFactory = sslSocketFactory;
      return this;
    }

    Builder time(BrokerHttp.Time time) {
      this.time = time;
      return this;
    }

    public BrokerAuth build() {
      return new BrokerAuth(new Builder(this));
    }
  }
}
