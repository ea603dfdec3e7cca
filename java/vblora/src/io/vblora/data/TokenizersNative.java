package io.vblora.data;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.vblora.kernels.NativeLibraryException;
import io.vblora.weights.AtomicFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.JarURLConnection;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import org.bytedeco.javacpp.Loader;

/**
 * Loads the tokenizers' native library once, when it is first needed. It is unpacked from DJL's jar into JavaCPP's
 * cache, as the other natives are; the environment variable {@code RUST_LIBRARY_PATH} names a library elsewhere. DJL's
 * own loader is not used, for two reasons: it does not check that what it finds in its cache is complete, and a
 * truncated library ends the process; and it looks for GPUs, and prints a message where there are none. A program may
 * use DJL as well. Thread-safe.
 */
final class TokenizersNative {
    private static final String PATH_VARIABLE = "RUST_LIBRARY_PATH";
    private static final String FILE_NAME = System.mapLibraryName("tokenizers");
    private static final String RESOURCES = "/native/lib/";

    private static boolean loaded;
    private static NativeLibraryException failure;

    private TokenizersNative() {}

    /** What a file should be: its length and the checksum of its content. */
    private record Content(long bytes, long crc) {}

    /**
     * Makes sure that the library is loaded.
     *
     * @throws NativeLibraryException the same one at every call, if it cannot be loaded
     */
    static synchronized void load() {
        if (loaded) {
            return;
        }
        if (failure != null) {
            throw failure;
        }
        try {
            if (!isLoaded()) {
                Path file = named();
                System.load((file != null ? file : unpacked()).toAbsolutePath().toString());
            }
            loaded = true;
        } catch (IOException | LinkageError | RuntimeException e) {
            failure = new NativeLibraryException("The native library of the tokenizers could not be loaded. It is "
                    + "unpacked to JavaCPP's cache (the system property org.bytedeco.javacpp.cachedir, by default "
                    + "~/.javacpp/cache), unless the environment variable " + PATH_VARIABLE + " names it. Cause: "
                    + e.getMessage(), e);
            throw failure;
        }
    }

    /** The versions of the library and of DJL's binding, and the platform. */
    static String version() {
        Properties properties = new Properties();
        try (InputStream in = TokenizersLibrary.class.getResourceAsStream(RESOURCES + "tokenizers.properties")) {
            properties.load(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return properties.getProperty("version") + " " + Loader.getPlatform();
    }

    /**
     * Whether a program that also uses DJL has loaded the library: if there were two, each would get some of the calls.
     */
    private static boolean isLoaded() {
        try {
            TokenizersLibrary.LIB.createTokenizerFromString("");
            return true;
        } catch (UnsatisfiedLinkError e) {
            return false;
        } catch (RuntimeException e) {
            return true; // it refuses this text
        }
    }

    /** The library that the environment names, by its own path or, as in DJL, its folder's; null if it names none. */
    private static Path named() {
        String path = System.getenv(PATH_VARIABLE);
        return path == null ? null : Files.isDirectory(Path.of(path)) ? Path.of(path, FILE_NAME) : Path.of(path);
    }

    private static Path unpacked() throws IOException {
        String resource = RESOURCES + Loader.getPlatform() + "/cpu/" + FILE_NAME;
        URL url = TokenizersLibrary.class.getResource(resource);
        if (url == null) {
            throw new IOException("the class path has no " + resource + ", of the jar ai.djl.huggingface:tokenizers");
        }
        Content expected = content(url);
        Path folder = Loader.getCacheDir().toPath().resolve("tokenizers-" + Long.toHexString(expected.crc()));
        Path file = unpack(url, expected, folder.resolve(FILE_NAME));
        System.setProperty(PATH_VARIABLE, file.toString()); // for DJL, in case the program uses it later
        return file;
    }

    /** Leaves the file as it is if it is complete; otherwise unpacks it, once for all who load it at the same time. */
    private static Path unpack(URL url, Content expected, Path file) throws IOException {
        if (!Files.isRegularFile(file) || Files.size(file) != expected.bytes() || !content(file).equals(expected)) {
            Files.createDirectories(file.getParent());
            try (InputStream in = url.openStream()) {
                byte[] library = in.readAllBytes();
                AtomicFile.write(file, library);
            }
            if (!content(file).equals(expected)) {
                throw new IOException(file + " is not what was written to it");
            }
        }
        return file;
    }

    /** A jar knows this of its entry; any other resource is read. */
    private static Content content(URL url) throws IOException {
        URLConnection connection = url.openConnection();
        if (connection instanceof JarURLConnection jar) {
            return new Content(jar.getJarEntry().getSize(), jar.getJarEntry().getCrc());
        }
        try (InputStream in = connection.getInputStream()) {
            return content(in);
        }
    }

    private static Content content(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return content(in);
        }
    }

    private static Content content(InputStream in) throws IOException {
        CRC32 crc = new CRC32();
        long bytes = new CheckedInputStream(in, crc).transferTo(OutputStream.nullOutputStream());
        return new Content(bytes, crc.getValue());
    }
}
