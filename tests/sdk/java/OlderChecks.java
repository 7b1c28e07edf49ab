import com.box.sdk.BoxAPIConnection;
import com.box.sdk.BoxAPIResponseException;
import com.box.sdk.BoxCCGAPIConnection;
import com.box.sdk.BoxConfig;
import com.box.sdk.BoxDeveloperEditionAPIConnection;
import com.box.sdk.BoxFolder;
import com.box.sdk.BoxItem;
import com.box.sdk.BoxWebHookSignatureVerifier;
import com.box.sdk.BoxWebHookSignatureVerifier.BoxSignatureAlgorithm;
import com.box.sdk.DeveloperEditionEntityType;
import com.box.sdk.ScopedToken;
import com.eclipsesource.json.Json;
import com.eclipsesource.json.JsonObject;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * The older generation of Box's Java SDK ({@code com.box.sdk}): the broker's Box-compatible endpoint by
 * the token URL in the SDK's saved state, and its own JWT.
 */
final class OlderChecks {
  private OlderChecks() {}

  public static void main(String[] args) {
    Map<String, Stage.Check> checks = new LinkedHashMap<>();
    checks.put("the service account lists its folders", OlderChecks::serviceAccount);
    checks.put("a user lists their folders", OlderChecks::user);
    checks.put("a downscoped token reaches its folder alone", OlderChecks::downscoped);
    checks.put("revoking ends nobody else's token", OlderChecks::revoked);
    checks.put("a token that Box kills is replaced on refresh", OlderChecks::killed);
    checks.put("what the broker refuses is told in Box's shape", OlderChecks::refused);
    checks.put("the sandbox takes the sdk's own jwt", OlderChecks::ownJwt);
    checks.put("webhooks signed by the sdk are verified", OlderChecks::webhooks);
    Stage.run(checks);
  }

  private static BoxCCGAPIConnection asked(BoxCCGAPIConnection connection) {
    JsonObject state = Json.parse(connection.save()).asObject().set("accessToken", "");
    state.set("tokenURL", Stage.fact("tls_broker") + "/oauth2/token");
    state.set("revokeURL", Stage.fact("tls_broker") + "/oauth2/revoke");
    connection.restore(state.toString());
    atBox(connection);
    return connection;
  }

  private static BoxCCGAPIConnection service(String key) {
    String id = Stage.fact("client_id") + "-acme";
    return asked(BoxCCGAPIConnection.applicationServiceAccountConnection(id, key, Stage.fact("enterprise")));
  }

  private static BoxCCGAPIConnection ada() {
    String id = Stage.fact("client_id") + "-acme";
    return asked(BoxCCGAPIConnection.userConnection(id, Stage.fact("key"), Stage.fact("user")));
  }

  static void atBox(BoxAPIConnection connection) {
    connection.setBaseURL(Stage.fact("tls_sandbox"));
    connection.setBaseUploadURL(Stage.fact("tls_sandbox"));
    connection.setMaxRetryAttempts(0);
  }

  private static Set<String> names(BoxAPIConnection connection, String folder) {
    Set<String> names = new HashSet<>();
    for (BoxItem.Info item : new BoxFolder(connection, folder)) {
      names.add(item.getName());
    }
    return names;
  }

  private static int status(BoxAPIConnection connection, String folder) {
    try {
      new BoxFolder(connection, folder).getInfo();
      return 200;
    } catch (BoxAPIResponseException error) {
      return error.getResponseCode();
    }
  }

  private static void serviceAccount() {
    Set<String> found = names(service(Stage.fact("key")), "0");
    Stage.be(found.containsAll(Arrays.asList("Contracts", "Invoices")), true);
  }

  private static void user() {
    Set<String> found = names(ada(), "0");
    Stage.be(found.contains("Ada's notes") && !found.contains("Invoices"), true);
  }

  private static void downscoped() {
    String folder = Stage.fact("folder");
    BoxCCGAPIConnection ada = ada();
    names(ada, "0");
    ScopedToken token =
        ada.getLowerScopedToken(
            Arrays.asList("base_explorer", "item_preview"), "https://api.box.com/2.0/folders/" + folder);
    BoxAPIConnection narrow = new BoxAPIConnection(token.getAccessToken());
    atBox(narrow);
    Stage.be(names(narrow, folder).contains("Contract.pdf"), true);
    Stage.be(Arrays.asList(403, 404).contains(status(narrow, Stage.fact("foreign_folder"))), true);
  }

  private static void revoked() throws Exception {
    BoxCCGAPIConnection ada = ada();
    names(ada, "0");
    String token = ada.getAccessToken();
    ada.revokeToken();
    Stage.be(Stage.lives(token), true);
    Stage.be(names(ada(), "0").contains("Ada's notes"), true);
  }

  private static void killed() throws Exception {
    BoxCCGAPIConnection service = service(Stage.fact("key"));
    names(service, "0");
    grownOlder();
    Stage.forgetJournal();
    Stage.kill("enterprise:" + Stage.fact("enterprise"));
    Stage.be(status(service, "0"), 401);
    service.refresh();
    // Where the broker's look at Box took too long the token was the same: it looks again.
    for (int tries = 1; status(service, "0") == 401 && tries < Stage.TRIES; tries++) {
      grownOlder();
      service.refresh();
    }
    Stage.beReplaced(Stage.statuses("/2.0/folders/0"));
  }

  /** The broker does not doubt a token that is younger than five seconds, and looks once in five. */
  private static void grownOlder() throws InterruptedException {
    Thread.sleep(6000);
  }

  private static void refused() {
    try {
      names(service(Stage.fact("key").replaceAll(".$", "_")), "0");
    } catch (BoxAPIResponseException error) {
      Stage.be(error.getResponse().contains("invalid_client"), true);
      return;
    }
    throw new AssertionError("it was not refused");
  }

  private static void ownJwt() throws Exception {
    BoxConfig config;
    try (Reader reader = Files.newBufferedReader(Paths.get(Stage.fact("config")))) {
      config = BoxConfig.readFrom(reader);
    }
    for (DeveloperEditionEntityType type : DeveloperEditionEntityType.values()) {
      boolean isUser = type == DeveloperEditionEntityType.USER;
      BoxDeveloperEditionAPIConnection own =
          new BoxDeveloperEditionAPIConnection(
              Stage.fact(isUser ? "user" : "enterprise"), type, config, null);
      atBox(own);
      own.authenticate();
      Stage.be(names(own, "0").contains(isUser ? "Ada's notes" : "Contracts"), true);
    }
  }

  private static void webhooks() throws Exception {
    BoxWebHookSignatureVerifier verifier = new BoxWebHookSignatureVerifier("unused", "unused");
    Stage.checkWebhooks((body, headers, key) -> sign(verifier, body, headers, key));
  }

  private static String sign(
      BoxWebHookSignatureVerifier verifier, String body, Map<String, String> headers, String key) {
    String at = headers.get("box-delivery-timestamp");
    return verifier.sign(BoxSignatureAlgorithm.HMAC_SHA256, key, body, at);
  }
}
