package org.springframework.boot.loader.launch;

import java.io.File;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.Manifest;

/** What Spring Boot's loader does for an unpacked jar, in the fewest lines: so that the example needs no download. */
public final class JarLauncher {
    public static void main(String[] args) throws Exception {
        Manifest manifest;
        try (var in = JarLauncher.class.getResourceAsStream("/META-INF/MANIFEST.MF")) {
            manifest = new Manifest(in);
        }
        List<URL> path = new ArrayList<>();
        path.add(new File("BOOT-INF/classes/").toURI().toURL());
        for (File jar : new File("BOOT-INF/lib").listFiles()) path.add(jar.toURI().toURL());
        ClassLoader loader = new URLClassLoader(path.toArray(new URL[0]));
        Thread.currentThread().setContextClassLoader(loader);
        Class<?> start = Class.forName(manifest.getMainAttributes().getValue("Start-Class"), true, loader);
        Method main = start.getMethod("main", String[].class);
        main.invoke(null, (Object) args);
    }
}
