import static com.box.sdkgen.internal.utils.UtilsManager.computeWebhookSignature;

import boxtokenbroker.BrokerAuth;
import boxtokenbroker.BrokerError;
import com.box.sdkgen.box.developertokenauth.BoxDeveloperTokenAuth;
import com.box.sdkgen.box.errors.BoxAPIError;
import com.box.sdkgen.box.jwtauth.BoxJWTAuth;
import com.box.sdkgen.box.jwtauth.JWTConfig;
import com.box.sdkgen.client.BoxClient;
import com.box.sdkgen.networking.auth.Authentication;
import com.box.sdkgen.networking.baseurls.BaseUrls;
import com.box.sdkgen.schemas.accesstoken.AccessToken;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Box's Java SDK ({@code com.box.sdkgen}) with the broker's adapter, and with its own JWT. */
final class AdapterChecks {
  private static final BrokerAuth BROKER =
      new BrokerAuth.Builder(Stage.fact("tls_broker"), "acme", Stage.fact("key")).build();
  private static final BrokerAuth USER = BROKER.withUserSubject(Stage.fact("user"));

  private AdapterChecks() {}

  public static void main(String[] args) {
    Map<String, Stage.Check> checks = new LinkedHashMap<>();
    checks.put("the service account lists its folders", AdapterChecks::serviceAccount);
    checks.put("a user lists their folders", AdapterChecks::user);
    checks.put("the as-user header works beside the adapter", AdapterChecks::asUserHeader);
    checks.put("a downscoped token reaches its folder alone", AdapterChecks::downscoped);
    checks.put("revoking ends nobody else's token", AdapterChecks::revoked);
    checks.put("a token that Box kills is replaced", AdapterChecks::killed);
    checks.put("what the broker refuses is told", AdapterChecks::refused);
    checks.put("the sandbox takes the sdk's own jwt", AdapterChecks::ownJwt);
    checks.put("webhooks signed by the sdk are verified", AdapterChecks::webhooks);
    Stage.run(checks);
  }

  private static BoxClient atBox(Authentication auth) {
    String sandbox = Stage.fact("tls_sandbox");
    return new BoxClient(auth)
        .withCustomBaseUrls(
            new BaseUrls.Builder().baseUrl(sandbox).uploadUrl(sandbox).oauth2Url(sandbox).build());
  }

  private static Set<String> names(BoxClient client, String folder) {
    Set<String> names = new HashSet<>();
    client.getFolders().getFolderItems(folder).getEntries().forEach(entry -> names.add(entry.getName()));
    return names;
  }

  private static void serviceAccount() {
    Stage.be(names(atBox(BROKER), "0").containsAll(Arrays.asList("Contracts", "Invoices")), true);
  }

  private static void user() {
    Set<String> found = names(atBox(USER), "0");
    Stage.be(found.contains("Ada's notes") && !found.contains("Invoices"), true);
  }

  private static void asUserHeader() {
    BoxClient client = atBox(BROKER).withAsUserHeader(Stage.fact("user"));
    Stage.be(names(client, "0").contains("Ada's notes"), true);
  }

  private static void downscoped() {
    String folder = Stage.fact("folder");
    List<String> scopes = Arrays.asList("base_explorer", "item_preview");
    AccessToken token =
        USER.downscopeToken(scopes, "https://api.box.com/2.0/folders/" + folder, null, null);
    Stage.be(token.getRestrictedTo().size(), 2);
    BoxClient narrow = atBox(new BoxDeveloperTokenAuth(token.getAccessToken()));
    Stage.be(names(narrow, folder).contains("Contract.pdf"), true);
    try {
      names(narrow, Stage.fact("foreign_folder"));
    } catch (BoxAPIError error) {
      Stage.be(Arrays.asList(403, 404).contains(error.getResponseInfo().getStatusCode()), true);
      return;
    }
    throw new AssertionError("it was not refused");
  }

  private static void revoked() throws Exception {
    String token = USER.retrieveToken().getAccessToken();
    USER.revokeToken();
    Stage.be(Stage.lives(token), true);
    Stage.be(names(atBox(USER), "0").contains("Ada's notes"), true);
  }

  private static void killed() throws Exception {
    BoxClient client = atBox(BROKER);
    names(client, "0");
    Stage.forgetJournal();
    Stage.kill("enterprise:" + Stage.fact("enterprise"));
    Stage.be(names(client, "0").contains("Contracts"), true);
    Stage.be(Stage.statuses("/2.0/folders/*"), Arrays.asList(401, 200));
  }

  private static void refused() {
    BrokerAuth nobody = new BrokerAuth.Builder(Stage.fact("tls_broker"), "nobody", Stage.fact("key")).build();
    try {
      names(atBox(nobody), "0");
    } catch (BrokerError error) {
      Stage.be(error.code, "not_found");
      Stage.be(error.getMessage().contains(error.requestId), true);
      Stage.be(error.toString().contains(Stage.fact("key")), false);
      return;
    }
    throw new AssertionError("it was not refused");
  }

  private static void ownJwt() {
    BoxJWTAuth own = new BoxJWTAuth(JWTConfig.fromConfigFile(Stage.fact("config")));
    Stage.be(names(atBox(own), "0").contains("Contracts"), true);
    BoxClient user = atBox(own.withUserSubject(Stage.fact("user")));
    Stage.be(names(user, "0").contains("Ada's notes"), true);
  }

  private static void webhooks() throws Exception {
    Stage.checkWebhooks((body, headers, key) -> computeWebhookSignature(body, headers, key, false));
  }
}
