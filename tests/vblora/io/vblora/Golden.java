package io.vblora;

import io.vblora.kernels.Prerequisite;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Numbers computed by Hugging Face PEFT's own code. A small part lies in tests/golden; the whole set, and real data and
 * models, may stand in a folder {@code shared} beside the checkout.
 */
public final class Golden {
    private static final Path ROOT = Path.of(System.getProperty("vblora.root")).toAbsolutePath();

    private Golden() {}

    /** A file or folder of tests/golden. */
    public static Path own(String name) {
        return ROOT.resolve("tests/golden").resolve(name);
    }

    /** Whether {@code ../shared} holds this file or folder. */
    public static boolean hasShared(String name) {
        return Files.exists(ROOT.resolve("../shared").resolve(name));
    }

    /** A file or folder of {@code ../shared}, without which the test is skipped, and says so. */
    public static Path shared(String name) {
        Prerequisite.check(hasShared(name), "../shared/" + name + " beside the checkout");
        return ROOT.resolve("../shared").resolve(name).normalize();
    }
}
