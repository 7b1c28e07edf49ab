import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** What a driver needs to look at Box's side and at the broker, and how it tells what it found. */
final class Stage {
  interface Check {
    void run() throws Exception;
  }

  /** The SDK's signature of a webhook's body and headers. */
  interface Signer {
    String sign(String body, Map<String, String> headers, String key);
  }

  static final String BODY =
      "{\"type\":\"webhook_event\",\"webhook\":{\"id\":\"1234567890\"},\"trigger\":\"FILE.UPLOADED\","
          + "\"source\":{\"id\":\"1234567890\",\"type\":\"file\",\"name\":\"Pr\u00fcfung.txt\"}}";

  /** How often is asked for another token, where the broker may not come to look at Box in time. */
  static final int TRIES = 3;

  private static final ObjectMapper JSON = new ObjectMapper();
  private static final HttpClient HTTP = HttpClient.newHttpClient();
  private static final JsonNode FACTS = facts();

  private Stage() {}

  private static JsonNode facts() {
    try {
      return JSON.readTree(Files.readAllBytes(Paths.get(System.getenv("BTB_SDK_STAGE"))));
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  static String fact(String name) {
    return FACTS.get(name).asText();
  }

  /** Runs each check, in its order, whatever becomes of the others. */
  static void run(Map<String, Check> checks) {
    System.out.println("checks: " + checks.size());
    checks.forEach(Stage::check);
  }

  private static void check(String name, Check check) {
    try {
      check.run();
      System.out.println("ok: " + name);
    } catch (Exception | AssertionError error) {
      StackTraceElement where = error.getStackTrace()[0];
      String text = String.valueOf(error).replaceAll("\\s+", " ");
      String told = text.substring(0, Math.min(400, text.length()));
      System.out.println("FAILED: " + name + ": " + told + " (" + where + ")");
    }
  }

  static void be(Object got, Object wanted) {
    if (!Objects.equals(got, wanted)) {
      throw new AssertionError(got + " and not " + wanted);
    }
  }

  static JsonNode call(String method, String url, JsonNode body, String key) throws Exception {
    HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url));
    if (key != null) {
      request.header("Authorization", "Bearer " + key).header("Content-Type", "application/json");
    }
    HttpRequest.BodyPublisher publisher =
        body == null
            ? HttpRequest.BodyPublishers.noBody()
            : HttpRequest.BodyPublishers.ofString(body.toString());
    HttpResponse<String> answer =
        HTTP.send(request.method(method, publisher).build(), HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() >= 400) {
      throw new IllegalStateException(url + ": " + answer.statusCode() + ": " + answer.body());
    }
    return answer.body().isEmpty() ? null : JSON.readTree(answer.body());
  }

  static JsonNode atBox(String method, String path) throws Exception {
    return call(method, fact("sandbox") + path, null, null);
  }

  /** Box ends all tokens of a subject. */
  static void kill(String subject) throws Exception {
    atBox("DELETE", "/sandbox/tokens?subject=" + subject);
  }

  static boolean lives(String token) throws Exception {
    byte[] sum = MessageDigest.getInstance("SHA-256").digest(token.getBytes(StandardCharsets.UTF_8));
    StringBuilder hex = new StringBuilder();
    for (byte part : sum) {
      hex.append(String.format("%02x", part));
    }
    return atBox("GET", "/sandbox/tokens/" + hex).get("live").asBoolean();
  }

  static void forgetJournal() throws Exception {
    atBox("DELETE", "/sandbox/journal");
  }

  static List<Integer> statuses(String path) throws Exception {
    List<Integer> statuses = new ArrayList<>();
    atBox("GET", "/sandbox/journal?path=" + path).get("items").forEach(entry -> statuses.add(entry.get("status").asInt()));
    return statuses;
  }

  /** Box answered 401, no more often than one who is told the same token may ask, and then took another. */
  static void beReplaced(List<Integer> statuses) {
    int refused = statuses.size() - 1;
    be(refused >= 1 && refused <= TRIES, true);
    be(statuses.get(refused), 200);
    be(statuses.subList(0, refused).stream().allMatch(status -> status == 401), true);
  }

  /** The headers of a webhook of so many seconds ago. */
  static Map<String, String> signed(Signer signer, long age) {
    Map<String, String> headers = new TreeMap<>();
    Instant at = Instant.now().minusSeconds(age).truncatedTo(ChronoUnit.SECONDS);
    headers.put("box-delivery-timestamp", at.toString());
    headers.put("box-signature-version", "1");
    headers.put("box-signature-algorithm", "HmacSHA256");
    JsonNode keys = FACTS.get("webhook_keys");
    String primary = signer.sign(BODY, headers, keys.get(0).asText());
    headers.put("box-signature-secondary", signer.sign(BODY, headers, keys.get(1).asText()));
    headers.put("box-signature-primary", primary);
    return headers;
  }

  /** Which key the broker says a webhook was signed with; null where it is not valid. */
  static String verdict(String body, Map<String, String> headers) throws Exception {
    ObjectNode asked = JSON.createObjectNode();
    headers.forEach(asked.putObject("headers")::put);
    asked.put("body", Base64.getEncoder().encodeToString(body.getBytes(StandardCharsets.UTF_8)));
    String url = fact("broker") + "/v1/tenants/hooks/webhooks/verify";
    JsonNode verdict = call("POST", url, asked, fact("webhook_key"));
    be(verdict.get("valid").asBoolean(), !verdict.get("key").isNull());
    return verdict.get("key").textValue();
  }

  static void checkWebhooks(Signer signer) throws Exception {
    be(verdict(BODY, signed(signer, 0)), "primary");
    Map<String, String> rotated = signed(signer, 0);
    rotated.put("box-signature-primary", "AAAA");
    be(verdict(BODY, rotated), "secondary");
    be(verdict(BODY + " ", signed(signer, 0)), null);
    be(verdict(BODY, signed(signer, 660)), null);
    for (String[] wrong : Arrays.asList(new String[] {"algorithm", "HmacSHA1"}, new String[] {"version", "2"})) {
      Map<String, String> headers = signed(signer, 0);
      headers.put("box-signature-" + wrong[0], wrong[1]);
      be(verdict(BODY, headers), null);
    }
  }
}
