package shop;

import com.sun.net.httpserver.HttpServer;
import greeting.Greeting;
import java.net.InetSocketAddress;

/** A web server with one dependency. */
public final class Shop {
    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/", exchange -> {
            boolean env = exchange.getRequestURI().getPath().equals("/env");
            byte[] text = (env ? Runtime.version() + "\n" : Greeting.of("java") + "\n").getBytes();
            exchange.sendResponseHeaders(200, text.length);
            exchange.getResponseBody().write(text);
            exchange.close();
        });
        server.start();
    }
}
