package io.vblora.kernels;

import java.io.IOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.bytedeco.javacpp.Loader;

/**
 * The native program {@code vblora-bench}, which checks and times the kernels of the native library that this process
 * has loaded. It lies beside the library: in the same folder, in {@code ../bin}, or in the same jar, from which it is
 * extracted into JavaCPP's cache as the library is. Thread-safe.
 */
public final class BenchProgram {
    private static final String NAME = "vblora-bench";

    private BenchProgram() {}

    /**
     * Where the program is.
     *
     * @throws NativeLibraryException if it or the library is missing
     */
    public static Path locate() {
        NativeLibrary.load();
        Path library = Path.of(Loader.getLoadedLibraries().get("vblora"));
        for (Path candidate : List.of(library.resolveSibling(NAME), library.resolve("../../bin/" + NAME).normalize())) {
            // What lies in the cache may come from another build: the jar has to be asked.
            if (Files.isExecutable(candidate) && !isCached(candidate)) {
                return candidate;
            }
        }
        String resource = "io/vblora/kernels/" + Loader.getPlatform() + "/" + NAME;
        URL bundled = BenchProgram.class.getClassLoader().getResource(resource); // possibly in another module
        if (bundled == null) {
            throw new NativeLibraryException("The program " + NAME + " is not beside " + library
                    + " and not in a jar as " + resource, null);
        }
        try {
            Path extracted = Loader.cacheResource(bundled).toPath();
            if (!Files.isExecutable(extracted) && !extracted.toFile().setExecutable(true)) {
                throw new NativeLibraryException(extracted + " cannot be made executable", null);
            }
            return extracted;
        } catch (IOException e) {
            throw new NativeLibraryException("The program " + NAME + " could not be extracted: " + e.getMessage(), e);
        }
    }

    private static boolean isCached(Path file) {
        try {
            return file.toRealPath().startsWith(Loader.getCacheDir().toPath().toRealPath());
        } catch (IOException e) {
            return false;  // there is no cache
        }
    }
}
