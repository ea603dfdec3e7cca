package io.vblora.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A library that cannot be loaded is one catchable exception that says what was looked for, and where. */
class NativeLibraryTest {
    private static final String LIBRARY = "io/vblora/kernels/" + Loader.getPlatform() + "/libjnivblora.so";

    @TempDir
    Path folder;

    private static Path location(Class<?> type) throws URISyntaxException {
        return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
    }

    /** Runs {@link LoadLibrary} on a class path of these classes without their natives. */
    private String load(Path classes) throws Exception {
        Path library = location(NativeLibrary.class);
        if (Files.isDirectory(library)) {
            copyWithoutNatives(library, classes);
        } else {
            try (FileSystem jar = FileSystems.newFileSystem(library)) {
                copyWithoutNatives(jar.getPath("/"), classes);
            }
        }
        String classPath = Stream.of(classes, location(LoadLibrary.class), location(Loader.class)).map(Path::toString)
                .collect(Collectors.joining(File.pathSeparator));
        Path output = folder.resolve("output");
        Process process = new ProcessBuilder(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp", classPath, "-Djava.library.path=" + folder.resolve("nowhere"),
                "-Dorg.bytedeco.javacpp.cachedir=" + folder.resolve("cache"), LoadLibrary.class.getName()))
                .redirectErrorStream(true).redirectOutput(output.toFile()).start();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS), "the program hangs");
        String text = Files.readString(output, StandardCharsets.UTF_8);
        assertEquals(0, process.exitValue(), text);
        assertTrue(text.contains("the same at every call: true"), text);
        return text;
    }

    private static void copyWithoutNatives(Path from, Path to) throws IOException {
        Path natives = from.resolve(LIBRARY).getParent();
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.filter(f -> !f.startsWith(natives)).filter(Files::isRegularFile).toList()) {
                Path copy = to.resolve(from.relativize(file).toString());
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy);
            }
        }
    }

    @Test
    void isMissing() throws Exception {
        String text = load(folder.resolve("classes"));
        assertTrue(text.contains("Looked for " + LIBRARY + " on the class path (not found: is the jar vblora-kernels:"
                + Loader.getPlatform() + " on the class path?"), text);
        assertTrue(text.contains("java.library.path=" + folder.resolve("nowhere")), text);
    }

    @Test
    void isBroken() throws Exception {
        Path classes = folder.resolve("classes");
        Path broken = classes.resolve(LIBRARY);
        Files.createDirectories(broken.getParent());
        Files.writeString(broken, "not a library");
        String text = load(classes);
        assertTrue(text.contains("Looked for " + LIBRARY + " on the class path (found)"), text);
    }
}
