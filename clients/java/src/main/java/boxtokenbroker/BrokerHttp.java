package boxtokenbroker;

import com.box.sdkgen.serialization.json.JsonManager;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UnsupportedEncodingException;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLSocketFactory;

/** The requests of a {@link BrokerAuth}: how they are sent, tried again and refused. */
final class BrokerHttp {
  /** Milliseconds that one step of a request may take; the broker itself gives up after 5 s. */
  private static final int TIMEOUT = 10_000;
  /** The same for a renewal, while the token that is held lives. */
  private static final int SHORT_TIMEOUT = 2_000;
  /** How often one call asks the broker at most. */
  private static final int TRIES = 6;
  /** Bytes of an answer that are read. */
  private static final int LONGEST = 1 << 20;

  private static final Pattern CREDIBLE = Pattern.compile("[!-~]+");
  private static final Pattern SECONDS = Pattern.compile("[0-9]{1,9}");
  private static final List<Integer> PASSING = Arrays.asList(429, 502, 503, 504);

  private final URI url;
  private final Supplier<String> credential;
  private final SSLSocketFactory sslSocketFactory;
  private final Time time;

  BrokerHttp(
      String brokerUrl,
      String tenant,
      Supplier<String> credential,
      SSLSocketFactory sslSocketFactory,
      Time time) {
    this.url = tokenUrl(brokerUrl, tenant);
    this.credential = credential;
    this.sslSocketFactory = sslSocketFactory;
    this.time = time;
  }

  /** Asks, and asks again where the broker says to come later, for {@code maxWait} in all. */
  JsonNode call(String path, JsonNode body, Duration maxWait) {
    long waited = 0;
    for (int attempt = 1; ; attempt++) {
      try {
        return send(path, body, TIMEOUT);
      } catch (BrokerError error) {
        double backoff = ThreadLocalRandom.current().nextDouble(0.5, 1) * 250 * (1 << attempt);
        long pause = error.retryAfter == null ? (long) backoff : error.retryAfter * 1000;
        waited += pause;
        if (!error.temporary || waited > maxWait.toMillis() || attempt == TRIES) {
          throw error;
        }
        sleep(pause);
      }
    }
  }

  /** Asks once, for one whose token lives. */
  JsonNode callOnce(String path, JsonNode body) {
    return send(path, body, SHORT_TIMEOUT);
  }

  private void sleep(long milliseconds) {
    try {
      time.sleep(milliseconds);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw new BrokerError("interrupted", "Asking for the token broke off.");
    }
  }

  private JsonNode send(String path, JsonNode body, int timeout) {
    String authorization = authorization();
    int status;
    String after;
    JsonNode answer;
    try {
      HttpURLConnection connection = open(path, timeout);
      connection.setRequestProperty("Authorization", authorization);
      connection.setRequestProperty("Content-Type", "application/json");
      try (OutputStream out = connection.getOutputStream()) {
        out.write(body.toString().getBytes(StandardCharsets.UTF_8));
      }
      status = connection.getResponseCode();
      after = connection.getHeaderField("Retry-After");
      answer = objectOf(status < 400 ? connection.getInputStream() : connection.getErrorStream());
    } catch (IOException error) {
      String origin = url.getScheme() + "://" + url.getAuthority();
      String reason = error.getMessage() == null ? error.getClass().getSimpleName() : error.getMessage();
      String detail = "No answer from " + origin + ": " + reason + ".";
      throw new BrokerError("unreachable", detail, 0, null, null, null, true);
    }
    Long retryAfter = after != null && SECONDS.matcher(after).matches() ? Long.valueOf(after) : null;
    if (status != 200) {
      throw refused(status, retryAfter, answer);
    }
    if (answer == null) {
      throw noBroker(200, null);
    }
    return answer;
  }

  /** No proxy of the JVM's and no redirect: the credential goes to the broker alone. */
  private HttpURLConnection open(String path, int timeout) throws IOException {
    HttpURLConnection connection =
        (HttpURLConnection) URI.create(url + path).toURL().openConnection(Proxy.NO_PROXY);
    connection.setInstanceFollowRedirects(false);
    connection.setConnectTimeout(timeout);
    connection.setReadTimeout(timeout);
    connection.setRequestMethod("POST");
    connection.setDoOutput(true);
    if (sslSocketFactory != null && connection instanceof HttpsURLConnection) {
      ((HttpsURLConnection) connection).setSSLSocketFactory(sslSocketFactory);
    }
    return connection;
  }

  private String authorization() {
    String text = credential.get();
    if (text == null || !isCredible(text.trim())) {
      throw new BrokerError("no_credential", "The credential is no API key and no OIDC token.");
    }
    return "Bearer " + text.trim();
  }

  /** Whether a text can stand in a header. */
  static boolean isCredible(String text) {
    return CREDIBLE.matcher(text).matches();
  }

  /** The problem document (RFC 9457) of a refusal, or what little is known without one. */
  private static BrokerError refused(int status, Long retryAfter, JsonNode problem) {
    if (problem == null || !problem.path("code").isTextual()) {
      return noBroker(status, retryAfter);
    }
    StringBuilder detail = new StringBuilder(problem.path("detail").asText(problem.path("title").asText()));
    for (JsonNode field : problem.path("errors")) {
      detail.append(' ').append(field.path("pointer").asText()).append(": ");
      detail.append(field.path("detail").asText());
    }
    return new BrokerError(
        problem.path("code").asText(),
        detail.toString(),
        status,
        problem.path("request_id").textValue(),
        problem.path("fix").textValue(),
        retryAfter,
        problem.path("retry").asText().equals("after"));
  }

  static BrokerError noBroker(int status, Long retryAfter) {
    String detail = "Something that is not a broker answered " + status + ".";
    return new BrokerError("no_broker", detail, status, null, null, retryAfter, PASSING.contains(status));
  }

  /** The object that a body is; null where it is none, or longer than any answer of a broker's. */
  private static JsonNode objectOf(InputStream body) throws IOException {
    if (body == null) {
      return null;
    }
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    byte[] part = new byte[8192];
    try (InputStream in = body) {
      for (int length = in.read(part); length >= 0 && text.size() <= LONGEST; length = in.read(part)) {
        text.write(part, 0, length);
      }
    }
    try {
      JsonNode value = JsonManager.OBJECT_MAPPER.readTree(text.toString("UTF-8"));
      return value != null && value.isObject() ? value : null;
    } catch (JsonProcessingException error) {
      return null;
    }
  }

  private static URI tokenUrl(String brokerUrl, String tenant) {
    if (tenant == null || tenant.isEmpty()) {
      throw new IllegalArgumentException("tenant must be the name or the id of a tenant");
    }
    try {
      URI url = URI.create(brokerUrl.replaceAll("/+$", ""));
      boolean http = "https".equals(url.getScheme()) || "http".equals(url.getScheme());
      boolean plain = url.getUserInfo() == null && url.getQuery() == null && url.getFragment() == null;
      if (http && plain && url.getHost() != null) {
        String name = URLEncoder.encode(tenant, "UTF-8").replace("+", "%20");
        return URI.create(url + "/v1/tenants/" + name + "/token");
      }
    } catch (IllegalArgumentException | NullPointerException | UnsupportedEncodingException error) {
      // Said below.
    }
    throw new IllegalArgumentException("brokerUrl must be a URL such as https://broker.example.com");
  }

  /** The clock; tests have their own. */
  interface Time {
    long nanos();

    void sleep(long milliseconds) throws InterruptedException;
  }

  static final class SystemTime implements Time {
    @Override
    public long nanos() {
      return System.nanoTime();
    }

    @Override
    public void sleep(long milliseconds) throws InterruptedException {
      Thread.sleep(milliseconds);
    }
  }
}
