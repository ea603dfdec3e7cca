package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Class loaders as application servers have them. */
class ServicesTest {
    /** A type of services. */
    public interface Service {}

    /** A service. */
    public static final class One implements Service {}

    /** Another. */
    public static final class Two implements Service {}

    /** Simple names of the services that are found. */
    public static final class Finder implements Callable<List<String>> {
        @Override
        public List<String> call() {
            return Services.all(Service.class).stream().map(service -> service.getClass().getSimpleName()).toList();
        }
    }

    @TempDir
    private Path folder;

    private final ClassLoader before = Thread.currentThread().getContextClassLoader();

    @AfterEach
    void restore() {
        Thread.currentThread().setContextClassLoader(before);
    }

    /** The folder of a file that declares services. */
    private URL declaring(Class<?>... services) throws IOException {
        Path declared = Files.createTempDirectory(folder, "services");
        Path file = declared.resolve("META-INF/services").resolve(Service.class.getName());
        Files.createDirectories(file.getParent());
        Files.write(file, List.of(services).stream().map(Class::getName).toList());
        return declared.toUri().toURL();
    }

    /** A class loader with a copy of the library, in which services are declared. */
    private URLClassLoader ofOwnCopy(Class<?>... services) throws IOException {
        List<URL> urls = new ArrayList<>(List.of(declaring(services)));
        for (String path : System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"))
                .split(File.pathSeparator)) {
            urls.add(Path.of(path).toUri().toURL());
        }
        return new URLClassLoader(urls.toArray(URL[]::new), ClassLoader.getPlatformClassLoader());
    }

    /** What the library that this loader has finds in a thread of that one. */
    private static List<?> found(ClassLoader library, ClassLoader thread) throws Exception {
        Thread.currentThread().setContextClassLoader(thread);
        return (List<?>) ((Callable<?>) library.loadClass(Finder.class.getName()).getConstructor().newInstance())
                .call();
    }

    @Test
    void areThoseOfTheLibrarysLoaderAndOfTheThreads() throws Exception {
        try (URLClassLoader library = ofOwnCopy(Two.class);
                URLClassLoader above = new URLClassLoader(new URL[] {declaring(One.class)}, library)) {
            assertEquals(List.of("Two"), found(library, library));
            assertEquals(List.of("Two", "One"), found(library, above));
            assertEquals(List.of(), found(before, before));
            assertEquals(List.of("Two"), found(library, ClassLoader.getPlatformClassLoader()));
        }
    }

    @Test
    void ofAnotherCopyOfTheLibraryAreOfNoUse() throws Exception {
        try (URLClassLoader library = ofOwnCopy(Two.class);
                URLClassLoader above = new URLClassLoader(new URL[] {declaring(One.class)}, before)) {
            assertEquals(List.of("One"), found(before, above));
            assertEquals(List.of(), found(before, library));
            assertEquals(List.of("Two"), found(library, above));
            assertEquals(List.of("Two"), found(library, null), "the system's class loader has another copy");
        }
    }
}
