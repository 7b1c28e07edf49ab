package boxtokenbroker;

import static boxtokenbroker.FakeBroker.problem;
import static boxtokenbroker.FakeBroker.token;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import boxtokenbroker.FakeBroker.Answer;
import com.box.sdkgen.box.errors.BoxSDKError;
import com.box.sdkgen.schemas.accesstoken.AccessToken;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The adapter against a small HTTP server that stands for the broker, with a clock of its own. */
class BrokerAuthTest {
  private static final String KEY = "btb_test_4mWg9cKexample";
  private static final String FILE = "https://api.box.com/2.0/files/5";

  /** Time that passes where somebody sleeps or a test says so; near the end of its numbers. */
  private static final class Clock implements BrokerHttp.Time {
    private volatile long now = Long.MAX_VALUE - 1_000_000_000L;
    private final List<Long> slept = Collections.synchronizedList(new ArrayList<>());

    @Override
    public long nanos() {
      return now;
    }

    @Override
    public void sleep(long milliseconds) {
      slept.add(milliseconds);
      pass(Duration.ofMillis(milliseconds));
    }

    private synchronized void pass(Duration time) {
      now += time.toNanos();
    }
  }

  private final FakeBroker broker = new FakeBroker();
  private final Clock clock = new Clock();
  private BrokerAuth auth;

  @BeforeEach
  void begin() {
    auth = adapter().build();
  }

  @AfterEach
  void end() {
    broker.close();
  }

  private BrokerAuth.Builder adapter() {
    return new BrokerAuth.Builder(broker.url(), "acme", KEY).time(clock);
  }

  private BrokerError refused() {
    return assertThrows(BrokerError.class, auth::retrieveToken);
  }

  @Test
  void aTokenIsAskedForOnceAndKeptUntilItIsToBeRenewed() {
    for (int i = 0; i < 3; i++) {
      assertEquals("Bearer token-1", auth.retrieveAuthorizationHeader());
    }
    assertEquals("/v1/tenants/acme/token", broker.seen.get(0).path);
    assertEquals("Bearer " + KEY, broker.seen.get(0).authorization);
    clock.pass(Duration.ofSeconds(2999));
    assertEquals(601, auth.retrieveToken().getExpiresIn());
    clock.pass(Duration.ofSeconds(2));
    assertEquals("token-2", auth.retrieveToken().getAccessToken());
    assertEquals(Arrays.asList("{}", "{}"), broker.bodies());
  }

  @Test
  void aUserALeastLifeAndABeneficiaryAreAskedFor() {
    BrokerAuth user = adapter().userId("123").minTtl(Duration.ofMinutes(15)).onBehalfOf("ann").build();
    user.retrieveToken();
    user.withUserSubject("456").retrieveToken();
    user.withEnterpriseSubject().retrieveToken();
    String more = "\"min_ttl\":900,\"on_behalf_of\":\"ann\"}";
    assertEquals(
        Arrays.asList(
            "{\"subject\":{\"type\":\"user\",\"id\":\"123\"}," + more,
            "{\"subject\":{\"type\":\"user\",\"id\":\"456\"}," + more,
            "{" + more),
        broker.bodies());
  }

  @Test
  void manyThreadsShareOneRequest() throws Exception {
    broker.gate = new CountDownLatch(1);
    ExecutorService threads = Executors.newFixedThreadPool(20);
    List<Future<String>> headers = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      headers.add(threads.submit(() -> auth.retrieveAuthorizationHeader()));
    }
    broker.gate.countDown();
    Set<String> different = new HashSet<>();
    for (Future<String> header : headers) {
      different.add(header.get());
    }
    threads.shutdown();
    assertEquals(Collections.singleton("Bearer token-1"), different);
    assertEquals(1, broker.seen.size());
  }

  @Test
  void a401IsReportedAndTheAnswerUsed() {
    auth.retrieveAuthorizationHeader();
    assertEquals("token-2", auth.refreshToken().getAccessToken());
    assertEquals("Bearer token-2", auth.retrieveAuthorizationHeader());
    assertEquals(Arrays.asList("{}", "{\"rejected\":\"token-1\"}"), broker.bodies());
  }

  @Test
  void aTokenThatAnotherThreadReplacedIsNotReported() throws Exception {
    auth.retrieveAuthorizationHeader();
    ExecutorService other = Executors.newSingleThreadExecutor();
    other.submit(() -> auth.retrieveAuthorizationHeader()).get();
    other.submit(() -> auth.refreshToken()).get();
    other.shutdown();
    assertEquals("token-2", auth.refreshToken().getAccessToken());
    assertEquals(2, broker.seen.size());
  }

  @Test
  void a401IsReportedOnceWhereTheTokenIsAlive() {
    auth.retrieveAuthorizationHeader();
    broker.script.add(token("token-1", ""));
    assertEquals("token-1", auth.refreshToken().getAccessToken());
    assertEquals(2, broker.seen.size());
  }

  @Test
  void revokingForgetsTheOwnTokenAndEndsNobodyElses() {
    auth.retrieveToken();
    auth.revokeToken();
    assertEquals(1, broker.seen.size());
    assertEquals("token-2", auth.retrieveToken().getAccessToken());
    assertEquals(Arrays.asList("{}", "{}"), broker.bodies());
  }

  @Test
  void downscopedTokensComeWithTheirRestrictionsAndAreNotKept() {
    String restricted = ",\"restricted_to\":[{\"scope\":\"item_preview\",\"object\":{\"type\":\"file\",\"id\":\"5\"}}]";
    broker.script.add(token("narrow", restricted));
    BrokerAuth user = auth.withUserSubject("123");
    List<String> scopes = Collections.singletonList("item_preview");
    AccessToken narrow = user.downscopeToken(scopes, FILE, null, null);
    assertEquals("narrow", narrow.getAccessToken());
    assertEquals(3600, narrow.getExpiresIn());
    assertEquals("item_preview", narrow.getRestrictedTo().get(0).getScope().getStringValue());
    assertEquals("/v1/tenants/acme/token/downscoped", broker.seen.get(0).path);
    String asked = "{\"subject\":{\"type\":\"user\",\"id\":\"123\"},\"scopes\":[\"item_preview\"],";
    assertEquals(asked + "\"resource\":{\"type\":\"file\",\"id\":\"5\"}}", broker.bodies().get(0));
    user.downscopeToken(scopes, null, "https://app.box.com/s/x", null, "narrow");
    String more = "\"shared_link\":\"https://app.box.com/s/x\",\"rejected\":\"narrow\"}";
    assertEquals(asked + more, broker.bodies().get(1));
    assertEquals("token-2", user.retrieveToken().getAccessToken());
    String wrong = "https://api.box.com/2.0/users/5";
    assertThrows(IllegalArgumentException.class, () -> user.downscopeToken(scopes, wrong, null, null));
  }

  @Test
  void aRefusalTellsWhatIsWrongAndWhatToDo() {
    broker.script.add(problem(424, "app_not_authorized", "admin", ",\"fix\":\"Authorize the app.\""));
    BrokerError error = refused();
    assertInstanceOf(BoxSDKError.class, error);
    assertEquals("app_not_authorized", error.code);
    assertEquals(424, error.status);
    String text = "app_not_authorized: What is wrong. Authorize the app. (request req_1)";
    assertEquals(text, error.getMessage());
    String fields = ",\"errors\":[{\"pointer\":\"/subject/id\",\"detail\":\"Digits.\"}]";
    broker.script.add(problem(422, "invalid", "never", fields));
    assertTrue(refused().getMessage().contains("/subject/id: Digits."));
    assertEquals(2, broker.seen.size());
  }

  @Test
  void retryAfterIsObeyedWithinTheBound() {
    broker.script.add(problem(503, "upstream_unavailable", "after", "").retryAfter(7));
    broker.script.add(problem(503, "upstream_unavailable", "after", "").retryAfter(7));
    assertEquals("token-1", auth.retrieveToken().getAccessToken());
    assertEquals(Arrays.asList(7000L, 7000L), clock.slept);
    auth.revokeToken();
    broker.script.add(problem(429, "rate_limited", "after", "").retryAfter(31));
    assertEquals(31, refused().retryAfter);
    assertEquals(2, clock.slept.size());
  }

  @Test
  void aFailedRenewalKeepsTheLivingToken() {
    auth.retrieveToken();
    clock.pass(Duration.ofSeconds(3001));
    broker.script.add(problem(503, "store_unavailable", "after", "").retryAfter(20));
    for (int i = 0; i < 3; i++) {
      assertEquals("Bearer token-1", auth.retrieveAuthorizationHeader());
    }
    assertEquals(2, broker.seen.size());
    assertTrue(clock.slept.isEmpty());
    clock.pass(Duration.ofSeconds(21));
    assertEquals("Bearer token-2", auth.retrieveAuthorizationHeader());
  }

  @Test
  void aBrokerThatHangsDoesNotHoldUpThoseWhoseTokenLives() throws Exception {
    auth.retrieveToken();
    clock.pass(Duration.ofSeconds(3001));
    broker.gate = new CountDownLatch(1);
    ExecutorService thread = Executors.newSingleThreadExecutor();
    try {
      Future<String> header = thread.submit(() -> auth.retrieveAuthorizationHeader());
      assertEquals("Bearer token-1", header.get(6, TimeUnit.SECONDS));
      assertEquals("Bearer token-1", auth.retrieveAuthorizationHeader());
      assertEquals(2, broker.seen.size());
    } finally {
      broker.gate.countDown();
      thread.shutdown();
    }
  }

  @Test
  void whoeverHoldsNothingWaitsLongerThanARenewal() throws Exception {
    auth.retrieveToken();
    clock.pass(Duration.ofSeconds(3001));
    broker.gate = new CountDownLatch(1);
    broker.script.add(problem(503, "store_unavailable", "after", "").retryAfter(7));
    ExecutorService threads = Executors.newFixedThreadPool(2);
    try {
      Future<String> renewing = threads.submit(() -> auth.retrieveAuthorizationHeader());
      waitUntil(() -> broker.seen.size() == 2);
      auth.revokeToken();
      Thread[] late = new Thread[1];
      Future<String> joining =
          threads.submit(
              () -> {
                late[0] = Thread.currentThread();
                return auth.retrieveAuthorizationHeader();
              });
      waitUntil(() -> late[0] != null && late[0].getState() == Thread.State.WAITING);
      clock.pass(Duration.ofSeconds(600)); // The token that was held is dead.
      broker.gate.countDown();
      assertEquals("Bearer token-2", renewing.get());
      assertEquals("Bearer token-2", joining.get());
    } finally {
      broker.gate.countDown();
      threads.shutdown();
    }
  }

  private static void waitUntil(BooleanSupplier condition) throws InterruptedException {
    for (int i = 0; i < 10_000 && !condition.getAsBoolean(); i++) {
      Thread.sleep(1);
    }
    assertTrue(condition.getAsBoolean());
  }

  @Test
  void aRenewalThatIsRefusedEndsTheUseOfTheToken() {
    auth.retrieveToken();
    clock.pass(Duration.ofSeconds(3001));
    broker.script.add(problem(404, "not_found", "never", ""));
    assertEquals("not_found", refused().code);
  }

  @Test
  void aBrokerThatIsAwayIsTriedAgainAndNamed() {
    broker.close();
    BrokerError error = refused();
    assertEquals("unreachable", error.code);
    assertTrue(error.getMessage().contains(broker.url()));
    assertEquals(5, clock.slept.size());
  }

  @Test
  void somethingThatIsNoBrokerIsCalledSo() {
    String page = "<html>token-secret</html>";
    StringBuilder endless = new StringBuilder(8 << 20);
    while (endless.length() < 8 << 20) {
      endless.append("secret, ");
    }
    List<Answer> answers =
        Arrays.asList(
            new Answer(404, page),
            new Answer(200, page),
            new Answer(200, "[]"),
            new Answer(200, "{}"),
            token("a secret", ""),
            new Answer(200, endless.toString()));
    for (Answer answer : answers) {
      broker.script.add(answer);
      BrokerError error = refused();
      assertEquals("no_broker", error.code);
      assertFalse(error.toString().contains("secret"));
    }
  }

  @Test
  void anOddRefusalIsABrokersErrorAllTheSame() {
    for (String odd : new String[] {"{\"a\":1}", "[null]", "5"}) {
      broker.script.add(problem(422, "invalid", "never", ",\"errors\":" + odd));
      assertEquals("invalid", refused().code);
    }
    broker.script.add(new Answer(200, "{}"));
    List<String> scopes = Collections.singletonList("item_preview");
    BrokerError error = assertThrows(BrokerError.class, () -> auth.downscopeToken(scopes, FILE, null, null));
    assertEquals("no_broker", error.code);
  }

  @Test
  void aRedirectIsNotFollowed() {
    try (FakeBroker other = new FakeBroker()) {
      for (int status : new int[] {302, 307, 308}) {
        Answer elsewhere = new Answer(status, "");
        elsewhere.location = other.url();
        broker.script.add(elsewhere);
        assertTrue(refused().getMessage().contains("answered " + status));
      }
      assertTrue(other.seen.isEmpty());
    }
  }

  @Test
  void aCredentialMayComeFromAFunctionEachTime() {
    List<String> credentials = new ArrayList<>(Arrays.asList("first.jwt.x\n", "second.jwt.x"));
    auth = new BrokerAuth.Builder(broker.url(), "acme", () -> credentials.remove(0)).time(clock).build();
    auth.retrieveToken();
    auth.refreshToken();
    assertEquals("Bearer first.jwt.x", broker.seen.get(0).authorization);
    assertEquals("Bearer second.jwt.x", broker.seen.get(1).authorization);
  }

  @Test
  void aCredentialThatCannotBeOneIsNotShown() {
    for (String bad : new String[] {"secret\r\nHost: x", "secret ü", "", null}) {
      auth = new BrokerAuth.Builder(broker.url(), "acme", bad).time(clock).build();
      BrokerError error = refused();
      assertEquals("no_credential", error.code);
      assertFalse(error.toString().contains("secret"));
    }
    assertTrue(broker.seen.isEmpty());
  }

  @Test
  void anAddressThatCannotBeOneIsRefusedAtOnce() {
    String[] wrong = {
      "broker.example.com", "ftp://broker", "https://user:pass@broker", "https://:pass@broker", null,
      "https://broker/#x", "https://broker#", "https://broker?x=1", "https://broker/?"
    };
    for (String url : wrong) {
      BrokerAuth.Builder builder = new BrokerAuth.Builder(url, "acme", KEY);
      assertThrows(IllegalArgumentException.class, builder::build);
    }
    BrokerAuth.Builder nobody = new BrokerAuth.Builder(broker.url(), "", KEY);
    assertThrows(IllegalArgumentException.class, nobody::build);
  }

  @Test
  void aTenantStaysWithinItsPartOfThePath() {
    new BrokerAuth.Builder(broker.url(), "../acme?x", KEY).time(clock).build().retrieveToken();
    assertEquals("/v1/tenants/..%2Facme%3Fx/token", broker.seen.get(0).path);
  }
}
