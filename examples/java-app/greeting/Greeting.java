package greeting;

public final class Greeting {
    public static String of(String who) {
        return "hello from " + who;
    }
}
