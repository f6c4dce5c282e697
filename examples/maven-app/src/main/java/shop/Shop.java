package shop;

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

/** A web server in one class. */
public final class Shop {
    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", exchange -> {
            boolean env = exchange.getRequestURI().getPath().equals("/env");
            byte[] text = (env ? Runtime.version() + "\n" : "hello from a build\n").getBytes();
            exchange.sendResponseHeaders(200, text.length);
            exchange.getResponseBody().write(text);
            exchange.close();
        });
        server.start();
    }
}
