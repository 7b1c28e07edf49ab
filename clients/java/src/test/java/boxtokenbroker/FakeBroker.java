package boxtokenbroker;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** A small HTTP server that stands for the broker: answers as it is told, or with numbered tokens. */
final class FakeBroker implements AutoCloseable {
  static final class Seen {
    final String path;
    final String authorization;
    final JsonNode body;

    Seen(String path, String authorization, JsonNode body) {
      this.path = path;
      this.authorization = authorization;
      this.body = body;
    }
  }

  static final class Answer {
    final int status;
    final String body;
    String retryAfter;
    String location;

    Answer(int status, String body) {
      this.status = status;
      this.body = body;
    }

    Answer retryAfter(int seconds) {
      retryAfter = String.valueOf(seconds);
      return this;
    }
  }

  final Queue<Answer> script = new ConcurrentLinkedQueue<>();
  final List<Seen> seen = Collections.synchronizedList(new ArrayList<>());
  volatile CountDownLatch gate = new CountDownLatch(0);

  private final AtomicInteger tokens = new AtomicInteger();
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final HttpServer server;

  FakeBroker() {
    try {
      server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    server.setExecutor(threads);
    server.createContext("/", this::handle);
    server.start();
  }

  String url() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  List<String> bodies() {
    List<String> bodies = new ArrayList<>();
    seen.forEach(request -> bodies.add(request.body.toString()));
    return bodies;
  }

  /** A token that lives an hour and is to be renewed ten minutes before its end. */
  static Answer token(String text, String more) {
    // This broker's clock is far from the client's: only differences may count.
    Instant end = Instant.parse("2001-01-01T01:00:00Z");
    return new Answer(
        200,
        "{\"access_token\":\"" + text + "\",\"token_type\":\"bearer\",\"expires_in\":3600,\"expires_at\":\""
            + end + "\",\"refresh_at\":\"" + end.minusSeconds(600) + "\",\"subject\":{\"type\":\"enterprise\"}"
            + more + "}");
  }

  static Answer problem(int status, String code, String retry, String more) {
    return new Answer(
        status,
        "{\"title\":\"A title\",\"status\":" + status + ",\"code\":\"" + code + "\",\"detail\":\"What is wrong.\","
            + "\"request_id\":\"req_1\",\"retry\":\"" + retry + "\"" + more + "}");
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (InputStream body = exchange.getRequestBody()) {
      JsonNode request = new ObjectMapper().readTree(body);
      String path = exchange.getRequestURI().getRawPath();
      seen.add(new Seen(path, exchange.getRequestHeaders().getFirst("Authorization"), request));
      gate.await();
      Answer answer = script.poll();
      if (answer == null) {
        answer = token("token-" + tokens.incrementAndGet(), "");
      }
      if (answer.retryAfter != null) {
        exchange.getResponseHeaders().set("Retry-After", answer.retryAfter);
      }
      if (answer.location != null) {
        exchange.getResponseHeaders().set("Location", answer.location);
      }
      byte[] text = answer.body.getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(answer.status, text.length == 0 ? -1 : text.length);
      if (text.length > 0) {
        exchange.getResponseBody().write(text);
      }
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    } finally {
      exchange.close();
    }
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }
}
