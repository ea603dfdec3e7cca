package io.vblora.data;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** Real models and data that may lie in a folder "shared" beside the checkout; too large for it, or of another licence. */
public final class SharedData {
    private SharedData() {}

    /** A file or folder below "shared"; where it is not there the test is skipped, and standard output says so. */
    public static Path find(String path) {
        Path found = Path.of(System.getProperty("vblora.root")).resolve("../shared").resolve(path).normalize();
        if (!Files.exists(found)) {
            System.out.println("SKIPPED: a test that needs " + found + ", which is not there");
        }
        Assumptions.assumeTrue(Files.exists(found));
        return found;
    }
}
