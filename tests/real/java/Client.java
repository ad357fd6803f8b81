import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;

/**
 * Java's HttpClient: {@code java Client.java URL default|1.1 whole|lines|parallel BODY}.
 *
 * <p>In its default mode it asks for HTTP/2 by Upgrade on every cleartext request, bodies and all.
 */
class Client {
  public static void main(String[] args) throws Exception {
    var builder = HttpClient.newBuilder();
    if (args[1].equals("1.1")) builder.version(HttpClient.Version.HTTP_1_1);
    var client = builder.build();
    var request =
        HttpRequest.newBuilder(URI.create(args[0]))
            .header("content-type", "application/json")
            .header("authorization", "Bearer test-key")
            .POST(HttpRequest.BodyPublishers.ofString(args[3]))
            .build();
    switch (args[2]) {
      case "whole" -> whole(client, request);
      case "lines" -> lines(client, request);
      case "parallel" -> parallel(client, request);
      default -> throw new IllegalArgumentException(args[2]);
    }
  }

  /** Three calls in a row, so that a connection left in a bad state shows. */
  static void whole(HttpClient client, HttpRequest request) throws Exception {
    for (int n = 0; n < 3; n++) print(client.send(request, HttpResponse.BodyHandlers.ofString()));
  }

  static void lines(HttpClient client, HttpRequest request) throws Exception {
    var reply = client.send(request, HttpResponse.BodyHandlers.ofLines());
    reply.body().forEach(Client::say);
  }

  static void parallel(HttpClient client, HttpRequest request) {
    List<CompletableFuture<HttpResponse<String>>> replies =
        IntStream.range(0, 16)
            .mapToObj(n -> client.sendAsync(request, HttpResponse.BodyHandlers.ofString()))
            .toList();
    replies.forEach(reply -> print(reply.join()));
  }

  static void print(HttpResponse<String> reply) {
    say(reply.statusCode() + " " + reply.version() + " " + reply.body());
  }

  static void say(String line) {
    System.out.println(line);
    System.out.flush();
  }
}
